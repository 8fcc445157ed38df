package search

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/notify"
	"lockstep/internal/notify/notifytest"
	"lockstep/internal/store"
)

// node is one of several that have the same mail: the house's, where all is committed,
// or another, which hears of it on the bus.
type node struct {
	*house
	hub *notify.Hub
	bus notify.Bus
	dir string

	blobs func(context.Context, mail.Blob) (Bytes, error)
}

// newTown is a house with one node, and another node.
func newTown(t *testing.T) (here, there *node) {
	t.Helper()
	h := newHouse(t)
	h.x.Close()
	var air notifytest.Air
	begin := func(own *house, hub *notify.Hub) *node {
		n := &node{house: own, hub: hub, bus: air.Node(), dir: t.TempDir(), blobs: h.open}
		leave, err := hub.Join(n.bus, h.head, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			leave()
			n.bus.Close()
		})
		n.again()
		return n
	}
	return begin(h, h.hub), begin(&house{t: t, db: h.db, account: h.account, inbox: h.inbox}, &notify.Hub{})
}

func (h *house) head(ctx context.Context, a mail.AccountID) (head mail.ModSeq, err error) {
	err = h.db.View(ctx, a, func(r store.Reader) error {
		row, err := r.Account()
		head = row.Head
		return err
	})
	return head, err
}

// again begins anew with what is on the node's disk.
func (n *node) again() {
	n.t.Helper()
	var err error
	n.x, err = New(n.dir, Options{Nodes: &Nodes{Files: n.db, Bus: n.bus}, Store: n.db, Directory: n.db, Hub: n.hub, Secret: []byte("secret"), Blobs: n.blobs})
	if err != nil {
		n.t.Fatal(err)
	}
	x := n.x
	n.t.Cleanup(func() { x.Close() })
}

// indexed is how many messages a node's index of an account has; -1: it has none.
func (n *node) indexed(a mail.AccountID) int64 {
	s, err := n.x.Status(context.Background(), a)
	if err != nil {
		return -1
	}
	return s.Messages
}

func (n *node) isThere(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

func TestANodeIndexesWhatIsInUseOnIt(t *testing.T) {
	here, there := newTown(t)
	here.put("Subject: a\r\n\r\nneedle\r\n")
	bob := here.addAccount("bob@example.test")
	defer here.run()()
	defer there.run()()
	if got := there.ask(Text, "needle", there.all()); len(got) != 0 {
		t.Errorf("decided without an index: %v", got)
	}
	there.eventually("who is searched for is indexed", func() bool { return there.indexed(there.account) == 1 })
	here.put("Subject: b\r\n\r\nneedle\r\n")
	there.eventually("what is committed elsewhere is followed", func() bool { return there.indexed(there.account) == 2 })
	if here.indexed(here.account) != -1 || there.indexed(bob) != -1 {
		t.Error("an account is indexed that nobody uses")
	}
	stop := there.hub.Watch(bob, func(mail.News) {}) // a session
	defer stop()
	there.x.lookAround()
	there.eventually("who has a session is indexed", func() bool { return there.indexed(bob) == 0 })
	if here.x.Has(bob) || !there.x.Has(bob) {
		t.Error("the wrong node has it")
	}
}

func TestAnIndexThatNobodyNeededForLongGoes(t *testing.T) {
	here, _ := newTown(t)
	here.put("Subject: a\r\n\r\nneedle\r\n")
	stop := here.run()
	here.x.need(here.account)
	here.eventually("it is indexed", func() bool { return here.indexed(here.account) == 1 && here.isThere(here.x.notePath(here.account)) })
	stop()
	here.x.Close()

	here.again()
	stop = here.run()
	here.eventually("it is taken up after a start", func() bool { return here.x.Has(here.account) && here.x.Lag().Accounts == 0 })
	if n := here.x.Stats().Indexed; n != 0 {
		t.Errorf("%d messages are read again", n)
	}
	here.x.following.Lock()
	here.x.follows[here.account].needed = time.Now().Add(-keptFor - time.Hour)
	here.x.following.Unlock()
	here.x.lookAround()
	gone := func() bool {
		return !here.isThere(here.path(here.account)) && !here.isThere(here.x.notePath(here.account))
	}
	here.eventually("it goes", gone)

	here.x.need(here.account)
	here.eventually("it is made again", func() bool { return here.indexed(here.account) == 1 && here.isThere(here.x.notePath(here.account)) })
	stop()
	here.x.Close()
	long := time.Now().Add(-keptFor - time.Hour)
	if err := os.Chtimes(here.x.notePath(here.account), long, long); err != nil {
		t.Fatal(err)
	}
	here.again()
	stop = here.run()
	defer stop()
	here.eventually("it goes at the start", gone)
}

// A session keeps an index, and the index's own interest in the account does not.
func TestASessionKeepsAnIndex(t *testing.T) {
	here, _ := newTown(t)
	here.x.need(here.account)
	age := func() {
		here.x.following.Lock()
		defer here.x.following.Unlock()
		here.x.follows[here.account].needed = time.Now().Add(-keptFor - time.Hour)
	}
	age()
	stop := here.hub.Watch(here.account, func(mail.News) {})
	here.x.lookAround()
	if !here.x.Has(here.account) {
		t.Fatal("an account with a session is given up")
	}
	stop()
	age()
	here.x.lookAround()
	if here.x.Has(here.account) {
		t.Error("an account that nobody uses is kept")
	}
}

// What is to leave every index leaves those of other nodes: at once where they run, when
// they look if no word came, and at their start.
func TestARenewedIndexIsRenewedOnAllNodes(t *testing.T) {
	for _, way := range []string{"told", "looks", "starts"} {
		t.Run(way, func(t *testing.T) {
			here, there := newTown(t)
			here.put("Subject: a\r\n\r\nneedle\r\n")
			stop := there.run()
			there.x.need(there.account)
			there.eventually("it is indexed", func() bool {
				return there.x.Stats().Indexed == 1 && there.x.Lag().Accounts == 0 && there.isThere(there.x.notePath(there.account))
			})
			if way != "told" {
				here.x.Nodes.Bus = nil
			}
			if way == "starts" {
				stop()
				there.x.Close()
			}
			if err := here.x.Renew(t.Context(), here.account); err != nil {
				t.Fatal(err)
			}
			want := int64(2)
			switch way {
			case "looks":
				there.x.following.Lock()
				there.x.follows[there.account].looked = time.Now().Add(-lookEvery - time.Minute)
				there.x.following.Unlock()
				there.x.lookAround()
			case "starts":
				want = 1
				there.again()
				stop = there.run()
			}
			there.eventually("it is made anew", func() bool { return there.x.Stats().Indexed == want && there.x.Lag().Accounts == 0 })
			stop()
			there.x.Close()
			there.again()
			defer there.run()()
			there.eventually("all is looked at", func() bool { return there.x.Has(there.account) && there.x.Lag().Accounts == 0 })
			if n := there.x.Stats().Indexed; n != 0 {
				t.Errorf("%d messages are read once more", n)
			}
		})
	}
}

func TestARemovedAccountsIndexGoesOnAllNodes(t *testing.T) {
	here, there := newTown(t)
	here.put("Subject: a\r\n\r\nneedle\r\n")
	defer there.run()()
	there.x.need(there.account)
	there.eventually("it is indexed", func() bool { return there.indexed(there.account) == 1 })
	if err := errors.Join(here.db.RemoveAccount(t.Context(), here.account), here.x.Forget(t.Context(), here.account)); err != nil {
		t.Fatal(err)
	}
	there.eventually("it goes", func() bool {
		return !there.isThere(there.path(there.account)) && !there.isThere(there.x.notePath(there.account)) && !there.x.Has(there.account)
	})
}

func TestMoreAccountsThanTheirBoundAreNotFollowed(t *testing.T) {
	here, _ := newTown(t)
	hub := &notify.Hub{} // of nobody
	here.x.Hub = hub
	now := time.Now()
	for i := range maxFollowed + 1 {
		here.x.needAt(mail.AccountID(1000+i), now.Add(time.Duration(i)*time.Microsecond))
	}
	if n := len(here.x.follows); n != maxFollowed || here.x.Has(1000) || !here.x.Has(1001) || !here.x.Has(1000+maxFollowed) {
		t.Errorf("%d are followed; the first %v", n, here.x.Has(1000))
	}
	watched := 0
	hub.EachWatched(func(mail.AccountID, int) { watched++ })
	if watched != maxFollowed {
		t.Errorf("%d are watched", watched)
	}
}

// Only an index that the node has is made anew when all are.
func TestARebuildIsOfWhatTheNodeHas(t *testing.T) {
	here, _ := newTown(t)
	here.put("Subject: a\r\n\r\nneedle\r\n")
	rebuild := func() {
		t.Helper()
		if err := here.x.Rebuild(t.Context(), here.account, func(int64) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	rebuild()
	if here.indexed(here.account) != -1 {
		t.Error("an index is made that the node does not have")
	}
	if err := here.x.Follow(here.account); err != nil {
		t.Fatal(err)
	}
	rebuild()
	if here.indexed(here.account) != 1 {
		t.Error("it is not made")
	}
	here.x.Close()
	here.again()
	defer here.run()()
	here.eventually("it is kept", func() bool { return here.x.Has(here.account) && here.x.Lag().Accounts == 0 })
	if here.indexed(here.account) != 1 || here.x.Stats().Indexed != 0 {
		t.Error("it is not what was made")
	}
}
