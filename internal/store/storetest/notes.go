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
	{"WhatADeviceTellsIsBookkeeping", deviceTold},
	{"CursorsAreFoundByTheirNames", cursorNames},
	{"CursorsAreKeptPerDeviceAndForgotten", cursors},
	{"ACursorIsSwappedOnlyForWhatItWas", cursorsSwapped},
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
	d.Name, d.Access = "Ann's phone", mail.Blocked
	n := must(s.Update(ctx, s.account, s.origin(0), func(tx store.Tx) error { return tx.SetDevice(d) }))
	equal("a record", s.records(store.JournalQuery{Limit: 1})[0].ModSeq, n)
	equal("its op", s.records(store.JournalQuery{Limit: 1})[0].Entries[0].Op, mail.OpDevice)
	got := must(view(s, func(r store.Reader) (mail.Device, error) { return r.Device(s.devices[1]) }))
	equal("name", got.Name, "Ann's phone")
	equal("access", got.Access, mail.Blocked)
	n = must(s.Update(ctx, s.account, s.origin(0), func(tx store.Tx) error { return tx.SetDevice(got) }))
	equal("setting the same", n, 0)
	got.Wipe.Scope = mail.WipeDevice
	_, err := s.Update(ctx, s.account, s.origin(0), func(tx store.Tx) error { return tx.SetDevice(got) })
	want(mail.Invalid, err)
	got.Wipe.State, got.Wipe.At = mail.WipeRequested, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	got.LastAddr, got.Told.Model = "nowhere", "none" // not decided by people
	ok(second(s.Update(ctx, s.account, s.origin(0), func(tx store.Tx) error { return tx.SetDevice(got) })))
	equal("in words", s.records(store.JournalQuery{Limit: 1})[0].Entries[0].Name, "ask Ann's phone to erase all it holds")
	d = must(view(s, func(r store.Reader) (mail.Device, error) { return r.DeviceByKey(got.Key) }))
	equal("the rest", d.LastAddr+d.Told.Model, "")
	equal("wipe", d.Wipe, got.Wipe)
	count := int64(0)
	for _, c := range must(s.CountDevices(ctx)) {
		if c.Access == mail.Blocked && c.Wipe == mail.WipeRequested {
			count += c.Devices
		}
	}
	equal("counted", count, 1)
}

func second[T any](_ T, err error) error { return err }

func deviceTold(t *trial) {
	s := t.subject()
	head := must(view(s, store.Reader.Account)).Head
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	told := mail.Told{Kind: "iPhone", Model: strings.Repeat("é", mail.MaxToldBytes), Version: "16.1", Policy: mail.Acknowledged{Name: "default", Hash: "abc", Status: "1", At: at}}
	ok(s.note(func(n store.Notes) error { return n.DeviceTold(s.devices[1], told) }))
	got := must(view(s, func(r store.Reader) (mail.Device, error) { return r.Device(s.devices[1]) })).Told
	equal("at", got.Policy.At.Equal(at), true)
	got.Policy.At = at
	equal("as told, clipped", got, told.Clipped())
	equal("in whole characters", got.Model, strings.Repeat("é", mail.MaxToldBytes/2))
	equal("no change", must(view(s, store.Reader.Account)).Head, head)
	want(mail.NotFound, s.note(func(n store.Notes) error { return n.DeviceTold(1<<40, told) }))
}

func cursorNames(t *trial) {
	s := t.subject()
	ok(s.note(func(n store.Notes) error {
		for _, name := range []string{"eas/b/c/1", "eas/b", "eas/a/trail", "eas/b/c/ü", "ear", "eat"} {
			if err := n.SetCursor(s.devices[0], name, []byte("x")); err != nil {
				return err
			}
		}
		return n.SetCursor(s.devices[1], "eas/z", []byte("x"))
	}))
	for prefix, names := range map[string]string{"eas/": "eas/a/trail eas/b eas/b/c/1 eas/b/c/ü", "eas/b/c/": "eas/b/c/1 eas/b/c/ü", "none": ""} {
		got := must(view(s, func(r store.Reader) ([]string, error) { return r.Cursors(s.devices[0], prefix) }))
		equal("names at "+prefix, strings.Join(got, " "), names)
	}
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

// Of two who make a new state from the one they read, the second hears that it moved.
func cursorsSwapped(t *trial) {
	s := t.subject()
	swap := func(was, state string) error {
		bytes := func(s string) []byte {
			if s == "" {
				return nil
			}
			return []byte(s)
		}
		return s.note(func(n store.Notes) error { return n.SwapCursor(s.devices[0], "a", bytes(was), bytes(state)) })
	}
	ok(s.note(func(n store.Notes) error { return n.SetCursor(s.devices[1], "a", []byte("9")) }))
	want(mail.Conflict, swap("1", "2"))
	ok(swap("", ""))
	ok(swap("", "1"))
	want(mail.Conflict, swap("", "2"))
	want(mail.Conflict, swap("", ""))
	ok(swap("1", "2"))
	want(mail.Conflict, swap("1", "3"))
	want(mail.Conflict, swap("1", ""))
	equal("the state", string(must(view(s, func(r store.Reader) ([]byte, error) { return r.Cursor(s.devices[0], "a") }))), "2")
	ok(swap("2", ""))
	want(mail.NotFound, second(view(s, func(r store.Reader) ([]byte, error) { return r.Cursor(s.devices[0], "a") })))
	equal("another's", string(must(view(s, func(r store.Reader) ([]byte, error) { return r.Cursor(s.devices[1], "a") }))), "9")
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

	ok(s.note(func(n store.Notes) error { return n.Remember("elsewhere", 0, time.Now().Add(time.Hour)) }))
	r, err := view(s, func(r store.Reader) (mail.Placement, error) { return r.Remembered("elsewhere") })
	ok(err)
	equal("what left no placement", r, mail.Placement{})
	ok(s.note(func(n store.Notes) error { return n.Remember("elsewhere", 0, time.Now().Add(-time.Second)) }))
	equal("what left no placement, over", known("elsewhere"), false)
}
