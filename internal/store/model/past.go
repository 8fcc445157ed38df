package model

import (
	"cmp"
	"slices"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Left calls fn with what left a mailbox.
func (r reader) Left(q store.LeftQuery, fn func(*mail.Departure) error) error {
	s := r.raw()
	if q.Since < s.account.Horizon {
		return tooOld()
	}
	var found []mail.Departure
	for _, d := range s.left[q.Mailbox] {
		if d.UID > q.After && d.Created <= q.Since && d.at > q.Since {
			found = append(found, mail.Departure{Placement: d.Placement, Left: d.at, Erased: s.erased[d.Message]})
		}
	}
	slices.SortFunc(found, func(a, b mail.Departure) int { return cmp.Compare(a.UID, b.UID) })
	if q.Limit > 0 && len(found) > q.Limit {
		found = found[:q.Limit]
	}
	for i := range found {
		if err := fn(&found[i]); err != nil {
			return err
		}
	}
	return nil
}

// DeletedMailboxes returns the mailboxes that are kept.
func (r reader) DeletedMailboxes() ([]mail.DeletedMailbox, error) {
	var all []mail.DeletedMailbox
	for id, f := range r.raw().fallen {
		all = append(all, mail.DeletedMailbox{ID: id, Image: f.Image(), UIDValidity: f.UIDValidity, UIDNext: f.UIDNext, Left: f.at})
	}
	slices.SortFunc(all, func(a, b mail.DeletedMailbox) int { return cmp.Compare(a.ID, b.ID) })
	return all, nil
}

// AllMetadata returns everybody's annotations, also of mailboxes that are kept.
func (r reader) AllMetadata() ([]mail.KeptMetadata, error) {
	s := r.raw()
	var all []mail.KeptMetadata
	for a, m := range s.metadata {
		_, kept := s.fallen[a.mailbox]
		if m.Value != nil && (a.mailbox == 0 || s.boxes[a.mailbox] != nil || kept) {
			m.Value = slices.Clone(m.Value)
			all = append(all, mail.KeptMetadata{Metadata: m, Who: a.who})
		}
	}
	slices.SortFunc(all, func(a, b mail.KeptMetadata) int {
		return cmp.Or(cmp.Compare(a.Mailbox, b.Mailbox), cmp.Compare(a.Who, b.Who), cmp.Compare(a.Name, b.Name))
	})
	return all, nil
}

// BringBack puts what left a mailbox into it again.
func (t *tx) BringBack(mb mail.MailboxID, uids mail.UIDSet) (store.Mapping, error) {
	if _, err := t.s.box(mb); err != nil {
		return store.Mapping{}, err
	}
	u := t.newUndo(nil)
	var there mail.UIDSet
	for _, d := range t.s.left[mb] {
		if uids.Contains(d.UID) {
			there.Add(d.UID)
		}
	}
	before := len(t.entries)
	u.restore(mb, there)
	if len(t.entries) == before {
		return store.Mapping{}, nil
	}
	e := t.entries[len(t.entries)-1]
	return store.Mapping{From: e.Was, To: e.UIDs}, nil
}

// BringBackMailbox makes a deleted mailbox again, empty.
func (t *tx) BringBackMailbox(id mail.MailboxID, im mail.MailboxImage) (mail.Mailbox, error) {
	f, kept := t.s.fallen[id]
	switch {
	case !kept:
		return mail.Mailbox{}, mail.Errorf(mail.NotFound, "the mailbox is there, or no longer kept")
	case len(t.s.boxes) >= mail.MaxMailboxes:
		return mail.Mailbox{}, mail.Errorf(mail.Limit, "an account has at most %d mailboxes", mail.MaxMailboxes)
	}
	if err := t.fits(0, im); err != nil {
		return mail.Mailbox{}, err
	}
	return t.s.shown(t.place(f.Mailbox, im)), nil
}
