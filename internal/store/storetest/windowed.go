package storetest

import (
	"fmt"
	"maps"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// cutoff is how far back the windowed device looks.
var cutoff = day(180)

// device is a device that holds a window of one mailbox, as an ActiveSync
// device does: items are known by their lineage, so that an edited draft stays
// the same item, and what is older than the cut-off is not held.
type device struct {
	mailbox mail.MailboxID
	items   map[mail.Lineage]item
	lineage map[mail.PlacementID]mail.Lineage
}

// item is what the device holds of a message.
type item struct {
	placement mail.PlacementID
	text      string
}

// holding returns a device in step with the snapshot.
func (sn *snapshot) holding(mb mail.MailboxID) *device {
	d := &device{mb, map[mail.Lineage]item{}, map[mail.PlacementID]mail.Lineage{}}
	for _, r := range sn.messages[mb] {
		d.take(r.Placement, r.message.InternalDate)
	}
	return d
}

func (d *device) take(p mail.Placement, date time.Time) {
	if !date.Before(cutoff) {
		d.items[p.Lineage] = item{p.ID, fmt.Sprint(p.UID, p.Flags)}
		d.lineage[p.ID] = p.Lineage
	}
}

// drop forgets a placement, unless another of its line has taken its place.
func (d *device) drop(id mail.PlacementID) {
	if l, held := d.lineage[id]; held && d.items[l].placement == id {
		delete(d.items, l)
	}
	delete(d.lineage, id)
}

// follow reads the delta to its end and returns the position reached. Between
// pages it calls between.
func (d *device) follow(s *subject, at mail.Position, limit int, between func()) mail.Position {
	for {
		page := s.page(store.ChangeQuery{Type: mail.TypePlacement, Mailbox: d.mailbox, From: at, Limit: limit})
		for _, c := range page.Changes {
			if c.Op == mail.Destroyed {
				d.drop(mail.PlacementID(c.ID))
			} else {
				d.fetch(s, c.UID)
			}
		}
		if at = page.Next; !page.More {
			return at
		}
		between()
	}
}

func (d *device) fetch(s *subject, uid mail.UID) {
	ok(s.View(ctx, s.account, func(r store.Reader) error {
		return r.Messages(store.PlacementQuery{Mailbox: d.mailbox, UIDs: mail.MakeUIDSet(uid)}, func(p *mail.Placement, m *mail.Message) error {
			d.take(*p, m.InternalDate)
			return nil
		})
	}))
}

// windowedDelta brings a device from old to now.
func (s *subject) windowedDelta(mb mail.MailboxID, old, now *snapshot) {
	d, want := old.holding(mb), now.holding(mb)
	d.follow(s, old.account.Epoch.At(old.account.Head), 7, func() {})
	if !maps.Equal(d.items, want.items) {
		fail("windowed from %d: got %v, want %v", old.account.Head, d.items, want.items)
	}
}

// distinctLineages says whether no two messages of the mailbox are of one line.
// Two are when an undo brought an edited draft back and had to leave its
// successor, because others had touched it.
func (sn *snapshot) distinctLineages(mb mail.MailboxID) bool {
	seen := map[mail.Lineage]bool{}
	for _, r := range sn.messages[mb] {
		if seen[r.Lineage] {
			return false
		}
		seen[r.Lineage] = true
	}
	return true
}
