package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// notes is the bookkeeping part of a transaction.
type notes struct{ t *tx }

const (
	deviceColumns     = "device_id, name, key, protocol, client, created, last_seen, last_addr, access, wipe_scope, wipe_state, wipe_at, wipe_status, told"
	selectDevices     = "SELECT " + deviceColumns + " FROM device WHERE account_id = ?1 ORDER BY device_id"
	selectDevice      = "SELECT " + deviceColumns + " FROM device WHERE account_id = ?1 AND device_id = ?2"
	selectDeviceByKey = "SELECT " + deviceColumns + " FROM device WHERE account_id = ?1 AND key = ?2"
	countDevices      = "SELECT count(*) FROM device WHERE account_id = ?1"
	insertDevice      = `INSERT INTO device (account_id, device_id, name, key, protocol, client, created, last_seen, last_addr, access, wipe_scope, wipe_state, wipe_at, wipe_status, told)
	VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)`
	updateSeen   = "UPDATE device SET last_seen = ?3, last_addr = ?4 WHERE account_id = ?1 AND device_id = ?2"
	updateTold   = "UPDATE device SET told = ?3 WHERE account_id = ?1 AND device_id = ?2"
	updateDevice = "UPDATE device SET name = ?3, access = ?4, wipe_scope = ?5, wipe_state = ?6, wipe_at = ?7, wipe_status = ?8 WHERE account_id = ?1 AND device_id = ?2"
	countAccess  = "SELECT access, wipe_state, count(*) FROM device WHERE account_id NOT IN (SELECT account_id FROM account WHERE kept = 1) GROUP BY access, wipe_state"
	selectCursor = "SELECT state FROM cursor WHERE account_id = ?1 AND device_id = ?2 AND name = ?3"
	upsertCursor = `INSERT INTO cursor (account_id, device_id, name, state) VALUES (?1, ?2, ?3, ?4)
	ON CONFLICT (account_id, device_id, name) DO UPDATE SET state = excluded.state`
	selectCursors = "SELECT name FROM cursor WHERE account_id = ?1 AND device_id = ?2 AND name >= ?3 AND name < ?3 || char(1114111) ORDER BY name"
	deleteCursor  = "DELETE FROM cursor WHERE account_id = ?1 AND device_id = ?2 AND name = ?3"
	insertCursor  = `INSERT INTO cursor (account_id, device_id, name, state) VALUES (?1, ?2, ?3, ?4)
	ON CONFLICT (account_id, device_id, name) DO NOTHING`
	swapCursor   = "UPDATE cursor SET state = ?4 WHERE account_id = ?1 AND device_id = ?2 AND name = ?3 AND state = ?5"
	dropCursor   = "DELETE FROM cursor WHERE account_id = ?1 AND device_id = ?2 AND name = ?3 AND state = ?4"
	selectMemory = "SELECT mailbox_id, uid, until, image FROM memory WHERE account_id = ?1 AND key = ?2"
	upsertMemory = `INSERT INTO memory (account_id, key, mailbox_id, uid, until, image) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
	ON CONFLICT (account_id, key) DO UPDATE SET mailbox_id = excluded.mailbox_id, uid = excluded.uid, until = excluded.until, image = excluded.image`
	deleteMemory      = "DELETE FROM memory WHERE account_id = ?1 AND key = ?2"
	selectPlacementID = "SELECT " + placementColumns + " FROM placement p WHERE p.account_id = ?1 AND p.placement_id = ?2"
)

func scanDevice(r row) (mail.Device, error) {
	d := mail.Device{
		ID: mail.DeviceID(r.num(0)), Name: r.text(1), Key: r.text(2), Protocol: mail.Protocol(r.text(3)), Client: r.text(4),
		Created: unstamp(r.num(5)), LastSeen: unstamp(r.num(6)), LastAddr: r.text(7), Access: mail.Access(r.num(8)),
		Wipe: mail.Wipe{Scope: mail.WipeScope(r.text(9)), State: mail.WipeState(r.text(10)), At: unstamp(r.num(11)), Status: r.text(12)},
	}
	err := json.Unmarshal([]byte(r.text(13)), &d.Told)
	return d, err
}

func (r *reader) Devices() ([]mail.Device, error) {
	var all []mail.Device
	err := r.c.query(selectDevices, func(row row) error {
		d, err := scanDevice(row)
		all = append(all, d)
		return err
	}, r.id)
	return all, err
}

func (r *reader) Device(id mail.DeviceID) (mail.Device, error) {
	return r.deviceWhere(selectDevice, id)
}

func (r *reader) DeviceByKey(key string) (mail.Device, error) {
	return r.deviceWhere(selectDeviceByKey, key)
}

func (r *reader) deviceWhere(sql string, arg any) (d mail.Device, err error) {
	var bad error
	found, err := one(r.c, sql, func(row row) { d, bad = scanDevice(row) }, r.id, arg)
	if err == nil {
		err = bad
	}
	if err == nil && !found {
		err = mail.Errorf(mail.NotFound, "no such device")
	}
	return d, err
}

// Cursors implements store.Reader.
func (r *reader) Cursors(device mail.DeviceID, prefix string) ([]string, error) {
	var names []string
	err := r.c.query(selectCursors, func(row row) error { names = append(names, row.text(0)); return nil }, r.id, device, prefix)
	return names, err
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
	if err := d.Check(); err != nil {
		return d, err
	}
	d.Told = d.Told.Clipped()
	told, err := json.Marshal(d.Told)
	if err != nil {
		return d, err
	}
	d.ID = mail.DeviceID(t.newID())
	if d.Created.IsZero() {
		d.Created = unstamp(stamp(t.now))
	}
	err = t.c.later(insertDevice, t.id, d.ID, d.Name, d.Key, d.Protocol, d.Client, d.Created, d.LastSeen, d.LastAddr, int64(d.Access),
		string(d.Wipe.Scope), string(d.Wipe.State), d.Wipe.At, d.Wipe.Status, string(told))
	return d, err
}

// SawDevice implements store.Notes.
func (n *notes) SawDevice(id mail.DeviceID, at time.Time, addr string) error {
	return n.device(updateSeen, id, at, addr)
}

// DeviceTold implements store.Notes.
func (n *notes) DeviceTold(id mail.DeviceID, told mail.Told) error {
	text, err := json.Marshal(told.Clipped())
	if err != nil {
		return err
	}
	return n.device(updateTold, id, string(text))
}

func (n *notes) device(sql string, id mail.DeviceID, args ...any) error {
	changed, err := n.t.c.exec(sql, append([]any{n.t.id, id}, args...)...)
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
	if err := d.Check(); err != nil {
		return err
	}
	changes := old.ChangesTo(d)
	for _, words := range changes {
		t.add(mail.Entry{Op: mail.OpDevice, Name: words})
	}
	if len(changes) == 0 {
		return nil
	}
	err = t.c.later(updateDevice, t.id, d.ID, d.Name, int64(d.Access), string(d.Wipe.Scope), string(d.Wipe.State), d.Wipe.At, d.Wipe.Status)
	if err == nil && d.KeptOut() {
		err = ends(t.c, t.now, t.id, 0)
	}
	return err
}

// CountDevices implements store.Directory.
func (db *DB) CountDevices(ctx context.Context) ([]store.DeviceCount, error) {
	var counts []store.DeviceCount
	err := db.read(ctx, func(c conn) error {
		counts = nil
		return c.query(countAccess, func(r row) error {
			counts = append(counts, store.DeviceCount{Access: mail.Access(r.num(0)), Wipe: mail.WipeState(r.text(1)), Devices: r.num(2)})
			return nil
		})
	})
	return counts, err
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
		err := n.t.c.later(deleteCursor, n.t.id, device, name)
		return err
	}
	err := n.t.c.later(upsertCursor, n.t.id, device, name, state)
	return err
}

// SwapCursor implements store.Notes. It is one statement, whose answer is waited for.
func (n *notes) SwapCursor(device mail.DeviceID, name string, was, state []byte) error {
	sql, args := swapCursor, []any{n.t.id, device, name, state, was}
	switch {
	case was == nil && state == nil:
		there, err := one(n.t.c, selectCursor, func(row) {}, n.t.id, device, name)
		if err == nil && there {
			err = store.CursorMoved()
		}
		return err
	case was == nil:
		sql, args = insertCursor, args[:4]
	case state == nil:
		sql, args = dropCursor, []any{n.t.id, device, name, was}
	}
	swapped, err := n.t.c.exec(sql, args...)
	if err == nil && swapped == 0 {
		err = store.CursorMoved()
	}
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
	if id == 0 {
		return n.t.remember(key, &mail.Placement{}, until)
	}
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
	err := t.c.later(upsertMemory, t.id, key, p.Mailbox, p.UID, until, placementImage(p))
	return err
}

// Forget implements store.Notes.
func (n *notes) Forget(key string) error {
	err := n.t.c.later(deleteMemory, n.t.id, key)
	return err
}
