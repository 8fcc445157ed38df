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

// Keep returns now with messages of old that are gone from it: the mailbox as a
// session sees it that may not be told of them yet.
func Keep(old, now *Version, gone []Entry) *Version {
	if len(gone) == 0 {
		return now
	}
	puts := slices.Clone(gone)
	if old.flags != now.flags {
		for i := range puts {
			puts[i].flags = now.flags.id(old.Flags(puts[i]))
		}
	}
	return now.with(puts, nil)
}
