package eas

import (
	"testing"
	"time"

	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// readMark is a Sync's command that says an item was read.
func readMark(item string) *wbxml.Element {
	return wbxml.New(wbxml.AirSyncCommands, wbxml.New(wbxml.AirSyncChange, wbxml.Text(wbxml.AirSyncServerId, item),
		wbxml.New(wbxml.AirSyncApplicationData, wbxml.Text(wbxml.EmailRead, "1"))))
}

// forget prunes all of Alice's history.
func (w *town) forget() {
	w.T.Helper()
	if err := w.Store.Prune(w.T.Context(), w.alice.Account, time.Now().Add(time.Hour)); err != nil {
		w.T.Fatal(err)
	}
}

// isSeen reports whether a message is read.
func (w *town) isSeen(p mail.Placement) (seen bool) {
	w.T.Helper()
	err := w.Store.View(w.T.Context(), w.alice.Account, func(r store.Reader) error {
		return r.Placements(store.PlacementQuery{Mailbox: p.Mailbox, UIDs: mail.MakeUIDSet(p.UID)}, func(p *mail.Placement) error {
			seen = p.Flags.Has(mail.Seen)
			return nil
		})
	})
	if err != nil {
		w.T.Fatal(err)
	}
	return seen
}

// Who has to start over is told so before anything of its commands is done: it says
// them again afterwards.
func TestCommandsOfADeviceThatStartsOverAreNotDone(t *testing.T) {
	w := newTown(t)
	p := w.phone(v161)
	first := w.put("INBOX", "Subject: one\r\n\r\nx")
	key := p.primed(p.inbox())
	second := w.put("INBOX", "Subject: two\r\n\r\nx")
	w.change(func(tx store.Tx) error {
		_, err := tx.Expunge(second.Mailbox, mail.MakeUIDSet(second.UID), false)
		return err
	})
	w.forget()
	c := collectionOf(p.call("Sync", syncing(key, p.inbox(), readMark(itemID(first.Mailbox, first.Lineage)))))
	if c.Get(wbxml.AirSyncStatus) != "3" || w.isSeen(first) {
		t.Error(short(c), w.isSeen(first))
	}
}

// Where nothing happened, history may be forgotten and the device goes on.
func TestADeviceGoesOnWhereNothingHappened(t *testing.T) {
	w := newTown(t)
	p := w.phone(v161)
	first := w.put("INBOX", "Subject: one\r\n\r\nx")
	key := p.primed(p.inbox())
	w.put("Sent", "Subject: two\r\n\r\nx")
	w.forget()
	c := collectionOf(p.call("Sync", syncing(key, p.inbox(), readMark(itemID(first.Mailbox, first.Lineage)))))
	if c.Get(wbxml.AirSyncStatus) != "1" || !w.isSeen(first) {
		t.Error(short(c), w.isSeen(first))
	}
}

// A device that started over may still speak of what it had before: it is told of that
// as of everything else.
func TestWhatADeviceDoesToAnItemItDoesNotHoldIsTold(t *testing.T) {
	w := newTown(t)
	p := w.phone(v161)
	first := w.put("INBOX", "Subject: one\r\n\r\nx")
	p.primed(p.inbox())
	key := p.keyed(p.inbox())
	c := collectionOf(p.call("Sync", syncing(key, p.inbox(), readMark(itemID(first.Mailbox, first.Lineage)))))
	add := c.Child(wbxml.AirSyncCommands).Child(wbxml.AirSyncAdd)
	if add.Child(wbxml.AirSyncApplicationData).Get(wbxml.EmailRead) != "1" {
		t.Error(short(c))
	}
}

// A person may have a phone start over: what it says by its old keys is not done, and
// afterwards it holds everything.
func TestADeviceThatIsToStartOver(t *testing.T) {
	w := newTown(t)
	p := w.phone(v161)
	first := w.put("INBOX", "Subject: one\r\n\r\nx")
	key := p.primed(p.inbox())
	var id mail.DeviceID
	err := w.Store.View(w.T.Context(), w.alice.Account, func(r store.Reader) error {
		all, err := r.Devices()
		id = all[len(all)-1].ID
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.server.Auth.StartOver(t.Context(), w.alice.Account, id); err != nil {
		t.Fatal(err)
	}
	c := p.call("Sync", syncing(key, p.inbox(), readMark(itemID(first.Mailbox, first.Lineage))))
	told := c.Get(wbxml.AirSyncStatus)
	if told == "" {
		told = collectionOf(c).Get(wbxml.AirSyncStatus)
	}
	if w.isSeen(first) || told != "3" && told != "12" {
		t.Error("done, or not told so:", short(c))
	}
	p.folders()
	p.primed(p.inbox())
	if err := w.server.Auth.StartOver(t.Context(), w.alice.Account, id+1000); mail.KindOf(err) != mail.NotFound {
		t.Errorf("a device that is not there: %v", err)
	}
}
