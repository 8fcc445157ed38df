package past

import (
	"cmp"
	"context"
	"math"
	"slices"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Message is a message in a mailbox as it was.
type Message struct {
	UID         mail.UID
	Key         mail.MessageKey
	Flags       mail.Flags
	Annotations []mail.Annotation // everybody's, by scope, whose and name; without ModSeq
	// Placement is it as it is now, or was when it left.
	Placement mail.Placement
	Left      mail.ModSeq // 0: it is there
	// Message is what it is, where that was asked for. Its blob can be opened.
	Message mail.Message

	now []mail.Annotation // those it has, or had when it left
}

// Query selects messages of a mailbox.
type Query struct {
	Mailbox mail.MailboxID
	After   mail.UID // UID greater than
	UID     mail.UID // that one alone; 0 is all
	Whole   bool     // with the Message

	touched bool // those alone that left, or changed since
}

// Messages calls fn with the messages a mailbox held, by UID, outside any View of the
// store. What was erased since is not among them. NotFound if there was no such mailbox.
func (v *View) Messages(ctx context.Context, q Query, fn func(*Message) error) error {
	if _, there := v.frame.images[q.Mailbox]; !there {
		return mail.Errorf(mail.NotFound, "there was no such mailbox then")
	}
	if q.UID != 0 {
		q.After = q.UID - 1
	}
	for more := true; more; {
		page, next, err := v.page(ctx, q, nil)
		if err != nil {
			return err
		}
		for i := range page {
			if err := fn(&page[i]); err != nil {
				return err
			}
		}
		q.After, more = next, next != 0 && q.UID == 0
	}
	return nil
}

// page returns messages and after which UID the next page begins, 0 at the end. also,
// if not nil, is called with them on the snapshot they were read from.
func (v *View) page(ctx context.Context, q Query, also func(store.Reader, []Message) error) (page []Message, next mail.UID, err error) {
	for at := (spot{q.Mailbox, q.After + 1}); ; {
		if err := v.cover(ctx, at); err != nil {
			return nil, 0, err
		}
		covered := false
		err = v.upToDate(ctx, func(r store.Reader) error {
			if covered = v.since.covers(at); !covered {
				return nil // what happened meanwhile took its room
			}
			if page, next, err = v.read(r, q); err == nil && also != nil {
				err = also(r, page)
			}
			return err
		})
		if err != nil || covered {
			return page, next, err
		}
	}
}

// cover sees to it that the changes at a spot are in memory.
func (v *View) cover(ctx context.Context, at spot) error {
	if v.since.covers(at) {
		return nil
	}
	var head mail.ModSeq
	err := v.look(ctx, func(_ store.Reader, a mail.Account) error { head = a.Head; return nil })
	if err != nil {
		return err
	}
	v.since = newChanges(at, v.bounds.changes, head)
	return v.records(ctx, v.at, head, func(rec mail.Record) {
		for _, e := range slices.Backward(rec.Entries) {
			v.since.takeBack(e)
		}
	})
}

// upToDate runs fn on a snapshot up to which the changes are known.
func (v *View) upToDate(ctx context.Context, fn func(store.Reader) error) error {
	for behind := true; behind; {
		var head mail.ModSeq
		err := v.look(ctx, func(r store.Reader, a mail.Account) error {
			head = a.Head
			if behind = head > v.since.head+mail.ModSeq(v.bounds.records); behind {
				return nil // caught up with in Views of their own
			}
			if head > v.since.head {
				records, err := r.Journal(store.JournalQuery{After: v.since.head, Limit: v.bounds.records})
				if err != nil {
					return err
				}
				v.since.ahead(head, records)
			}
			return fn(r)
		})
		if err == nil && behind {
			newer := newChanges(v.since.from, v.bounds.changes, head)
			newer.upTo = v.since.upTo
			err = v.records(ctx, v.since.head, head, func(rec mail.Record) {
				for _, e := range slices.Backward(rec.Entries) {
					newer.takeBack(e)
				}
			})
			if err == nil {
				v.since.join(newer)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// touchedPages is by how much a page of touched messages is longer: which those are is
// asked of an index for each page anew.
const touchedPages = 8

// read reads a page: what is there and what left, as far as both are known.
func (v *View) read(r store.Reader, q Query) (page []Message, next mail.UID, err error) {
	last := mail.UID(math.MaxUint32)
	if q.UID != 0 {
		last = q.UID
	}
	end, limit := last, v.bounds.messages // of the page
	if q.touched {
		limit = touchedPages * v.bounds.messages
	}
	pq := store.PlacementQuery{Mailbox: q.Mailbox, UIDs: mail.UIDSet{{First: q.After + 1, Last: last}}, Limit: limit}
	if q.touched {
		pq.ChangedSince = v.at
	}
	n := 0
	err = r.Placements(pq, func(p *mail.Placement) error {
		if n++; n == limit {
			end = min(end, p.UID)
		}
		if p.Created <= v.at {
			page = append(page, Message{UID: p.UID, Key: p.Message, Placement: *p})
		}
		return nil
	})
	if err != nil && mail.KindOf(err) != mail.NotFound { // that the mailbox is gone
		return nil, 0, err
	}
	n = 0
	err = r.Left(store.LeftQuery{Mailbox: q.Mailbox, Since: v.at, After: q.After, Limit: limit}, func(d *mail.Departure) error {
		if n++; n == limit {
			end = min(end, d.UID)
		}
		if d.Erased { // nobody can tell what it was
			return nil
		}
		page = append(page, Message{UID: d.UID, Key: d.Message, Placement: d.Placement, Left: d.Left})
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	if upTo := v.since.upTo; upTo.mailbox == q.Mailbox && upTo.uid > 0 {
		end = min(end, upTo.uid-1)
	}
	page = slices.DeleteFunc(page, func(m Message) bool { return m.UID > end })
	slices.SortFunc(page, func(a, b Message) int { return cmp.Compare(a.UID, b.UID) })
	if end < last {
		next = end
	}
	return page, next, v.fillIn(r, q, page)
}

// fillIn adds what the rows of placements do not say.
func (v *View) fillIn(r store.Reader, q Query, page []Message) error {
	if len(page) == 0 {
		return nil
	}
	var uids mail.UIDSet
	for _, m := range page {
		uids.Add(m.UID)
	}
	notes := map[mail.UID][]mail.Annotation{}
	err := r.Annotations(store.AnnotationQuery{Mailbox: q.Mailbox, UIDs: uids, Everybody: true}, func(a *mail.Annotation) error {
		is := *a
		is.Value, is.ModSeq = slices.Clone(a.Value), 0
		notes[a.UID] = append(notes[a.UID], is)
		return nil
	})
	for i := range page {
		m := &page[i]
		at := spot{q.Mailbox, m.UID}
		m.Flags = v.since.flags(at, m.Placement.Flags)
		m.now = slices.Clone(notes[m.UID])
		m.Annotations = inOrder(v.since.notes(at, notes[m.UID]))
		if q.Whole && err == nil {
			m.Message, err = r.Message(m.Key)
		}
	}
	return err
}

func inOrder(all []mail.Annotation) []mail.Annotation {
	slices.SortFunc(all, func(a, b mail.Annotation) int {
		return cmp.Or(cmp.Compare(a.Spelled(), b.Spelled()), cmp.Compare(a.Who, b.Who))
	})
	return all
}

// Count returns how many messages a mailbox held, at the cost of what came and left
// since.
func (v *View) Count(ctx context.Context, mb mail.MailboxID) (int64, error) {
	var n int64
	err := v.look(ctx, func(r store.Reader, _ mail.Account) error {
		n = 0
		is, err := r.Mailbox(mb)
		if err != nil && mail.KindOf(err) != mail.NotFound {
			return err
		}
		if err == nil {
			n = is.Counts.Placements
			err := r.Placements(store.PlacementQuery{Mailbox: mb, ChangedSince: v.at}, func(p *mail.Placement) error {
				if p.Created > v.at {
					n--
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return r.Left(store.LeftQuery{Mailbox: mb, Since: v.at}, func(d *mail.Departure) error {
			if !d.Erased {
				n++
			}
			return nil
		})
	})
	return n, err
}
