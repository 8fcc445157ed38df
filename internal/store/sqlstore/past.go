package sqlstore

import (
	"cmp"
	"encoding/json"
	"math"
	"slices"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

const (
	selectLeft = "SELECT " + placementColumns + `, p.vanished, EXISTS (SELECT 1 FROM message m WHERE m.account_id = p.account_id AND m.message_key = p.message_key AND m.content_id = 0)
	FROM vanished_placement p WHERE p.account_id = ?1 AND p.mailbox_id = ?2 AND p.uid > ?3
	AND p.created <= ?4 AND p.vanished > ?4 ORDER BY p.uid LIMIT ?5`
	selectDeletedMailboxes = `SELECT v.id, v.modseq, v.image FROM vanished v WHERE v.account_id = ?1 AND v.type = ?2
	AND NOT EXISTS (SELECT 1 FROM mailbox m WHERE m.account_id = ?1 AND m.mailbox_id = v.id) ORDER BY v.modseq`
	// Of mailboxes that are neither there nor kept some may lie here until the horizon
	// has passed them.
	selectAllMetadata = `SELECT mailbox_id, name, modseq, there, value, who FROM metadata WHERE account_id = ?1 AND there = 1 AND (mailbox_id = 0
	OR mailbox_id IN (SELECT b.mailbox_id FROM mailbox b WHERE b.account_id = ?1) OR mailbox_id IN (SELECT v.id FROM vanished v WHERE v.account_id = ?1 AND v.type = ?2))`
)

// Left implements store.Reader.
func (r *reader) Left(q store.LeftQuery, fn func(*mail.Departure) error) error {
	a, err := r.Account()
	if err != nil {
		return err
	}
	if q.Since < a.Horizon {
		return tooOld()
	}
	limit := q.Limit
	if limit <= 0 {
		limit = math.MaxInt32
	}
	var later []mail.Departure
	err = r.c.query(selectLeft, func(row row) error {
		var d mail.Departure
		scanPlacement(row, &d.Placement)
		d.Left, d.Erased = mail.ModSeq(row.num(12)), row.num(13) != 0
		if r.held {
			later = append(later, d)
			return nil
		}
		return fn(&d)
	}, r.id, q.Mailbox, q.After, q.Since, limit)
	for i := range later {
		if err == nil {
			err = fn(&later[i])
		}
	}
	return err
}

// DeletedMailboxes implements store.Reader.
func (r *reader) DeletedMailboxes() ([]mail.DeletedMailbox, error) {
	last := map[mail.MailboxID]mail.DeletedMailbox{}
	err := r.c.query(selectDeletedMailboxes, func(row row) error {
		d := mail.DeletedMailbox{ID: mail.MailboxID(row.num(0)), Left: mail.ModSeq(row.num(1))}
		var kept keptMailbox
		if err := json.Unmarshal(row.bytes(2), &kept); err != nil {
			return err
		}
		d.Image, d.UIDValidity, d.UIDNext = kept.Image, kept.UIDValidity, kept.UIDNext
		last[d.ID] = d
		return nil
	}, r.id, mail.TypeMailbox)
	all := make([]mail.DeletedMailbox, 0, len(last))
	for _, d := range last {
		all = append(all, d)
	}
	slices.SortFunc(all, func(a, b mail.DeletedMailbox) int { return cmp.Compare(a.ID, b.ID) })
	return all, err
}

// AllMetadata implements store.Reader.
func (r *reader) AllMetadata() ([]mail.KeptMetadata, error) {
	var all []mail.KeptMetadata
	err := r.c.query(selectAllMetadata, func(row row) error {
		all = append(all, mail.KeptMetadata{Who: mail.PrincipalID(row.num(5)), Metadata: mail.Metadata{
			Mailbox: mail.MailboxID(row.num(0)), Name: row.text(1), ModSeq: mail.ModSeq(row.num(2)), Value: given(row, 3)}})
		return nil
	}, r.id, mail.TypeMailbox)
	slices.SortFunc(all, func(a, b mail.KeptMetadata) int {
		return cmp.Or(cmp.Compare(a.Mailbox, b.Mailbox), cmp.Compare(a.Who, b.Who), cmp.Compare(a.Name, b.Name))
	})
	return all, err
}

// BringBack implements store.Tx.
func (t *tx) BringBack(mb mail.MailboxID, uids mail.UIDSet) (store.Mapping, error) {
	b, err := t.box(mb)
	if err != nil {
		return store.Mapping{}, err
	}
	hs, err := t.loadFrom(selectDepartedHeld, mb, uids, every)
	if err != nil || len(hs) == 0 {
		return store.Mapping{}, err
	}
	placed, err := t.bringBack(b, hs)
	if err != nil {
		return store.Mapping{}, err
	}
	var m store.Mapping
	m.From, _ = uidsOf(hs)
	m.To, _ = uidsOf(placed)
	t.add(mail.Entry{Op: mail.OpRestore, Mailbox: mb, UIDs: m.To, Was: m.From})
	return m, nil
}

// bringBack puts placements that left back, with their annotations; who calls it
// writes it down.
func (t *tx) bringBack(b *box, hs []held) ([]held, error) {
	placed, err := t.restore(b, hs)
	if err != nil {
		return nil, err
	}
	return placed, t.carry(b, hs, b, placed, true)
}

const selectVanishedMailbox = "SELECT modseq, image FROM vanished WHERE account_id = ?1 AND type = ?2 AND id = ?3 ORDER BY modseq DESC LIMIT 1"

// BringBackMailbox implements store.Tx.
func (t *tx) BringBackMailbox(id mail.MailboxID, im mail.MailboxImage) (mail.Mailbox, error) {
	kept, _, err := t.keptMailbox(id)
	if err != nil {
		return mail.Mailbox{}, err
	}
	b, err := t.remakeMailbox(id, im, kept)
	if err != nil {
		return mail.Mailbox{}, err
	}
	return b.Mailbox, nil
}

// keptMailbox returns what is kept of a deleted mailbox, and when it left; NotFound
// if it is there.
func (t *tx) keptMailbox(id mail.MailboxID) (kept keptMailbox, left mail.ModSeq, err error) {
	if _, err := t.box(id); mail.KindOf(err) != mail.NotFound {
		return kept, 0, cmp.Or(err, mail.Errorf(mail.NotFound, "the mailbox is there"))
	}
	var broken error
	ok, err := one(t.c, selectVanishedMailbox, func(r row) {
		left = mail.ModSeq(r.num(0))
		broken = json.Unmarshal(r.bytes(1), &kept)
	}, t.id, mail.TypeMailbox, id)
	if err = cmp.Or(err, broken); err == nil && !ok {
		err = mail.Errorf(mail.NotFound, "the mailbox is no longer kept")
	}
	return kept, left, err
}

// remakeMailbox makes a mailbox again as it was kept, empty and under the image.
func (t *tx) remakeMailbox(id mail.MailboxID, im mail.MailboxImage, kept keptMailbox) (*box, error) {
	n := int64(0)
	if _, err := one(t.c, countMailboxes, func(r row) { n = r.num(0) }, t.id); err != nil {
		return nil, err
	}
	if n >= mail.MaxMailboxes {
		return nil, mail.Errorf(mail.Limit, "an account has at most %d mailboxes", mail.MaxMailboxes)
	}
	path, err := t.fits(0, im)
	if err != nil {
		return nil, err
	}
	mb := mailbox{Mailbox: mail.Mailbox{ID: id, UIDValidity: kept.UIDValidity, UIDNext: kept.UIDNext}, recent: kept.Recent}
	mb.members = true // there may be some
	b, err := t.insertBox(mb, im, path)
	if err != nil {
		return nil, err
	}
	b.notes, err = t.notesOf(id)
	return b, err
}
