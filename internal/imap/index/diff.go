package index

import (
	"slices"

	"lockstep/internal/mail"
)

// Change is a message that is in both Versions and differs.
type Change struct{ Old, New Entry }

// Difference says how a Version came out of an older one.
type Difference struct {
	Gone    []Entry  // of the old one
	Changed []Change // both of the same UID
	Added   []Entry  // of the new one
}

// Empty reports whether nothing differs.
func (d *Difference) Empty() bool {
	return len(d.Gone) == 0 && len(d.Changed) == 0 && len(d.Added) == 0
}

// Touched returns the UIDs of what changed and of what was added.
func (d *Difference) Touched() (changed, added mail.UIDSet) {
	for _, c := range d.Changed {
		changed.Add(c.New.UID)
	}
	for _, e := range d.Added {
		added.Add(e.UID)
	}
	return changed, added
}

// Held returns the entries of the old Version that stay for who may not be told what
// has gone, or what has changed, in the order of their UIDs.
func (d *Difference) Held(gone, changed bool) []Entry {
	var held []Entry
	if !gone {
		held = append(held, d.Gone...)
	}
	if !changed {
		for _, c := range d.Changed {
			held = append(held, c.Old)
		}
	}
	slices.SortFunc(held, func(a, b Entry) int { return compareUID(a, b.UID) })
	return held
}

// Compare finds what differs. Only chunks that the two do not share are looked
// into.
func Compare(old, now *Version) Difference {
	var d Difference
	if n := len(old.chunks); n == len(now.chunks) && (n == 0 || &old.chunks[0] == &now.chunks[0]) {
		return d // the same list: something else in the account changed
	}
	a, b := cursor{chunks: old.chunks}, cursor{chunks: now.chunks}
	for !a.done() || !b.done() {
		switch {
		case a.atStart() && b.atStart() && a.chunks[0] == b.chunks[0]:
			a.skip()
			b.skip()
		case b.done() || !a.done() && a.entry().UID < b.entry().UID:
			d.Gone = append(d.Gone, a.next())
		case a.done() || a.entry().UID > b.entry().UID:
			d.Added = append(d.Added, b.next())
		default:
			if x, y := a.next(), b.next(); x.ModSeq != y.ModSeq {
				d.Changed = append(d.Changed, Change{x, y})
			}
		}
	}
	return d
}

// cursor walks chunks.
type cursor struct {
	chunks []*chunk
	at     int
}

func (c *cursor) done() bool    { return len(c.chunks) == 0 }
func (c *cursor) atStart() bool { return len(c.chunks) > 0 && c.at == 0 }
func (c *cursor) entry() Entry  { return c.chunks[0].entries[c.at] }
func (c *cursor) skip()         { c.chunks, c.at = c.chunks[1:], 0 }

func (c *cursor) next() Entry {
	e := c.entry()
	if c.at++; c.at == len(c.chunks[0].entries) {
		c.skip()
	}
	return e
}

// Keep returns now with messages as old has them, gone or changed since: the mailbox
// as a session sees it that may not be told of that yet.
func Keep(old, now *Version, held []Entry) *Version {
	if len(held) == 0 {
		return now
	}
	puts := slices.Clone(held)
	if old.flags != now.flags {
		for i := range puts {
			puts[i].flags = now.flags.id(old.Flags(puts[i]))
		}
	}
	return now.with(puts, nil)
}
