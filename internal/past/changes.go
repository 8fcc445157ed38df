package past

import (
	"cmp"
	"maps"
	"slices"

	"lockstep/internal/mail"
)

// maxChanges bounds the messages of whose changes a View keeps something in memory:
// some 50 bytes each, and what annotations said.
const maxChanges = 1 << 19

// noteBytes of an annotation count as a message against that.
const noteBytes = 64

// spot is a UID in a mailbox. Spots are in the order of the mailboxes' ids.
type spot struct {
	mailbox mail.MailboxID
	uid     mail.UID
}

func (s spot) compare(t spot) int {
	return cmp.Or(cmp.Compare(s.mailbox, t.mailbox), cmp.Compare(s.uid, t.uid))
}

// changes is what became of messages since a moment, to be taken from what they are:
// of those from one spot on, and up to another where there was no more room.
type changes struct {
	from   spot
	upTo   spot // zero is no end
	limit  int
	n      int
	head   mail.ModSeq // of the newest record in it
	boxes  map[mail.MailboxID]map[mail.UID]*change
	shared map[reflag]*change // changes of flags alone, as most are alike
}

// reflag makes flags what they were: first it clears, then it sets.
type reflag struct{ clear, set mail.Flags }

// change is what one message was otherwise.
type change struct {
	reflag
	notes []mail.Annotation // as they were; without a value: not there
}

func newChanges(from spot, limit int, head mail.ModSeq) *changes {
	return &changes{from: from, limit: limit, head: head, boxes: map[mail.MailboxID]map[mail.UID]*change{}, shared: map[reflag]*change{}}
}

// covers reports whether the changes of what is at the spot are known.
func (c *changes) covers(s spot) bool {
	return s.compare(c.from) >= 0 && (c.upTo == spot{} || s.compare(c.upTo) < 0)
}

// before makes of flags what they were before f, given that g is older.
func (f reflag) before(g reflag) reflag {
	return reflag{f.clear.Union(g.clear), f.set.Minus(g.clear).Union(g.set)}
}

func (f reflag) apply(flags mail.Flags) mail.Flags { return flags.Minus(f.clear).Union(f.set) }

// takeBack adds an entry that is older than all before.
func (c *changes) takeBack(e mail.Entry) {
	switch e.Op {
	case mail.OpAppend, mail.OpRestore:
		c.forget(e.Mailbox, e.UIDs)
	case mail.OpCopy, mail.OpMove:
		c.forget(e.Dest, e.DestUIDs)
	case mail.OpFlags:
		if e.Who != 0 {
			return // a member's own \Seen is no part of the mailbox
		}
		f := reflag{flagsOf(e.Added), flagsOf(e.Removed)}
		c.each(e.Mailbox, e.UIDs, func(was *change) *change {
			if was == nil {
				return c.share(f)
			}
			if was.notes == nil {
				return c.share(was.before(f))
			}
			return &change{was.before(f), was.notes}
		})
	case mail.OpAnnotate:
		a := mail.ReadAnnotation(e.Name, e.Who, e.Old)
		c.each(e.Mailbox, e.UIDs, func(was *change) *change {
			is := change{}
			if was != nil {
				is = *was
			}
			c.n += len(a.Value) / noteBytes
			is.notes = append(slices.DeleteFunc(slices.Clone(is.notes), a.IsSame), a)
			return &is
		})
	}
	c.fit()
}

// flagsOf reads names that the store wrote.
func flagsOf(names []string) mail.Flags {
	f, err := mail.NewFlags(names...)
	if err != nil {
		panic("past: the journal holds flags that are none: " + err.Error())
	}
	return f
}

func (c *changes) share(f reflag) *change {
	if c.shared[f] == nil {
		c.shared[f] = &change{reflag: f}
	}
	return c.shared[f]
}

// each replaces what is known of those of uids that are covered.
func (c *changes) each(mb mail.MailboxID, uids mail.UIDSet, fn func(was *change) *change) {
	for _, r := range uids {
		first, last := uint64(r.First), uint64(r.Last)
		if mb == c.from.mailbox {
			first = max(first, uint64(c.from.uid))
		}
		for uid := first; uid <= last && c.covers(spot{mb, mail.UID(uid)}); uid++ {
			c.put(mb, mail.UID(uid), fn(c.boxes[mb][mail.UID(uid)]))
		}
	}
}

func (c *changes) put(mb mail.MailboxID, uid mail.UID, is *change) {
	box := c.boxes[mb]
	if box == nil {
		box = map[mail.UID]*change{}
		c.boxes[mb] = box
	}
	if box[uid] == nil {
		c.n++
	}
	box[uid] = is
	if c.n > 2*c.limit { // one entry may be of a great many
		c.fit()
	}
}

// forget drops what is known of messages that had not come yet.
func (c *changes) forget(mb mail.MailboxID, uids mail.UIDSet) {
	box := c.boxes[mb]
	before := len(box)
	if uint64(before) < uids.Count() {
		maps.DeleteFunc(box, func(uid mail.UID, _ *change) bool { return uids.Contains(uid) })
	} else {
		for uid := range uids.All() {
			delete(box, uid)
		}
	}
	c.n -= before - len(box)
}

// fit makes room by forgetting what is at the end.
func (c *changes) fit() {
	for c.n > c.limit && len(c.boxes) > 0 {
		last := slices.Max(slices.Collect(maps.Keys(c.boxes)))
		c.upTo = spot{last, 0}
		if len(c.boxes) == 1 {
			uids := slices.Sorted(maps.Keys(c.boxes[last]))
			c.upTo.uid = uids[len(uids)/2]
		}
		if c.upTo == c.from { // one message at least
			c.upTo.uid++
		}
		c.cut(last)
	}
}

// cut drops of a mailbox what is not covered, and counts anew.
func (c *changes) cut(mb mail.MailboxID) {
	maps.DeleteFunc(c.boxes[mb], func(uid mail.UID, _ *change) bool { return !c.covers(spot{mb, uid}) })
	if len(c.boxes[mb]) == 0 {
		delete(c.boxes, mb)
	}
	c.n = 0
	for _, box := range c.boxes {
		c.n += len(box)
		for _, is := range box {
			for _, a := range is.notes {
				c.n += len(a.Value) / noteBytes
			}
		}
	}
	if len(c.boxes) == 1 && c.n > c.limit && len(c.boxes[mb]) == 1 {
		c.n = c.limit // a single message is always taken
	}
}

// ahead adds records that are newer than all before, newest first.
func (c *changes) ahead(head mail.ModSeq, records []mail.Record) {
	newer := newChanges(c.from, c.limit, head)
	newer.upTo = c.upTo
	for _, rec := range records {
		for _, e := range slices.Backward(rec.Entries) {
			newer.takeBack(e)
		}
	}
	c.join(newer)
}

// join puts what happened later before what is known.
func (c *changes) join(newer *changes) {
	c.head = newer.head
	if newer.upTo != c.upTo {
		c.upTo = newer.upTo
		for mb := range c.boxes {
			c.cut(mb)
		}
	}
	for mb, box := range newer.boxes {
		for uid, n := range box {
			if !c.covers(spot{mb, uid}) {
				continue
			}
			was := c.boxes[mb][uid]
			if was == nil {
				was = &change{}
			}
			is := &change{reflag: n.before(was.reflag), notes: slices.Clone(was.notes)}
			for _, a := range n.notes {
				if !slices.ContainsFunc(is.notes, a.IsSame) {
					is.notes = append(is.notes, a)
				}
			}
			c.put(mb, uid, is)
		}
	}
	c.fit()
}

// flags are what the message at the spot had, given what it has.
func (c *changes) flags(s spot, now mail.Flags) mail.Flags {
	if is := c.boxes[s.mailbox][s.uid]; is != nil {
		return is.apply(now)
	}
	return now
}

// notes are the annotations the message at the spot had, given those it has.
func (c *changes) notes(s spot, now []mail.Annotation) []mail.Annotation {
	is := c.boxes[s.mailbox][s.uid]
	if is == nil || is.notes == nil {
		return now
	}
	now = slices.DeleteFunc(now, func(a mail.Annotation) bool { return slices.ContainsFunc(is.notes, a.IsSame) })
	for _, a := range is.notes {
		if a.Value != nil {
			a.UID = s.uid
			now = append(now, a)
		}
	}
	return now
}
