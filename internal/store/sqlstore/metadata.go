package sqlstore

import (
	"bytes"
	"cmp"
	"slices"

	"lockstep/internal/mail"
)

// Names begin with /private or /shared, so that /q lies between them.
const (
	metadataSeen = "(who = 0 AND name > '/q' OR who = ?3 AND name < '/q')"

	selectMetadata = "SELECT mailbox_id, name, modseq, there, value FROM metadata WHERE account_id = ?1 AND mailbox_id = ?2 AND " + metadataSeen +
		" AND there = 1"
	selectMetadataSince = "SELECT mailbox_id, name, modseq, there, value FROM metadata WHERE account_id = ?1 AND modseq > ?2 AND " + metadataSeen +
		" AND (mailbox_id = 0 OR mailbox_id IN (SELECT b.mailbox_id FROM mailbox b WHERE b.account_id = ?1))"
	selectAnnotated = "SELECT there, value FROM metadata WHERE account_id = ?1 AND mailbox_id = ?2 AND who = ?3 AND name = ?4"
	countMetadata   = "SELECT count(*) FROM metadata WHERE account_id = ?1 AND mailbox_id = ?2 AND who = ?3 AND there = 1 AND name > ?4 AND name < ?5"
	sumMetadata     = "SELECT coalesce(sum(length(value)), 0) FROM metadata WHERE account_id = ?1"
	upsertMetadata  = `INSERT INTO metadata (account_id, mailbox_id, who, name, modseq, there, value) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
	ON CONFLICT (account_id, mailbox_id, who, name) DO UPDATE SET modseq = excluded.modseq, there = excluded.there, value = excluded.value`
)

// Metadata implements store.Reader.
func (r *reader) Metadata(mb mail.MailboxID, who mail.PrincipalID) ([]mail.Metadata, error) {
	if mb != 0 {
		if _, err := r.mailbox(mb); err != nil {
			return nil, err
		}
	}
	return r.metadataWhere(selectMetadata, int64(mb), who)
}

// MetadataSince implements store.Reader.
func (r *reader) MetadataSince(n mail.ModSeq, who mail.PrincipalID) ([]mail.Metadata, error) {
	a, err := r.Account()
	if err != nil {
		return nil, err
	}
	if n < a.Exact() {
		return nil, tooOld()
	}
	return r.metadataWhere(selectMetadataSince, int64(n), who)
}

func (r *reader) metadataWhere(sql string, of int64, who mail.PrincipalID) ([]mail.Metadata, error) {
	var all []mail.Metadata
	err := r.c.query(sql, func(row row) error {
		all = append(all, mail.Metadata{Mailbox: mail.MailboxID(row.num(0)), Name: row.text(1), ModSeq: mail.ModSeq(row.num(2)), Value: given(row, 3)})
		return nil
	}, r.id, of, int64(who))
	slices.SortFunc(all, func(a, b mail.Metadata) int {
		return cmp.Or(cmp.Compare(a.Mailbox, b.Mailbox), cmp.Compare(a.Name, b.Name))
	})
	return all, err
}

// given reads a value from two columns: whether it is there, and what it is.
func given(r row, from int) []byte {
	if r.num(from) == 0 {
		return nil
	}
	return append([]byte{}, r.bytes(from+1)...)
}

// SetMetadata implements store.Tx.
func (t *tx) SetMetadata(mb mail.MailboxID, who mail.PrincipalID, name string, value []byte) error {
	name, err := mail.MetadataEntry(name)
	if err != nil {
		return err
	}
	if !mail.IsPrivateMetadata(name) {
		who = 0
	}
	var b *box
	if mb != 0 {
		if b, err = t.box(mb); err != nil {
			return err
		}
	}
	old, err := t.annotated(mb, who, name)
	if err != nil || old == nil && value == nil || old != nil && value != nil && bytes.Equal(old, value) {
		return err
	}
	if err := t.metadataFits(mb, who, name, old, value); err != nil {
		return err
	}
	if _, err := t.c.exec(upsertMetadata, t.id, mb, int64(who), name, t.n, value != nil, value); err != nil {
		return err
	}
	if b != nil {
		b.HighestModSeq = t.n
	}
	if who != 0 { // so that it goes with them
		if _, err := t.c.exec(traceShare, int64(who), t.id); err != nil {
			return err
		}
	}
	t.annotates = true
	t.add(mail.Entry{Op: mail.OpMetadata, Mailbox: mb, Who: who, Name: name, Old: old, New: value})
	return nil
}

// annotated returns a value; nil is none.
func (t *tx) annotated(mb mail.MailboxID, who mail.PrincipalID, name string) (value []byte, err error) {
	_, err = one(t.c, selectAnnotated, func(r row) { value = given(r, 0) }, t.id, mb, int64(who), name)
	return value, err
}

// metadataFits looks at the bounds.
func (t *tx) metadataFits(mb mail.MailboxID, who mail.PrincipalID, name string, old, value []byte) error {
	var n, total int64
	first, last := mail.SharedScope+"/", mail.SharedScope+"0" // "0" follows "/"
	if mail.IsPrivateMetadata(name) {
		first, last = mail.PrivateScope+"/", mail.PrivateScope+"0"
	}
	if _, err := one(t.c, countMetadata, func(r row) { n = r.num(0) }, t.id, mb, int64(who), first, last); err != nil {
		return err
	}
	if _, err := one(t.c, sumMetadata, func(r row) { total = r.num(0) }, t.id); err != nil {
		return err
	}
	return mail.MetadataFits(n, total, old, value)
}

// metadata gives an annotation back the value it had, unless it was changed since.
func (u *undo) metadata(e mail.Entry) error {
	if e.Mailbox != 0 {
		if b, err := u.boxOrNil(e.Mailbox); err != nil || b == nil {
			u.left("the mailbox with the annotation %s is gone", e.Name)
			return err
		}
	}
	now, err := u.annotated(e.Mailbox, e.Who, e.Name)
	switch {
	case err != nil:
		return err
	case (now == nil) != (e.New == nil) || !bytes.Equal(now, e.New):
		u.left("the annotation %s was changed since", e.Name)
		return nil
	}
	err = u.SetMetadata(e.Mailbox, e.Who, e.Name, e.Old)
	if mail.KindOf(err) == mail.Limit && err != nil {
		u.left("the annotation %s: %s", e.Name, mail.DetailOf(err))
		return nil
	}
	u.report.Undone++
	return err
}
