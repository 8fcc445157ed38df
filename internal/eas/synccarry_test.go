package eas

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// tally is a store that counts what is asked of it. Notes wait until they may go on.
type tally struct {
	store.Store
	views, notes, updates atomic.Int64
	held                  chan struct{} // closed lets all through
}

// View implements store.Store.
func (c *tally) View(ctx context.Context, id mail.AccountID, fn func(store.Reader) error) error {
	c.views.Add(1)
	return c.Store.View(ctx, id, fn)
}

// Update implements store.Store.
func (c *tally) Update(ctx context.Context, id mail.AccountID, by mail.Origin, fn func(store.Tx) error) (mail.ModSeq, error) {
	c.updates.Add(1)
	return c.Store.Update(ctx, id, by, fn)
}

// Note implements store.Store.
func (c *tally) Note(ctx context.Context, id mail.AccountID, fn func(store.Notes) error) error {
	<-c.held
	c.notes.Add(1)
	return c.Store.Note(ctx, id, fn)
}

// tallied has the server use a store that counts. Notes wait until they are let go.
func (w *town) tallied() (c *tally, letGo func()) {
	c = &tally{Store: w.server.Store, held: make(chan struct{})}
	w.server.Store = c
	return c, func() { close(c.held); w.server.Close() }
}

// waitingFor is a Sync of a folder that waits for a minute.
func waitingFor(key, folder string) *wbxml.Element {
	return syncing(key, folder).Add(wbxml.Int(wbxml.AirSyncWait, 1))
}

// keyIn is the SyncKey in an answer as short writes it.
func keyIn(answer string) string {
	_, rest, _ := strings.Cut(answer, "SyncKey=")
	key, _, _ := strings.Cut(rest, " ")
	return key
}

// A change wakes a device that waits in a Sync, or in a Ping, without a wait for the
// disk but the change's own; what it is told is remembered while it hears it.
func TestAWakeWritesNothingBeforeTheAnswer(t *testing.T) {
	w := newTown(t)
	p := w.phone(v161)
	p.folderStep("0")
	w.put("INBOX", "Subject: first\r\n\r\nx")
	key := p.inStep("INBOX", "0")
	p.inStep("INBOX", key)

	answer := p.beginOf("Sync", waitingFor(key, p.inbox()))
	c, letGo := w.tallied()
	w.put("INBOX", "Subject: second\r\n\r\nx")
	got := <-answer
	if next := keyIn(got); next == key || !strings.Contains(got, "Subject=second") {
		t.Fatal("answered", got)
	} else {
		key = next
	}
	if views := c.views.Load(); views > 2 { // one finds it, one reads it
		t.Errorf("a Sync that waited was answered with %d snapshots", views)
	}
	if c.notes.Load()+c.updates.Load() != 0 {
		t.Error("it waited for the disk")
	}
	letGo()
	if c.notes.Load() != 1 || c.updates.Load() != 0 {
		t.Errorf("remembered by %d notes and %d changes", c.notes.Load(), c.updates.Load())
	}

	answer = p.begin(pinging(60, p.inbox()))
	c.views.Store(0)
	c.notes.Store(0)
	w.put("INBOX", "Subject: third\r\n\r\nx")
	if got := <-answer; !strings.Contains(got, "Status=2") {
		t.Fatal("answered", got)
	}
	if views := c.views.Load(); views > 1 || c.notes.Load()+c.updates.Load() != 0 {
		t.Errorf("a Ping was answered with %d snapshots, %d notes, %d changes", views, c.notes.Load(), c.updates.Load())
	}
}

// A server that dies between the answer and what it was to remember of it goes on with
// the key that the answer gave: nothing is told twice, and nothing wakes the device again
// and again.
func TestAKeyThatWasNotRememberedGoesOn(t *testing.T) {
	w := newTown(t)
	p := w.phone(v161)
	p.folderStep("0")
	w.put("INBOX", "Subject: first\r\n\r\nx")
	old := p.inStep("INBOX", "0")
	second := w.put("INBOX", "Subject: second\r\n\r\nx")

	w.server.dies = func() bool { return true }
	c := collectionOf(p.call("Sync", syncing(old, p.inbox())))
	key := c.Get(wbxml.AirSyncSyncKey)
	if len(c.Child(wbxml.AirSyncCommands).Children) != 1 || len(key) > 64 {
		t.Fatal(short(c))
	}
	w.start()
	e := p.call("GetItemEstimate", wbxml.New(wbxml.EstimateGetItemEstimate, wbxml.New(wbxml.EstimateCollections, wbxml.New(wbxml.EstimateCollection,
		wbxml.Text(wbxml.AirSyncSyncKey, key), wbxml.Text(wbxml.EstimateCollectionId, p.inbox())))))
	if r := e.Child(wbxml.EstimateResponse); r.Get(wbxml.EstimateStatus) != "1" || r.Child(wbxml.EstimateCollection).Get(wbxml.EstimateEstimate) != "0" {
		t.Error("the estimate is", short(e))
	}
	if a := p.call("Sync", syncing(key, p.inbox())); a != nil {
		t.Fatal("is told", short(a))
	}
	answer := p.begin(pinging(60, p.inbox()))
	select {
	case got := <-answer:
		t.Fatal("is woken:", got)
	default:
	}
	w.put("INBOX", "Subject: third\r\n\r\nx")
	if got := <-answer; !strings.Contains(got, "Status=2") {
		t.Fatal("answered", got)
	}
	c = collectionOf(p.call("Sync", syncing(key, p.inbox(), readMark(itemID(second.Mailbox, second.Lineage)))))
	if c.Get(wbxml.AirSyncStatus) != "1" || !w.isSeen(second) || len(c.Child(wbxml.AirSyncCommands).Children) != 1 {
		t.Error("goes on with", short(c))
	}
}

// Who did not hear that answer is answered as well.
func TestAnAnswerThatWasNeitherHeardNorRememberedComesAgain(t *testing.T) {
	w := newTown(t)
	p := w.phone(v161)
	p.folderStep("0")
	old := p.inStep("INBOX", "0")
	w.put("INBOX", "Subject: second\r\n\r\nx")
	w.server.dies = func() bool { return true }
	lost := collectionOf(p.call("Sync", syncing(old, p.inbox()))).Get(wbxml.AirSyncSyncKey)
	w.start()
	w.put("INBOX", "Subject: third\r\n\r\nx")
	c := collectionOf(p.call("Sync", syncing(old, p.inbox())))
	if len(c.Child(wbxml.AirSyncCommands).Children) != 2 {
		t.Fatal("is told", short(c))
	}
	w.server.Close()
	// A network may bring the first answer after all, to a phone made from its backup.
	c = collectionOf(p.call("Sync", syncing(lost, p.inbox())))
	if c.Get(wbxml.AirSyncStatus) != "1" || len(c.Child(wbxml.AirSyncCommands).Children) != 1 {
		t.Error("who heard the first goes on with", short(c))
	}
}

// What a device did by a request whose answer it did not hear stays done when it goes on
// with a key that was not remembered.
func TestWhatWasDoneIsKnownBesideAKeyThatWasNotRemembered(t *testing.T) {
	w := newTown(t)
	p := w.phone(v161)
	p.folderStep("0")
	drafts := folderID(w.mailbox("Drafts").ID)
	old := p.inStep("Drafts", "0")
	w.put("Drafts", "Subject: second\r\n\r\nx")
	w.server.dies = func() bool { return true }
	key := collectionOf(p.call("Sync", syncing(old, drafts))).Get(wbxml.AirSyncSyncKey)
	made := wbxml.New(wbxml.AirSyncCommands, newDraft("c1"))
	p.call("Sync", syncing(old, drafts, made)) // at another node, with the key of the first
	w.server.Close()
	c := collectionOf(p.call("Sync", syncing(key, drafts, made)))
	if c.Get(wbxml.AirSyncStatus) != "1" {
		t.Error("answered", short(c))
	}
	countOf(t, "drafts", len(placementsIn(w, "Drafts")), 2)
}

func TestAKeyCarriesOnlyWhatFollowsFromWhatIsRemembered(t *testing.T) {
	const head = 100
	for _, c := range []struct {
		name string
		n    uint64
		view view
		want bool
	}{
		{"what follows", follower(7, 60), view{}, true},
		{"the head", follower(7, head), view{}, true},
		{"no place", follower(7, 0), view{}, false},
		{"past the head", follower(7, head+1), view{}, false},
		{"where it stands", follower(7, 50), view{}, false},
		{"what follows another", follower(8, 60), view{}, false},
		{"itself", 7, view{}, false},
		{"inside a delta", follower(7, 60), view{Log: mail.Position{Target: 55}}, false},
		{"while it is filled", follower(7, 60), view{Fill: &fill{}}, false},
		{"while some leaves", follower(7, 60), view{Soft: &soft{}}, false},
	} {
		c.view.Log.Since = 50
		for _, before := range []bool{false, true} {
			r := &relationship{Current: generation{N: 7, View: c.view}}
			if before {
				r = &relationship{Current: generation{N: 1000}, Before: r.Current, HasPrev: true}
			}
			if got := r.carry(c.n, head); got != c.want {
				t.Errorf("%s, before %v: %v", c.name, before, got)
			} else if got && (r.Current.N != c.n || r.Before.N != 7 || r.Current.View.Log.Since != carriedBy(c.n)) {
				t.Errorf("%s, before %v: %+v", c.name, before, r)
			}
		}
	}
}

// The longest key is one that a device takes (MS-ASCMD §2.2.3.181.1), and its number is
// written and read as one.
func TestTheLongestKeyFits(t *testing.T) {
	n := follower(1<<countBits-2, maxCarried)
	key := syncKey(1<<32-1, n)
	if _, got, ok := parseKey(key); len(key) > 64 || !ok || got != n || n > 1<<63-1 || carriedBy(n) != maxCarried {
		t.Errorf("%q, %d bytes: %d, %v", key, len(key), got, ok)
	}
	if n = follower(n, 0); n != 0 { // it begins anew
		t.Error("the number after the last is", n)
	}
}
