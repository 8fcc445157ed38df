package storetest

import (
	"fmt"
	"strings"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

var notesChecks = []check{
	{"DevicesAreKnownByTheirKey", devices},
	{"DevicesAreBounded", deviceBounds},
	{"SetDeviceIsAChange", setDevice},
	{"CursorsAreKeptPerDeviceAndForgotten", cursors},
	{"ClaimRecentGivesEachUIDOnce", claimRecent},
	{"RememberLastsUntilItsTime", remember},
	{"ReparsedChangesWhatIsShownAndNothingElse", reparsed},
}

// note runs one piece of bookkeeping.
func (s *subject) note(fn func(n store.Notes) error) error { return s.Note(ctx, s.account, fn) }

func devices(t *trial) {
	s := t.subject()
	d := mail.Device{Name: "tablet", Key: "k1", Protocol: mail.IMAP, Client: "Mail 1.2"}
	ok(s.note(func(n store.Notes) error {
		added, err := n.AddDevice(d)
		if err == nil && added.ID == 0 {
			return fmt.Errorf("added as %+v", added)
		}
		return err
	}))
	want(mail.Exists, s.note(func(n store.Notes) error { _, err := n.AddDevice(d); return err }))
	got := must(view(s, func(r store.Reader) (mail.Device, error) { return r.DeviceByKey("k1") }))
	equal("name", got.Name, "tablet")
	equal("client", got.Client, "Mail 1.2")
	equal("protocol", got.Protocol, mail.IMAP)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ok(s.note(func(n store.Notes) error { return n.SawDevice(got.ID, at, "192.0.2.1") }))
	got = must(view(s, func(r store.Reader) (mail.Device, error) { return r.Device(got.ID) }))
	equal("last seen", got.LastSeen.Equal(at), true)
	equal("address", got.LastAddr, "192.0.2.1")
	equal("all", len(must(view(s, store.Reader.Devices))), 3)
	_, err := view(s, func(r store.Reader) (mail.Device, error) { return r.DeviceByKey("none") })
	want(mail.NotFound, err)
	want(mail.NotFound, s.note(func(n store.Notes) error { return n.SawDevice(1<<40, at, "") }))
}

func deviceBounds(t *trial) {
	s := t.subject()
	long := mail.Device{Name: strings.Repeat("n", mail.MaxDeviceNameBytes+1), Key: "long"}
	want(mail.Limit, s.note(func(n store.Notes) error { _, err := n.AddDevice(long); return err }))
	ok(s.note(func(n store.Notes) error {
		for i := len(s.devices); i < mail.MaxDevices; i++ {
			if _, err := n.AddDevice(mail.Device{Name: "d", Key: fmt.Sprint("n", i)}); err != nil {
				return err
			}
		}
		return nil
	}))
	want(mail.Limit, s.note(func(n store.Notes) error { _, err := n.AddDevice(mail.Device{Name: "d", Key: "one more"}); return err }))
}

func setDevice(t *trial) {
	s := t.subject()
	d := must(view(s, func(r store.Reader) (mail.Device, error) { return r.Device(s.devices[1]) }))
	d.Name, d.Blocked = "Ann's phone", true
	n := must(s.Update(ctx, s.account, s.origin(0), func(tx store.Tx) error { return tx.SetDevice(d) }))
	equal("a record", s.records(store.JournalQuery{Limit: 1})[0].ModSeq, n)
	equal("its op", s.records(store.JournalQuery{Limit: 1})[0].Entries[0].Op, mail.OpDevice)
	got := must(view(s, func(r store.Reader) (mail.Device, error) { return r.Device(s.devices[1]) }))
	equal("name", got.Name, "Ann's phone")
	equal("blocked", got.Blocked, true)
	n = must(s.Update(ctx, s.account, s.origin(0), func(tx store.Tx) error { return tx.SetDevice(got) }))
	equal("setting the same", n, 0)
}

func cursors(t *trial) {
	s := t.subject()
	cursor := func(d mail.DeviceID, name string) string {
		b, err := view(s, func(r store.Reader) ([]byte, error) { return r.Cursor(d, name) })
		if err != nil {
			return mail.KindOf(err).String()
		}
		return string(b)
	}
	ok(s.note(func(n store.Notes) error {
		if err := n.SetCursor(s.devices[0], "a", []byte("1")); err != nil {
			return err
		}
		return n.SetCursor(s.devices[1], "a", []byte("2"))
	}))
	ok(s.note(func(n store.Notes) error { return n.SetCursor(s.devices[0], "a", []byte("3")) }))
	equal("first", cursor(s.devices[0], "a"), "3")
	equal("second", cursor(s.devices[1], "a"), "2")
	equal("other name", cursor(s.devices[1], "b"), "not found")
	ok(s.note(func(n store.Notes) error { return n.SetCursor(s.devices[0], "a", nil) }))
	equal("forgotten", cursor(s.devices[0], "a"), "not found")
}

func claimRecent(t *trial) {
	s := t.subject()
	inbox := s.fill("INBOX", 3)
	claim := func() (uid mail.UID) {
		ok(s.note(func(n store.Notes) (err error) {
			uid, err = n.ClaimRecent(inbox.ID)
			return err
		}))
		return uid
	}
	equal("the first session", claim(), 1)
	equal("the second", claim(), 4)
	s.append("INBOX", arrival(7))
	equal("after one more came", claim(), 4)
	equal("and then", claim(), 5)
	want(mail.NotFound, s.note(func(n store.Notes) error { _, err := n.ClaimRecent(1 << 40); return err }))
}

func remember(t *trial) {
	s := t.subject()
	p := s.append("INBOX", arrival(1))
	set := func(key string, until time.Time) {
		ok(s.note(func(n store.Notes) error { return n.Remember(key, p.ID, until) }))
	}
	known := func(key string) bool {
		r, err := view(s, func(r store.Reader) (mail.Placement, error) { return r.Remembered(key) })
		if err == nil {
			equal("remembered UID", r.UID, p.UID)
			return true
		}
		want(mail.NotFound, err)
		return false
	}
	set("lasting", time.Now().Add(time.Hour))
	set("over", time.Now().Add(-time.Second))
	equal("lasting", known("lasting"), true)
	equal("over", known("over"), false)
	equal("never", known("never"), false)
	ok(s.note(func(n store.Notes) error { return n.Forget("lasting") }))
	equal("forgotten", known("lasting"), false)
	ok(s.note(func(n store.Notes) error { return n.Forget("never") }))
}
