package model

import (
	"bytes"
	"cmp"
	"maps"
	"slices"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// noteKey names an annotation of a message; UIDs are never given again, so it may
// have left.
type noteKey struct {
	mailbox mail.MailboxID
	uid     mail.UID
	shared  bool
	who     mail.PrincipalID
	name    string
}

func keyOf(mb mail.MailboxID, a mail.Annotation) noteKey {
	if a.Shared {
		a.Who = 0
	}
	return noteKey{mb, a.UID, a.Shared, a.Who, a.Name}
}

// Annotations calls fn with annotations of messages.
func (r reader) Annotations(q store.AnnotationQuery, fn func(*mail.Annotation) error) error {
	for _, a := range r.raw().notesOf(q.Mailbox, q.UIDs) {
		if !a.Shared && a.Who != q.Who && !q.Everybody || q.ChangedSince == 0 && a.Value == nil || a.ModSeq <= q.ChangedSince {
			continue
		}
		if err := fn(&a); err != nil {
			return err
		}
	}
	return nil
}

// notesOf returns the annotations of messages, also removed ones; nil is all.
func (s *state) notesOf(mb mail.MailboxID, uids mail.UIDSet) []mail.Annotation {
	var all []mail.Annotation
	for k, a := range s.notes {
		if k.mailbox == mb && (uids == nil || uids.Contains(k.uid)) {
			a.Value = slices.Clone(a.Value)
			all = append(all, a)
		}
	}
	slices.SortFunc(all, func(a, b mail.Annotation) int {
		shared := 0
		if a.Shared != b.Shared {
			if shared = -1; a.Shared {
				shared = 1
			}
		}
		return cmp.Or(cmp.Compare(a.UID, b.UID), shared, cmp.Compare(a.Who, b.Who), cmp.Compare(a.Name, b.Name))
	})
	return all
}

// noteBytes is what the annotations of mailboxes that are there take.
func (s *state) noteBytes() (total int64) {
	for k, a := range s.notes {
		if s.boxes[k.mailbox] != nil {
			total += a.Cost()
		}
	}
	return total
}

// Annotate sets annotations.
func (t *tx) Annotate(mb mail.MailboxID, uids mail.UIDSet, changes []mail.Annotation, unchangedSince *mail.ModSeq) (store.StoreResult, error) {
	var r store.StoreResult
	b, err := t.s.box(mb)
	if err != nil {
		return r, err
	}
	for _, c := range changes {
		if err := mail.CheckAnnotationName(c.Name); err != nil {
			return r, err
		}
	}
	for _, p := range b.selected(uids) {
		if unchangedSince != nil && t.s.placed(p).ModSeq > *unchangedSince {
			r.Modified.Add(p.UID)
			continue
		}
		changed := false
		for _, c := range changes {
			did, err := t.annotate(mb, p.UID, c)
			if err != nil {
				return store.StoreResult{}, err
			}
			changed = changed || did
		}
		if !changed {
			r.Same.Add(p.UID)
			continue
		}
		r.Changed.Add(p.UID)
		t.reflag(p, p.Flags)
	}
	return r, nil
}

// annotate sets one annotation of one message.
func (t *tx) annotate(mb mail.MailboxID, uid mail.UID, c mail.Annotation) (changed bool, err error) {
	c.UID = uid
	k := keyOf(mb, c)
	c.Who = k.who
	old := t.s.notes[k].Value
	if (old == nil) == (c.Value == nil) && bytes.Equal(old, c.Value) {
		return false, nil
	}
	if err := mail.AnnotationFits(t.s.notesOf(mb, mail.MakeUIDSet(uid)), t.s.noteBytes(), c); err != nil {
		return false, err
	}
	t.note(k, c)
	t.did(mail.Entry{Op: mail.OpAnnotate, Mailbox: mb, UIDs: mail.MakeUIDSet(uid), Who: c.Who, Name: c.Spelled(), Old: old, New: slices.Clone(c.Value)})
	return true, nil
}

func (t *tx) note(k noteKey, a mail.Annotation) {
	if !t.noted {
		t.s.notes, t.noted = maps.Clone(t.s.notes), true
	}
	a.UID, a.ModSeq, a.Value = k.uid, t.n, slices.Clone(a.Value)
	t.s.notes[k] = a
}

// carry gives a message the annotations of the one it came out of.
func (t *tx) carry(from mail.MailboxID, uid mail.UID, to *mail.Placement, all bool) {
	for _, a := range t.s.notesOf(from, mail.MakeUIDSet(uid)) {
		if a.Value == nil || !all && !a.Shared && a.Who != 0 {
			continue
		}
		a.UID = to.UID
		t.note(keyOf(to.Mailbox, a), a)
	}
}

// annotateArrival gives a message what it comes with.
func (t *tx) annotateArrival(p *mail.Placement, a mail.Arrival, old *mail.Placement) error {
	if old != nil {
		t.carry(old.Mailbox, old.UID, p, true)
	}
	for _, c := range a.Annotations {
		c.UID = p.UID
		k := keyOf(p.Mailbox, c)
		c.Who = k.who
		if err := cmp.Or(mail.CheckAnnotationName(c.Name), mail.AnnotationFits(t.s.notesOf(p.Mailbox, mail.MakeUIDSet(p.UID)), t.s.noteBytes(), c)); err != nil {
			return err
		}
		t.note(k, c)
	}
	return nil
}

func (u *undo) annotations(e mail.Entry) {
	back := mail.ReadAnnotation(e.Name, e.Who, e.Old)
	for uid := range e.UIDs.All() {
		p := u.find(e.Mailbox, uid)
		if p == nil {
			u.left("a message that was annotated is no longer there")
			continue
		}
		back.UID = p.UID
		now := u.s.notes[keyOf(p.Mailbox, back)].Value
		if (now == nil) != (e.New == nil) || !bytes.Equal(now, e.New) {
			u.left("an annotation of a message was changed since")
			continue
		}
		u.kept[p.ID] = u.untouched(p)
		if _, err := u.annotate(p.Mailbox, p.UID, back); err != nil {
			u.left("an annotation: %s", mail.DetailOf(err))
			continue
		}
		u.reflag(p, p.Flags)
		u.report.Undone++
	}
}
