package model

import (
	"bytes"
	"maps"
	"slices"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// AddDevice adds a device.
func (t *tx) AddDevice(d mail.Device) (mail.Device, error) {
	switch _, err := t.DeviceByKey(d.Key); {
	case err == nil:
		return d, mail.Errorf(mail.Exists, "there is such a device")
	case len(t.s.devices) >= mail.MaxDevices:
		return d, mail.Errorf(mail.Limit, "an account has at most %d devices", mail.MaxDevices)
	}
	if err := d.Check(); err != nil {
		return d, err
	}
	d.Told = d.Told.Clipped()
	d.ID = mail.DeviceID(t.s.newID())
	if d.Created.IsZero() {
		d.Created = t.now
	}
	t.s.devices[d.ID] = d
	return d, nil
}

// SawDevice notes the last contact.
func (t *tx) SawDevice(id mail.DeviceID, at time.Time, addr string) error {
	d, err := t.Device(id)
	if err != nil {
		return err
	}
	d.LastSeen, d.LastAddr = at, addr
	t.s.devices[id] = d
	return nil
}

// DeviceTold notes what a device told of itself.
func (t *tx) DeviceTold(id mail.DeviceID, told mail.Told) error {
	d, err := t.Device(id)
	if err != nil {
		return err
	}
	d.Told = told.Clipped()
	t.s.devices[id] = d
	return nil
}

// SetDevice changes what people decide about a device.
func (t *tx) SetDevice(d mail.Device) error {
	old, err := t.Device(d.ID)
	if err != nil {
		return err
	}
	if err := d.Check(); err != nil {
		return err
	}
	changes := old.ChangesTo(d)
	for _, words := range changes {
		t.did(mail.Entry{Op: mail.OpDevice, Name: words})
	}
	if len(changes) > 0 {
		old.Name, old.Access, old.Wipe = d.Name, d.Access, d.Wipe
		t.s.devices[d.ID] = old
		if d.KeptOut() {
			t.ends++
		}
	}
	return nil
}

// SetQuota sets the bytes the account may use. Like other settings of the
// account it is no change of its mail.
func (t *tx) SetQuota(bytes int64) error {
	if bytes < 0 {
		return mail.Errorf(mail.Invalid, "a quota is not negative")
	}
	t.s.account.Quota = bytes
	return nil
}

// SetCursor remembers a consumer's state.
func (t *tx) SetCursor(device mail.DeviceID, name string, state []byte) error {
	if state == nil {
		delete(t.s.cursors, cursorKey{device, name})
	} else {
		t.s.cursors[cursorKey{device, name}] = slices.Clone(state)
	}
	return nil
}

// SwapCursor remembers a consumer's state, if it is what it was.
func (t *tx) SwapCursor(device mail.DeviceID, name string, was, state []byte) error {
	if is, there := t.s.cursors[cursorKey{device, name}]; there != (was != nil) || !bytes.Equal(is, was) {
		return store.CursorMoved()
	}
	return t.SetCursor(device, name, state)
}

// ClaimRecent returns the first UID not yet shown as \Recent.
func (t *tx) ClaimRecent(mb mail.MailboxID) (mail.UID, error) {
	b, err := t.s.box(mb)
	if err != nil {
		return 0, err
	}
	first := max(t.s.recent[mb], 1)
	t.s.recent[mb] = b.UIDNext
	return first, nil
}

// Remember makes the account remember what came of an arrival.
func (t *tx) Remember(key string, id mail.PlacementID, until time.Time) error {
	if id == 0 {
		t.s.once = maps.Clone(t.s.once)
		t.s.once[key] = memory{until: until}
		return nil
	}
	for _, b := range t.s.boxes {
		for _, p := range b.list {
			if p.ID == id {
				t.s.once = maps.Clone(t.s.once)
				t.s.once[key] = memory{*p, until}
				return nil
			}
		}
	}
	return mail.Errorf(mail.NotFound, "no such message")
}

// Forget takes it back.
func (t *tx) Forget(key string) error {
	t.s.once = maps.Clone(t.s.once)
	delete(t.s.once, key)
	return nil
}
