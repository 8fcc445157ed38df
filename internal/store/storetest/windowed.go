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
// device does: items are known by their lines, so that an edited draft stays the
// same item, and what is older than the cut-off is not held. While several versions
// of a line are there, the one whose message is newest is the item.
type device struct {
	mailbox  mail.MailboxID
	versions map[mail.PlacementID]version
}

// version is what the device holds of a message.
type version struct {
	line mail.Lineage
	key  mail.MessageKey
	text string
}

// holding returns a device in step with the snapshot.
func (sn *snapshot) holding(mb mail.MailboxID) *device {
	d := &device{mb, map[mail.PlacementID]version{}}
	for _, r := range sn.messages[mb] {
		d.take(r.Placement, r.message.InternalDate)
	}
	return d
}

func (d *device) take(p mail.Placement, date time.Time) {
	if !date.Before(cutoff) {
		d.versions[p.ID] = version{p.Lineage.Line(), p.Message, fmt.Sprint(p.UID, p.Flags)}
	}
}

// items is what the device shows.
func (d *device) items() map[mail.Lineage]version {
	shown := map[mail.Lineage]version{}
	for _, v := range d.versions {
		if other, ok := shown[v.line]; !ok || v.key > other.key {
			shown[v.line] = v
		}
	}
	return shown
}

// follow reads the delta to its end and returns the position reached. Between
// pages it calls between.
func (d *device) follow(s *subject, at mail.Position, limit int, between func()) mail.Position {
	for {
		page := s.page(store.ChangeQuery{Type: mail.TypePlacement, Mailbox: d.mailbox, From: at, Limit: limit})
		for _, c := range page.Changes {
			if c.Op == mail.Destroyed {
				delete(d.versions, mail.PlacementID(c.ID))
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
	if got, want := d.items(), want.items(); !maps.Equal(got, want) {
		fail("windowed from %d: got %v, want %v", old.account.Head, got, want)
	}
}
