package admin

import (
	"context"
	"maps"
	"slices"
	"time"

	"lockstep/internal/device"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// DeviceDetail is all that is known of a device.
type DeviceDetail struct {
	Device
	Created time.Time
	Told    mail.Told
	// Policy holds for the account; PolicyMissing says that it chose another, which is
	// not configured.
	Policy        string
	PolicyMissing bool
	Syncs         []DeviceSync // of ActiveSync: one for each DeviceId it goes by
	Changes       []Event      // the last it made, newest first
}

// DeviceSync is how far a device is in step, and what was said.
type DeviceSync struct {
	DeviceID    string
	Collections []Collection
	Commands    []device.Command // newest last
	Skipped     []device.Skip
	Restarts    []device.Restart
}

// Collection is how far a device has come in one.
type Collection struct {
	Collection string
	Mailbox    string // its path; "" if it is gone
	Behind     int    // changes it was not given yet, at most maxBehind
	More       bool   // it was told that there is more
	At         time.Time
}

// maxBehind bounds how many changes are counted: past it, it is no use to know.
const maxBehind = 1000

// deviceChanges is how many of its changes are shown.
const deviceChanges = 10

func (o *Ops) deviceShow(ctx context.Context, q OfDevice, emit func(DeviceDetail) error) error {
	p, d, err := o.device(ctx, q)
	if err != nil {
		return err
	}
	detail := DeviceDetail{Device: d}
	trails, err := o.Trails.Of(ctx, p.Account, d.ID)
	if err != nil {
		return err
	}
	err = o.Store.View(ctx, p.Account, func(r store.Reader) error {
		row, err := r.Device(d.ID)
		if err != nil {
			return err
		}
		detail.Created, detail.Told, detail.Syncs = row.Created, row.Told, nil
		name, _, known, err := o.Policies.Of(r)
		if err != nil {
			return err
		}
		detail.Policy, detail.PolicyMissing = name, !known
		for _, id := range slices.Sorted(maps.Keys(trails)) {
			sync, err := deviceSync(r, id, trails[id])
			if err != nil {
				return err
			}
			detail.Syncs = append(detail.Syncs, sync)
		}
		return nil
	})
	if err == nil {
		detail.Changes, err = o.events(ctx, p, "", store.JournalQuery{Device: d.ID}, deviceChanges)
	}
	if err != nil {
		return err
	}
	return emit(detail)
}

func deviceSync(r store.Reader, id string, t device.Trail) (DeviceSync, error) {
	sync := DeviceSync{DeviceID: id, Commands: t.Commands, Skipped: t.Skipped, Restarts: t.Restarts}
	for _, name := range slices.Sorted(maps.Keys(t.Marks)) {
		m := t.Marks[name]
		c := Collection{Collection: name, More: m.More, At: m.At}
		mb, err := r.Mailbox(m.Mailbox)
		if err == nil {
			c.Mailbox = mb.Path
			c.Behind, err = behind(r, m)
		}
		if err != nil && mail.KindOf(err) != mail.NotFound {
			return sync, err
		}
		sync.Collections = append(sync.Collections, c)
	}
	return sync, nil
}

// behind counts what changed in the mailbox since the mark; also what the device
// does not ask for, such as old mail.
func behind(r store.Reader, m device.Mark) (int, error) {
	a, err := r.Account()
	if err != nil {
		return 0, err
	}
	page, err := r.Changes(store.ChangeQuery{Type: mail.TypePlacement, Mailbox: m.Mailbox, From: a.Epoch.At(min(m.ModSeq, a.Head)), Limit: maxBehind})
	if err != nil && mail.KindOf(err) == mail.TooOld {
		return maxBehind, nil // longer away than history reaches
	}
	return len(page.Changes), err
}
