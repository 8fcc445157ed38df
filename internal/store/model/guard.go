package model

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"lockstep/internal/mail"
)

// deleterKey is a device and what it deletes from.
type deleterKey struct {
	device  mail.DeviceID
	mailbox mail.MailboxID
}

// deleted is how many messages, since when.
type deleted struct {
	since    time.Time
	first    mail.ModSeq
	messages int64
}

// Floods returns what nobody decided about.
func (r reader) Floods() ([]mail.Flood, error) {
	return slices.SortedFunc(maps.Values(r.state().floods), func(a, b mail.Flood) int { return cmp.Compare(a.ID, b.ID) }), nil
}

// Untold returns the accounts with a flood nobody was told of.
func (st *Store) Untold(context.Context) ([]mail.AccountID, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	var all []mail.AccountID
	for id, a := range st.accounts {
		if st.directory.hides(id) {
			continue
		}
		for _, f := range a.current.Load().floods {
			if !f.Told && !slices.Contains(all, id) {
				all = append(all, id)
			}
		}
	}
	return all, nil
}

func (s *state) isBin(id mail.MailboxID) bool {
	b := s.boxes[id]
	return b != nil && (b.Role == mail.RoleTrash || b.Role == mail.RoleJunk)
}

// deletes counts what a device is about to delete.
func (t *tx) deletes(mb mail.MailboxID, n int) error {
	if n == 0 || t.by.Device() == 0 || t.by.Cause() != mail.ByUser {
		return nil
	}
	d, begins := deleted{t.now, t.n, 0}, false
	if !t.s.isBin(mb) {
		key := deleterKey{t.by.Device(), mb}
		if was, ok := t.s.deleting[key]; ok && t.now.Sub(was.since) <= t.guard.Window {
			d = was
		}
		all := int64(len(t.s.boxes[mb].list)) + d.messages
		d.messages += int64(n)
		t.s.deleting[key] = d
		begins = t.guard.IsFlood(d.messages, all)
	}
	if mode, _ := t.Preference(mail.Guard); begins && mode != mail.GuardKeep {
		if mode == mail.GuardHold {
			return mail.HeldBack(t.s.path(mb))
		}
		begins = false
	}
	for id, f := range t.s.floods {
		if f.Device != t.by.Device() || t.now.Sub(f.Ended) > t.guard.Window {
			continue
		}
		if begins && d.first < f.First {
			f.First, f.Began = d.first, d.since
		}
		f.Last, f.Ended, f.Removed = t.n, t.now, f.Removed+int64(n)
		t.s.floods[id] = f
		return nil
	}
	if begins {
		t.s.floods[t.n] = mail.Flood{ID: t.n, Device: t.by.Device(), First: d.first, Last: t.n, Began: d.since, Ended: t.now, Removed: d.messages}
	}
	return nil
}

func (t *tx) flood(id mail.ModSeq) (mail.Flood, error) {
	if f, ok := t.s.floods[id]; ok {
		return f, nil
	}
	return mail.Flood{}, mail.Errorf(mail.NotFound, "there is no such flood")
}

// ToldFlood notes that the account was told.
func (t *tx) ToldFlood(id mail.ModSeq) error {
	f, err := t.flood(id)
	if err == nil {
		f.Told = true
		t.s.floods[id] = f
	}
	return err
}

// AcceptFlood leaves what was deleted to the horizon.
func (t *tx) AcceptFlood(id mail.ModSeq) error {
	f, err := t.flood(id)
	if err != nil {
		return err
	}
	delete(t.s.floods, id)
	d := t.s.devices[f.Device]
	t.did(mail.Entry{Op: mail.OpDevice, Name: mail.AcceptedFlood(cmp.Or(d.Name, d.Key, "a removed device"), f)})
	return nil
}

// UndoFlood takes back what the device deleted.
func (t *tx) UndoFlood(id mail.ModSeq) (mail.UndoReport, error) {
	f, err := t.flood(id)
	if err != nil {
		return mail.UndoReport{}, err
	}
	var records []mail.Record
	for _, rec := range slices.Backward(t.base.journal) {
		if rec.Device == f.Device && rec.ModSeq >= f.First && rec.ModSeq <= f.Last {
			records = append(records, rec)
		}
	}
	u := t.newUndo(records)
	t.undoes = mail.ActID(f.First)
	for _, rec := range records {
		for _, e := range slices.Backward(mail.Deletions(rec, t.s.isBin)) {
			u.entry(e)
		}
	}
	for _, e := range slices.Clone(t.entries) { // what came back is not to go with the next EXPUNGE
		mb, uids := e.Mailbox, e.UIDs
		switch e.Op {
		case mail.OpMove:
			mb, uids = e.Dest, e.DestUIDs
		case mail.OpRestore:
		default:
			continue
		}
		if _, err := t.StoreFlags(mb, uids, mail.FlagChange{Remove: mail.StoredFlags(mail.Deleted, "")}, nil); err != nil {
			return u.report, err
		}
	}
	delete(t.s.floods, id)
	return u.report, nil
}
