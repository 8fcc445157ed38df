package model

import (
	"maps"
	"slices"

	"lockstep/internal/mail"
)

// told is by what later arrivals find the thread of a message: what it made known.
type told struct {
	ids     []string
	subject string
}

// Erase takes messages and objects out for good.
func (t *tx) Erase(what mail.Erasing) (mail.Erased, error) {
	var done mail.Erased
	if len(what.Messages) > mail.MaxErasing || len(what.Objects) > mail.MaxErasing {
		return done, mail.Errorf(mail.Limit, "at most %d messages are erased at once", mail.MaxErasing)
	}
	there, left := map[mail.MailboxID]mail.UIDSet{}, map[mail.MailboxID]mail.UIDSet{}
	emails := map[mail.EmailID]bool{}
	keys := map[mail.MessageKey]bool{}
	t.s.erased = maps.Clone(t.s.erased)
	for _, key := range what.Messages {
		m := t.s.messages.get(int64(key))
		if m == nil || t.s.erased[key] {
			continue
		}
		t.s.erased[key], keys[key], emails[m.EmailID] = true, true, true
		done.Messages++
		done.Names += t.forgetNames(m)
		for mb, ds := range t.s.left {
			for _, d := range ds {
				if d.Message == key {
					addTo(left, mb, d.UID)
					done.Departed++
				}
			}
		}
		for _, p := range slices.Clone(t.s.where.get(int64(key))) {
			addTo(there, p.Mailbox, p.UID)
			done.Placements++
			t.drop(p)
		}
	}
	both := maps.Clone(left)
	for mb, uids := range there {
		for uid := range uids.All() {
			addTo(both, mb, uid)
		}
	}
	for _, mb := range slices.Sorted(maps.Keys(both)) {
		t.did(mail.Entry{Op: mail.OpErase, Mailbox: mb, UIDs: there[mb], Was: left[mb]})
		t.s.left[mb] = slices.Clone(t.s.left[mb])
		for i := range t.s.left[mb] {
			if both[mb].Contains(t.s.left[mb][i].UID) {
				t.s.left[mb][i].Flags = mail.Flags{}
			}
		}
	}
	t.s.notes = maps.Clone(t.s.notes)
	maps.DeleteFunc(t.s.notes, func(k noteKey, _ mail.Annotation) bool {
		gone := both[k.mailbox].Contains(k.uid)
		if gone {
			done.Annotations++
		}
		return gone
	})
	maps.DeleteFunc(t.s.uploads, func(_ mail.UploadID, u mail.Upload) bool {
		gone := slices.ContainsFunc(u.Emails, func(id mail.EmailID) bool { return emails[id] })
		if gone {
			done.Uploads++
		}
		return gone
	})
	t.s.once = maps.Clone(t.s.once)
	for k, m := range t.s.once {
		if keys[m.placement.Message] {
			m.placement.Flags = mail.Flags{}
			t.s.once[k] = m
		}
	}
	objects := map[mail.ObjectID]bool{}
	for _, id := range what.Objects {
		objects[id] = true
		for k := range t.s.objects {
			if k.id == id {
				if err := t.DropObject(k.typ, id); err != nil {
					return done, err
				}
				done.Objects++
			}
		}
	}
	t.entries, _ = mail.Effaced(t.entries, both, objects)
	t.s.journal = slices.Clone(t.s.journal)
	for i, rec := range t.s.journal {
		var some bool
		if rec.Entries, some = mail.Effaced(rec.Entries, both, objects); some {
			t.s.journal[i] = rec
			done.Records++
		}
	}
	return done, nil
}

// forgetNames forgets by what the thread of a message was found, as far as that
// message made it known.
func (t *tx) forgetNames(m *mail.Message) (n int) {
	if !t.names {
		t.s.threadOf, t.s.subjects, t.s.told, t.names = maps.Clone(t.s.threadOf), maps.Clone(t.s.subjects), maps.Clone(t.s.told), true
	}
	known := t.s.told[m.Key]
	delete(t.s.told, m.Key)
	for _, id := range known.ids {
		if t.s.threadOf[id] == m.Thread {
			delete(t.s.threadOf, id)
			n++
		}
	}
	if known.subject != "" && t.s.subjects[known.subject] == m.Thread {
		delete(t.s.subjects, known.subject)
		n++
	}
	return n
}

func addTo(sets map[mail.MailboxID]mail.UIDSet, mb mail.MailboxID, uid mail.UID) {
	set := slices.Clone(sets[mb])
	set.Add(uid)
	sets[mb] = set
}

// leftErased says of messages that there is nothing to bring back.
func (u *undo) leftErased(n uint64) {
	for range n {
		u.left("a message was erased, and can't come back")
	}
}
