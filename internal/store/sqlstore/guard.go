package sqlstore

import (
	"cmp"
	"context"
	"slices"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

const (
	floodColumns = "flood_id, device_id, first, last, began, ended, removed, told"
	selectFloods = "SELECT " + floodColumns + " FROM flood WHERE account_id = ?1 ORDER BY flood_id"
	selectUntold = "SELECT DISTINCT account_id FROM flood WHERE told = 0 AND account_id NOT IN (SELECT account_id FROM account WHERE kept = 1)"
	upsertFlood  = `INSERT INTO flood (account_id, flood_id, device_id, first, last, began, ended, removed, told) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
	ON CONFLICT (account_id, flood_id) DO UPDATE SET first = excluded.first, last = excluded.last, began = excluded.began, ended = excluded.ended, removed = excluded.removed, told = excluded.told`
	deleteFlood    = "DELETE FROM flood WHERE account_id = ?1 AND flood_id = ?2"
	selectPinned   = "SELECT min(first) FROM flood WHERE account_id = ?1"
	selectDeleting = "SELECT since, first, messages FROM deleting WHERE account_id = ?1 AND device_id = ?2 AND mailbox_id = ?3"
	upsertDeleting = `INSERT INTO deleting (account_id, device_id, mailbox_id, since, first, messages) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
	ON CONFLICT (account_id, device_id, mailbox_id) DO UPDATE SET since = excluded.since, first = excluded.first, messages = excluded.messages`
	deleteDeleting = "DELETE FROM deleting WHERE account_id = ?1 AND since <= ?2"
)

// Floods implements store.Reader. An account has few: each takes a hundred deletions
// of a device within the rule's time.
func (r *reader) Floods() ([]mail.Flood, error) {
	var all []mail.Flood
	err := r.c.query(selectFloods, func(row row) error {
		all = append(all, mail.Flood{ID: mail.ModSeq(row.num(0)), Device: mail.DeviceID(row.num(1)), First: mail.ModSeq(row.num(2)), Last: mail.ModSeq(row.num(3)),
			Began: unstamp(row.num(4)), Ended: unstamp(row.num(5)), Removed: row.num(6), Told: row.num(7) != 0})
		return nil
	}, r.id)
	return all, err
}

// Untold implements store.Keeper.
func (db *DB) Untold(ctx context.Context) ([]mail.AccountID, error) {
	var all []mail.AccountID
	err := db.read(ctx, func(c conn) error {
		all = nil
		return c.query(selectUntold, func(r row) error { all = append(all, mail.AccountID(r.num(0))); return nil })
	})
	return all, err
}

// deletes is what a verb calls before it deletes n messages of a mailbox: it counts
// them, and what is too much becomes a flood, or is refused where the account's guard
// holds floods back. What a device that makes a flood goes on to delete belongs to it,
// also in Trash and Junk, where deleting alone makes none.
func (t *tx) deletes(b *box, n int) error {
	if n == 0 || t.by.Device() == 0 || t.by.Cause() != mail.ByUser {
		return nil
	}
	var d deleting
	var err error
	flooded := false
	if b.Role != mail.RoleTrash && b.Role != mail.RoleJunk {
		if d, err = t.countDeleted(b, int64(n)); err != nil {
			return err
		}
		flooded = t.guard.OrDefault().IsFlood(d.messages, b.Counts.Placements+d.messages-int64(n))
	}
	if flooded {
		mode, err := t.Preference(mail.Guard)
		if err != nil {
			return err
		}
		if mode == mail.GuardHold {
			return mail.HeldBack(b.Path)
		}
		flooded = mode == mail.GuardKeep
	}
	return t.flood(d, int64(n), flooded)
}

// deleting is what a device deleted of a mailbox since a moment.
type deleting struct {
	since    time.Time
	first    mail.ModSeq
	messages int64
}

// countDeleted counts n more messages of a mailbox, anew when the time is over.
func (t *tx) countDeleted(b *box, n int64) (deleting, error) {
	d := deleting{since: t.now, first: t.n}
	_, err := one(t.c, selectDeleting, func(r row) {
		if since := unstamp(r.num(0)); t.now.Sub(since) <= t.guard.OrDefault().Window {
			d = deleting{since, mail.ModSeq(r.num(1)), r.num(2)}
		}
	}, t.id, t.by.Device(), b.ID)
	if err != nil {
		return d, err
	}
	d.messages += n
	err = t.c.later(upsertDeleting, t.id, t.by.Device(), b.ID, d.since, d.first, d.messages)
	return d, err
}

// flood begins a flood, or adds to the one that the device is making.
func (t *tx) flood(d deleting, n int64, begins bool) error {
	all, err := t.Floods()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(f mail.Flood) bool {
		return f.Device == t.by.Device() && t.now.Sub(f.Ended) <= t.guard.OrDefault().Window
	})
	switch {
	case i >= 0:
		f := all[i]
		if begins && d.first < f.First {
			f.First, f.Began = d.first, d.since
		}
		f.Last, f.Ended, f.Removed = t.n, t.now, f.Removed+n
		return t.saveFlood(f)
	case begins:
		return t.saveFlood(mail.Flood{ID: t.n, Device: t.by.Device(), First: d.first, Last: t.n, Began: d.since, Ended: t.now, Removed: d.messages})
	}
	return nil
}

func (t *tx) saveFlood(f mail.Flood) error {
	err := t.c.later(upsertFlood, t.id, f.ID, f.Device, f.First, f.Last, f.Began, f.Ended, f.Removed, f.Told)
	return err
}

func (t *tx) floodByID(id mail.ModSeq) (mail.Flood, error) {
	all, err := t.Floods()
	i := slices.IndexFunc(all, func(f mail.Flood) bool { return f.ID == id })
	if err == nil && i < 0 {
		return mail.Flood{}, mail.Errorf(mail.NotFound, "there is no such flood, or somebody has decided about it")
	}
	if err != nil {
		return mail.Flood{}, err
	}
	return all[i], nil
}

// ToldFlood implements store.Notes.
func (n *notes) ToldFlood(id mail.ModSeq) error {
	f, err := n.t.floodByID(id)
	if err != nil {
		return err
	}
	f.Told = true
	return n.t.saveFlood(f)
}

// AcceptFlood implements store.Tx.
func (t *tx) AcceptFlood(id mail.ModSeq) error {
	f, err := t.floodByID(id)
	if err != nil {
		return err
	}
	t.add(mail.Entry{Op: mail.OpDevice, Name: mail.AcceptedFlood(t.deviceName(f.Device), f)})
	err = t.c.later(deleteFlood, t.id, f.ID)
	return err
}

func (t *tx) deviceName(id mail.DeviceID) string {
	d, err := t.Device(id)
	if err != nil {
		return "a removed device"
	}
	return cmp.Or(d.Name, d.Key)
}

// UndoFlood implements store.Tx. It is an undo of many acts, but of what they deleted
// alone, and of the marks that go with it.
func (t *tx) UndoFlood(id mail.ModSeq) (mail.UndoReport, error) {
	f, err := t.floodByID(id)
	if err != nil {
		return mail.UndoReport{}, err
	}
	records, err := t.reader.Journal(store.JournalQuery{After: f.First - 1, Before: f.Last + 1, Device: f.Device, Limit: 1 << 30})
	if err != nil {
		return mail.UndoReport{}, err
	}
	u := t.newUndo(records)
	t.undoes = mail.ActID(f.First)
	for _, rec := range records {
		for _, e := range slices.Backward(mail.Deletions(rec, t.isBin)) {
			if err := u.entry(e); err != nil {
				return mail.UndoReport{}, err
			}
		}
	}
	if err := t.unmark(slices.Clone(t.entries)); err != nil {
		return mail.UndoReport{}, err
	}
	err = t.c.later(deleteFlood, t.id, f.ID)
	return u.report, err
}

// unmark takes \Deleted from what came back, which the next EXPUNGE would take away
// again.
func (t *tx) unmark(back []mail.Entry) error {
	for _, e := range back {
		mb, uids := e.Mailbox, e.UIDs
		switch e.Op {
		case mail.OpMove:
			mb, uids = e.Dest, e.DestUIDs
		case mail.OpRestore:
		default:
			continue
		}
		if _, err := t.StoreFlags(mb, uids, mail.FlagChange{Remove: mail.StoredFlags(mail.Deleted, "")}, nil); err != nil {
			return err
		}
	}
	return nil
}

// isBin says whether a mailbox is for what is thrown away.
func (t *tx) isBin(id mail.MailboxID) bool {
	b, err := t.box(id)
	return err == nil && (b.Role == mail.RoleTrash || b.Role == mail.RoleJunk)
}
