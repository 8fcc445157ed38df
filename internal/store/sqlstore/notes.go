package sqlstore

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"lockstep/internal/mail"
)

// notes is the bookkeeping part of a transaction.
type notes struct{ t *tx }

const (
	deviceColumns     = "device_id, name, key, protocol, client, created, last_seen, last_addr, blocked"
	selectDevices     = "SELECT " + deviceColumns + " FROM device WHERE account_id = ?1 ORDER BY device_id"
	selectDevice      = "SELECT " + deviceColumns + " FROM device WHERE account_id = ?1 AND device_id = ?2"
	selectDeviceByKey = "SELECT " + deviceColumns + " FROM device WHERE account_id = ?1 AND key = ?2"
	countDevices      = "SELECT count(*) FROM device WHERE account_id = ?1"
	insertDevice      = `INSERT INTO device (account_id, device_id, name, key, protocol, client, created, last_seen, last_addr, blocked)
	VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)`
	updateSeen   = "UPDATE device SET last_seen = ?3, last_addr = ?4 WHERE account_id = ?1 AND device_id = ?2"
	updateDevice = "UPDATE device SET name = ?3, blocked = ?4 WHERE account_id = ?1 AND device_id = ?2"
	selectCursor = "SELECT state FROM cursor WHERE account_id = ?1 AND device_id = ?2 AND name = ?3"
	upsertCursor = `INSERT INTO cursor (account_id, device_id, name, state) VALUES (?1, ?2, ?3, ?4)
	ON CONFLICT (account_id, device_id, name) DO UPDATE SET state = excluded.state`
	deleteCursor = "DELETE FROM cursor WHERE account_id = ?1 AND device_id = ?2 AND name = ?3"
	selectMemory = "SELECT mailbox_id, uid, until, image FROM memory WHERE account_id = ?1 AND key = ?2"
	upsertMemory = `INSERT INTO memory (account_id, key, mailbox_id, uid, until, image) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
	ON CONFLICT (account_id, key) DO UPDATE SET mailbox_id = excluded.mailbox_id, uid = excluded.uid, until = excluded.until, image = excluded.image`
	deleteMemory      = "DELETE FROM memory WHERE account_id = ?1 AND key = ?2"
	selectPlacementID = "SELECT " + placementColumns + " FROM placement p WHERE p.account_id = ?1 AND p.placement_id = ?2"
)

func scanDevice(r row) mail.Device {
	return mail.Device{
		ID: mail.DeviceID(r.num(0)), Name: r.text(1), Key: r.text(2), Protocol: mail.Protocol(r.text(3)), Client: r.text(4),
		Created: unstamp(r.num(5)), LastSeen: unstamp(r.num(6)), LastAddr: r.text(7), Blocked: r.num(8) != 0,
	}
}

func (r *reader) Devices() ([]mail.Device, error) {
	var all []mail.Device
	err := r.c.query(selectDevices, func(row row) error { all = append(all, scanDevice(row)); return nil }, r.id)
	return all, err
}

func (r *reader) Device(id mail.DeviceID) (mail.Device, error) {
	return r.deviceWhere(selectDevice, id)
}

func (r *reader) DeviceByKey(key string) (mail.Device, error) {
	return r.deviceWhere(selectDeviceByKey, key)
}

func (r *reader) deviceWhere(sql string, arg any) (d mail.Device, err error) {
	found, err := one(r.c, sql, func(row row) { d = scanDevice(row) }, r.id, arg)
	if err == nil && !found {
		err = mail.Errorf(mail.NotFound, "no such device")
	}
	return d, err
}

func (r *reader) Cursor(device mail.DeviceID, name string) (state []byte, err error) {
	found, err := one(r.c, selectCursor, func(row row) { state = row.bytes(0) }, r.id, device, name)
	if err == nil && !found {
		err = mail.Errorf(mail.NotFound, "nothing is remembered there")
	}
	if err == nil && state == nil {
		state = []byte{}
	}
	return state, err
}

// placementImage writes a placement as it is when it is remembered, and
// parsePlacement reads it: numbers, and last the keywords.
func placementImage(p *mail.Placement) []byte {
	var b []byte
	for _, n := range []int64{int64(p.ID), int64(p.Mailbox), int64(p.Message), int64(p.UID), int64(p.Lineage), int64(p.Flags.System), stamp(p.SaveDate),
		int64(p.Created), int64(p.ModSeq), int64(p.ChangedBy), p.Size} {
		b = append(strconv.AppendInt(b, n, 10), ' ')
	}
	return append(b, p.Flags.KeywordText()...)
}

func parsePlacement(image string) (mail.Placement, error) {
	var n [11]int64
	var err error
	for i := range n {
		var word string
		word, image, _ = strings.Cut(image, " ")
		if n[i], err = strconv.ParseInt(word, 10, 64); err != nil {
			return mail.Placement{}, fmt.Errorf("what is remembered of an arrival: %w", err)
		}
	}
	return mail.Placement{
		ID: mail.PlacementID(n[0]), Mailbox: mail.MailboxID(n[1]), Message: mail.MessageKey(n[2]), UID: mail.UID(n[3]), Lineage: mail.Lineage(n[4]),
		Flags: mail.StoredFlags(mail.SystemFlags(n[5]), image), SaveDate: unstamp(n[6]),
		Created: mail.ModSeq(n[7]), ModSeq: mail.ModSeq(n[8]), ChangedBy: mail.DeviceID(n[9]), Size: n[10],
	}, nil
}

func (r *reader) Remembered(key string) (mail.Placement, error) {
	var image mail.Placement
	var until time.Time
	var broken error
	found, err := one(r.c, selectMemory, func(row row) {
		until = unstamp(row.num(2))
		image, broken = parsePlacement(string(row.bytes(3)))
	}, r.id, key)
	switch {
	case err != nil:
		return mail.Placement{}, err
	case broken != nil:
		return mail.Placement{}, broken
	case !found || !r.now.Before(until):
		return mail.Placement{}, mail.Errorf(mail.NotFound, "nothing is remembered under that key")
	}
	p, err := r.placementWhere(selectPlacement, image.Mailbox, image.UID)
	if mail.KindOf(err) != mail.NotFound {
		return p, err
	}
	return image, nil
}

// AddDevice implements store.Notes.
func (n *notes) AddDevice(d mail.Device) (mail.Device, error) {
	t := n.t
	if _, err := t.DeviceByKey(d.Key); err == nil {
		return d, mail.Errorf(mail.Exists, "there is a device of that key")
	} else if mail.KindOf(err) != mail.NotFound {
		return d, err
	}
	count := int64(0)
	if _, err := one(t.c, countDevices, func(r row) { count = r.num(0) }, t.id); err != nil {
		return d, err
	}
	if count >= mail.MaxDevices {
		return d, mail.Errorf(mail.Limit, "an account has at most %d devices", mail.MaxDevices)
	}
	if err := validDeviceName(d.Name); err != nil {
		return d, err
	}
	d.ID = mail.DeviceID(t.newID())
	if d.Created.IsZero() {
		d.Created = unstamp(stamp(t.now))
	}
	_, err := t.c.exec(insertDevice, t.id, d.ID, d.Name, d.Key, d.Protocol, d.Client, d.Created, d.LastSeen, d.LastAddr, d.Blocked)
	return d, err
}

func validDeviceName(name string) error {
	if len(name) > mail.MaxDeviceNameBytes {
		return mail.Errorf(mail.Limit, "a device's name has at most %d bytes", mail.MaxDeviceNameBytes)
	}
	return nil
}

// SawDevice implements store.Notes.
func (n *notes) SawDevice(id mail.DeviceID, at time.Time, addr string) error {
	changed, err := n.t.c.exec(updateSeen, n.t.id, id, at, addr)
	if err == nil && changed == 0 {
		err = mail.Errorf(mail.NotFound, "no such device")
	}
	return err
}

// SetDevice implements store.Tx.
func (t *tx) SetDevice(d mail.Device) error {
	old, err := t.Device(d.ID)
	if err != nil {
		return err
	}
	if err := validDeviceName(d.Name); err != nil {
		return err
	}
	if old.Name != d.Name {
		t.add(mail.Entry{Op: mail.OpDevice, Name: "rename " + old.Name + " to " + d.Name})
	}
	if old.Blocked != d.Blocked {
		what := "unblock "
		if d.Blocked {
			what = "block "
		}
		t.add(mail.Entry{Op: mail.OpDevice, Name: what + d.Name})
	}
	_, err = t.c.exec(updateDevice, t.id, d.ID, d.Name, d.Blocked)
	return err
}

// SetQuota implements store.Tx.
func (t *tx) SetQuota(bytes int64) error {
	if bytes < 0 {
		return mail.Errorf(mail.Invalid, "a quota is not negative")
	}
	t.account.Quota, t.unwell = bytes, true
	return nil
}

// SetCursor implements store.Notes.
func (n *notes) SetCursor(device mail.DeviceID, name string, state []byte) error {
	if state == nil {
		_, err := n.t.c.exec(deleteCursor, n.t.id, device, name)
		return err
	}
	_, err := n.t.c.exec(upsertCursor, n.t.id, device, name, state)
	return err
}

// ClaimRecent implements store.Notes.
func (n *notes) ClaimRecent(mb mail.MailboxID) (mail.UID, error) {
	b, err := n.t.box(mb)
	if err != nil {
		return 0, err
	}
	first := b.recent
	b.recent = b.UIDNext
	return first, n.t.settleBox(b)
}

// Remember implements store.Notes.
func (n *notes) Remember(key string, id mail.PlacementID, until time.Time) error {
	p, err := n.t.placementByID(id)
	if err != nil {
		return err
	}
	return n.t.remember(key, &p, until)
}

// placementByID finds a placement. Append numbers message and placement one
// after the other, but for a thread begun between them, so what arrived is found
// by the index on messages; what was copied is searched for.
func (t *tx) placementByID(id mail.PlacementID) (mail.Placement, error) {
	for key := mail.MessageKey(id) - 1; key >= mail.MessageKey(id)-2; key-- {
		ps, err := t.PlacementsOf(key)
		if err != nil {
			return mail.Placement{}, err
		}
		for _, p := range ps {
			if p.ID == id {
				return p, nil
			}
		}
	}
	var p mail.Placement
	found, err := one(t.c, selectPlacementID, func(r row) { scanPlacement(r, &p) }, t.id, id)
	if err == nil && !found {
		err = noMessage()
	}
	return p, err
}

func (t *tx) remember(key string, p *mail.Placement, until time.Time) error {
	_, err := t.c.exec(upsertMemory, t.id, key, p.Mailbox, p.UID, until, placementImage(p))
	return err
}

// Forget implements store.Notes.
func (n *notes) Forget(key string) error {
	_, err := n.t.c.exec(deleteMemory, n.t.id, key)
	return err
}
