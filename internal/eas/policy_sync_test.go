package eas

import (
	"sync/atomic"
	"testing"
	"time"

	"lockstep/internal/device"
	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
)

// A policy bounds how far back devices keep mail, and takes away what they have of
// older mail.
func TestAPolicyBoundsHowOldMailIs(t *testing.T) {
	w := newTown(t)
	for i, days := range []int{0, 2, 5, 10, 40} {
		w.mailAt("INBOX", i, time.Duration(days)*24*time.Hour, nil)
	}
	h := w.handset(v161, "INBOX")
	holds := func(want int) {
		t.Helper()
		h.settle()
		if len(h.holds) != want {
			t.Errorf("the device holds %d, want %d: %v", len(h.holds), want, h.holds)
		}
	}
	holds(5)
	w.under(device.Policy{MailAge: device.OneWeek})
	h.provisions()
	holds(3)
	if h.softs != 2 || h.deletes != 0 {
		t.Errorf("%d were taken away as old, %d as deleted", h.softs, h.deletes)
	}
	h.filter, h.options = 2, true // less than it may
	holds(2)
	h.filter, h.options = 5, true // more than it may
	holds(3)
	w.under(device.Policy{})
	h.provisions()
	holds(4)
	again := w.under(device.Policy{MailAge: device.ThreeDays}).handset(v141, "INBOX")
	again.id = "PHONE2"
	again.provisions()
	again.settle()
	if len(again.holds) != 2 {
		t.Errorf("a new device holds %v", again.holds)
	}
}

// What waits is under the policy that it came under.
func TestAPolicyHoldsForWhatWaits(t *testing.T) {
	w := newTown(t).under(device.Policy{MailAge: device.OneWeek})
	var ready atomic.Bool
	var looks atomic.Int32
	ready.Store(true)
	v := watched(w.mailbox("INBOX").ID, &ready, &looks)
	tell, age := v.tell, device.AllAges
	v.tell = func(q *request, found bool, err error) (*answer, error) {
		age = q.policy.MailAge
		return tell(q, found, err)
	}
	heard(t, w.phone(v161).await(v), "Ping(Status=2)")
	if age != device.OneWeek {
		t.Errorf("told under a policy with the age %q", age)
	}
}

func TestTheTrailSaysHowFarADeviceHasCome(t *testing.T) {
	w := newTown(t)
	for i := range 30 {
		w.mailAt("INBOX", i, time.Duration(30-i)*time.Hour, nil)
	}
	h := w.handset(v161, "INBOX")
	trail := func() device.Trail {
		t.Helper()
		all, err := w.server.Trails.Of(t.Context(), w.alice.Account, w.the().ID)
		if err != nil {
			t.Fatal(err)
		}
		return all[h.id]
	}
	h.window = 10
	h.hear(h.exchange(h.ask()))
	h.hear(h.exchange(h.ask()))
	inbox := folderID(h.folder.ID)
	if m := trail().Marks[inbox]; !m.More || m.Mailbox != h.folder.ID {
		t.Errorf("%+v", m)
	}
	h.settle()
	if m := trail().Marks[inbox]; m.More || m.ModSeq != w.mailbox("INBOX").HighestModSeq {
		t.Errorf("%+v, and the mailbox is at %d", m, w.mailbox("INBOX").HighestModSeq)
	}
	h.key = "99-9"
	if root := h.exchange(h.ask()); root.Child(wbxml.AirSyncCollections).Child(wbxml.AirSyncCollection).Get(wbxml.AirSyncStatus) != "3" {
		t.Error(short(root))
	}
	got := trail()
	if _, still := got.Marks[inbox]; still || len(got.Restarts) != 1 || got.Restarts[0].Collection != inbox || got.Restarts[0].Why != "unknown key" {
		t.Errorf("%+v", got)
	}
}

// Synced bodies are bounded as fetched ones are.
func TestAPolicyBoundsSyncedBodies(t *testing.T) {
	w := newTown(t).under(device.Policy{MaxBody: 4, Forbid: []device.Feature{device.HTMLMail}})
	w.put("INBOX", letter)
	p := w.phone(v161)
	p.provisions()
	id := folderID(w.mailbox("INBOX").ID)
	sync := func(key string) *wbxml.Element {
		options := wbxml.New(wbxml.AirSyncOptions, bodyOf(2, -1))
		root := p.call("Sync", wbxml.New(wbxml.AirSyncSync, wbxml.New(wbxml.AirSyncCollections, wbxml.New(wbxml.AirSyncCollection,
			wbxml.Text(wbxml.AirSyncSyncKey, key), wbxml.Text(wbxml.AirSyncCollectionId, id), options))))
		return root.Child(wbxml.AirSyncCollections).Child(wbxml.AirSyncCollection)
	}
	c := sync(sync("0").Get(wbxml.AirSyncSyncKey))
	body := c.Child(wbxml.AirSyncCommands).Child(wbxml.AirSyncAdd).Child(wbxml.AirSyncApplicationData).Child(wbxml.BaseBody)
	if body.Get(wbxml.BaseType) != "1" || len(body.Get(wbxml.BaseData)) != 4 || body.Get(wbxml.BaseTruncated) != "1" {
		t.Error(short(c))
	}
}

// A device that waits is told at once to ask again, and then that it is to be wiped.
func TestAWipeEndsWhatWaits(t *testing.T) {
	w := newTown(t)
	p := w.phone(v161)
	p.provisions()
	var ready atomic.Bool
	var looks atomic.Int32
	answered := p.await(watched(w.mailbox("INBOX").ID, &ready, &looks))
	w.wiped(mail.WipeAccount)
	heard(t, answered, "Ping(Status=1)")
	if got := p.folders(); got != int(statusWipe) {
		t.Errorf("then: %d", got)
	}
}

// A Ping comes without a key, and a device that is to be wiped hears so by Ping too.
func TestAPingNeedsNoPolicy(t *testing.T) {
	each(t, func(t *testing.T, v version) {
		w := newTown(t).under(strict)
		p := w.phone(v)
		ping := wbxml.New(wbxml.PingPing, wbxml.Text(wbxml.PingHeartbeatInterval, "60"))
		if got := p.asks("Ping", ping); got != 3 { // without folders
			t.Errorf("without a policy: %d", got)
		}
		w.wiped(mail.WipeDevice)
		if got := p.asks("Ping", ping); got != v.hears(statusWipe) {
			t.Errorf("to be wiped: %d", got)
		}
	})
}
