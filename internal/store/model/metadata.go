package model

import (
	"bytes"
	"cmp"
	"slices"

	"lockstep/internal/mail"
)

// annotation names an annotation of a mailbox.
type annotation struct {
	mailbox mail.MailboxID
	who     mail.PrincipalID
	name    string
}

// seenBy says whether who may see it.
func (a annotation) seenBy(who mail.PrincipalID) bool {
	return !mail.IsPrivateMetadata(a.name) || a.who == who
}

func (s *state) metadataWhere(want func(annotation, mail.Metadata) bool) []mail.Metadata {
	var all []mail.Metadata
	for a, m := range s.metadata {
		if (a.mailbox == 0 || s.boxes[a.mailbox] != nil) && want(a, m) {
			m.Value = slices.Clone(m.Value)
			all = append(all, m)
		}
	}
	slices.SortFunc(all, func(a, b mail.Metadata) int {
		return cmp.Or(cmp.Compare(a.Mailbox, b.Mailbox), cmp.Compare(a.Name, b.Name))
	})
	return all
}

// Metadata returns the annotations of a mailbox.
func (r reader) Metadata(mb mail.MailboxID, who mail.PrincipalID) ([]mail.Metadata, error) {
	s := r.state()
	if mb != 0 {
		if _, err := s.box(mb); err != nil {
			return nil, err
		}
	}
	return s.metadataWhere(func(a annotation, m mail.Metadata) bool { return a.mailbox == mb && a.seenBy(who) && m.Value != nil }), nil
}

// MetadataSince returns the annotations that changed after n.
func (r reader) MetadataSince(n mail.ModSeq, who mail.PrincipalID) ([]mail.Metadata, error) {
	s := r.state()
	if n < s.account.Exact() {
		return nil, tooOld()
	}
	return s.metadataWhere(func(a annotation, m mail.Metadata) bool { return m.ModSeq > n && a.seenBy(who) }), nil
}

// SetMetadata sets an annotation.
func (t *tx) SetMetadata(mb mail.MailboxID, who mail.PrincipalID, name string, value []byte) error {
	name, err := mail.MetadataEntry(name)
	if err != nil {
		return err
	}
	if mb != 0 {
		if _, err := t.s.box(mb); err != nil {
			return err
		}
	}
	a := annotation{mb, who, name}
	if !mail.IsPrivateMetadata(name) {
		a.who = 0
	}
	old := t.s.metadata[a].Value
	if (old == nil) == (value == nil) && bytes.Equal(old, value) {
		return nil
	}
	var n, total int64
	for other, m := range t.s.metadata {
		if total += int64(len(m.Value)); m.Value != nil && other.mailbox == mb && other.who == a.who && mail.IsPrivateMetadata(other.name) == mail.IsPrivateMetadata(name) {
			n++
		}
	}
	if err := mail.MetadataFits(n, total, old, value); err != nil {
		return err
	}
	if mb != 0 {
		t.touch(mb)
	}
	t.s.metadata[a] = mail.Metadata{Mailbox: mb, Name: name, ModSeq: t.n, Value: slices.Clone(value)}
	t.annotates = true
	t.did(mail.Entry{Op: mail.OpMetadata, Mailbox: mb, Who: a.who, Name: name, Old: old, New: slices.Clone(value)})
	return nil
}

func (u *undo) metadata(e mail.Entry) {
	now := u.s.metadata[annotation{e.Mailbox, e.Who, e.Name}].Value
	switch {
	case e.Mailbox != 0 && u.s.boxes[e.Mailbox] == nil:
		u.left("the mailbox with the annotation %s is gone", e.Name)
	case (now == nil) != (e.New == nil) || !bytes.Equal(now, e.New):
		u.left("the annotation %s was changed since", e.Name)
	default:
		if err := u.SetMetadata(e.Mailbox, e.Who, e.Name, e.Old); err != nil {
			u.left("the annotation %s: %s", e.Name, mail.DetailOf(err))
			return
		}
		u.report.Undone++
	}
}
