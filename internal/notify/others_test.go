package notify_test

import (
	"context"
	"log/slog"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/notify"
	"lockstep/internal/notify/notifytest"
)

// heads is what the nodes share of a store: where each account is.
type heads struct {
	mu    sync.Mutex
	heads map[mail.AccountID]mail.ModSeq
	asked int
}

func (s *heads) head(_ context.Context, a mail.AccountID) (mail.ModSeq, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	return s.heads[a], nil
}

// commit takes the next ModSeq, and then the node tells.
func (s *heads) commit(h *notify.Hub, a mail.AccountID, mb mail.MailboxID) {
	s.mu.Lock()
	if s.heads == nil {
		s.heads = map[mail.AccountID]mail.ModSeq{}
	}
	s.heads[a]++
	n := mail.News{ModSeq: s.heads[a], Mailboxes: []mail.MailboxID{mb}, At: time.Now()}
	s.mu.Unlock()
	h.Publish(a, n)
}

// join makes a node.
func (s *heads) join(t *testing.T, bus notify.Bus) *notify.Hub {
	t.Helper()
	h := &notify.Hub{}
	leave, err := h.Join(bus, s.head, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		leave()
		bus.Close()
	})
	return h
}

// listener is who watches, with what it knows: all up to a ModSeq, as it looks when it
// is told to, or began.
type listener struct {
	t     *testing.T
	store *heads
	a     mail.AccountID

	mu    sync.Mutex
	knows mail.ModSeq
	heard []mail.News
}

func (s *heads) listen(t *testing.T, h *notify.Hub, a mail.AccountID) (*listener, func()) {
	l := &listener{t: t, store: s, a: a}
	l.mu.Lock()
	defer l.mu.Unlock()
	stop := h.Watch(a, l.hear) // first
	l.knows, _ = s.head(t.Context(), a)
	return l, stop
}

func (l *listener) hear(n mail.News) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.heard) > 0 && n.ModSeq <= l.heard[len(l.heard)-1].ModSeq {
		l.t.Errorf("heard %d after %d", n.ModSeq, l.heard[len(l.heard)-1].ModSeq)
	}
	l.heard = append(l.heard, n)
	switch {
	case n.Look:
		head, _ := l.store.head(l.t.Context(), l.a)
		if head < n.ModSeq {
			l.t.Errorf("told to look for %d, and the store is at %d", n.ModSeq, head)
		}
		l.knows = max(l.knows, head)
	case n.ModSeq > l.knows+1:
		l.t.Errorf("heard %d, knows %d, and is not told to look", n.ModSeq, l.knows)
	default:
		l.knows = max(l.knows, n.ModSeq)
	}
}

func (l *listener) isAt() mail.ModSeq {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.knows
}

func (l *listener) last() mail.News {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.heard) == 0 {
		return mail.News{}
	}
	return l.heard[len(l.heard)-1]
}

func TestWhatOneNodeCommitsIsHeardOnOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var air notifytest.Air
		var s heads
		a, b := s.join(t, air.Node()), s.join(t, air.Node())
		here, _ := s.listen(t, a, 7)
		there, _ := s.listen(t, b, 7)
		other, _ := s.listen(t, b, 8)
		synctest.Wait()
		s.commit(a, 7, 3)
		synctest.Wait()
		s.commit(a, 7, 3)
		synctest.Wait()
		for name, l := range map[string]*listener{"here": here, "there": there} {
			if n := l.last(); n.ModSeq != 2 || n.Look || !n.Touches(3) || n.Touches(4) || n.At.IsZero() {
				t.Errorf("%s was heard %+v", name, n)
			}
		}
		if n := other.last(); n.ModSeq != 0 {
			t.Errorf("of another account was heard %+v", n)
		}
	})
}

// The bus loses, doubles and delays; two nodes commit to the same accounts at the same
// time, sessions come and go.
func TestWatchersMissNothingWhateverTheBusDoes(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 7))
			var air notifytest.Air
			var s heads
			air.Spoil(notifytest.Faults{Rand: rand.New(rand.NewPCG(seed, 8)), Lose: 0.1, Double: 0.1, Delay: 30 * time.Millisecond, Deaf: 5 * time.Millisecond})
			nodes := []*notify.Hub{s.join(t, air.Node()), s.join(t, air.Node()), s.join(t, air.Node())}
			type open struct {
				*listener
				stop func()
			}
			var all []open
			for range 500 {
				switch p := r.IntN(10); {
				case p == 0 && len(all) < 40:
					l, stop := s.listen(t, nodes[r.IntN(3)], mail.AccountID(1+r.IntN(3)))
					all = append(all, open{l, stop})
				case p == 1 && len(all) > 0:
					i := r.IntN(len(all))
					all[i].stop()
					all = append(all[:i], all[i+1:]...)
				case p == 2:
					time.Sleep(time.Duration(r.IntN(50)) * time.Millisecond)
				default:
					s.commit(nodes[r.IntN(3)], mail.AccountID(1+r.IntN(3)), mail.MailboxID(r.IntN(4)))
				}
			}
			time.Sleep(10 * time.Minute) // the long interval, and the round that follows
			for _, l := range all {
				if head, _ := s.head(t.Context(), l.a); l.isAt() != head {
					t.Errorf("seed %d: account %d is at %d, a watcher knows %d", seed, l.a, head, l.isAt())
				}
			}
		})
	}
}

// A session takes its snapshot; before the subscription is in force, another node
// commits. It is told, not minutes later.
func TestCommittedBetweenSnapshotAndSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var air notifytest.Air
		var s heads
		a, b := s.join(t, air.Node()), s.join(t, air.Node())
		air.Spoil(notifytest.Faults{Deaf: 300 * time.Millisecond})
		l, _ := s.listen(t, b, 7)
		time.Sleep(100 * time.Millisecond)
		s.commit(a, 7, 3)
		s.commit(a, 7, 4)
		synctest.Wait()
		if l.isAt() != 0 {
			t.Fatal("it was in force too early for this test to prove anything")
		}
		time.Sleep(201 * time.Millisecond)
		synctest.Wait()
		if n := l.last(); l.isAt() != 2 || !n.Look || !n.Touches(99) || !n.Types.Has(mail.TypeSubmission) {
			t.Errorf("knows %d, and heard last %+v", l.isAt(), n)
		}
	})
}

func TestAGapIsLookedAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var air notifytest.Air
		var s heads
		cut := air.Node()
		a, b := s.join(t, air.Node()), s.join(t, cut)
		l, _ := s.listen(t, b, 7)
		quiet, _ := s.listen(t, b, 8)
		synctest.Wait()
		s.commit(a, 7, 3)
		synctest.Wait()
		if lag, err := b.Behind(t.Context(), 10); lag.Commits() != 0 || err != nil {
			t.Errorf("what heard everything is behind: %+v, %v", lag, err)
		}
		air.Cut(cut)
		s.commit(a, 7, 3)
		s.commit(a, 7, 3)
		synctest.Wait()
		if l.isAt() != 1 {
			t.Fatal("it heard without a connection")
		}
		if lag, err := b.Behind(t.Context(), 10); lag != (notify.Lag{Account: 7, Told: 1, Head: 3}) || err != nil {
			t.Errorf("what heard nothing for two commits is behind: %+v, %v", lag, err)
		}
		air.Mend(cut)
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		if l.isAt() != 3 {
			t.Errorf("after the gap it knows %d", l.isAt())
		}
		if n := quiet.last(); n.ModSeq != 0 {
			t.Errorf("where nothing happened was heard %+v", n)
		}
	})
}

func TestWithoutAConnectionItIsLookedOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var air notifytest.Air
		var s heads
		cut := air.Node()
		a, b := s.join(t, air.Node()), s.join(t, cut)
		l, _ := s.listen(t, b, 7)
		synctest.Wait()
		air.Cut(cut)
		s.commit(a, 7, 3)
		time.Sleep(30 * time.Second)
		if l.isAt() != 1 {
			t.Errorf("after half a minute it knows %d", l.isAt())
		}
	})
}

// counting is a bus that counts topics that are listened to.
type counting struct {
	notify.Bus
	mu     sync.Mutex
	topics map[string]int
	taken  int
}

func (c *counting) Receive(topic string, fn func(string, []byte)) (func(), error) {
	stop, err := c.Bus.Receive(topic, fn)
	c.add(topic, 1)
	return func() { stop(); c.add(topic, -1) }, err
}

func (c *counting) add(topic string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.topics[topic] += n
	c.taken += max(n, 0)
}

// listens says to which topics somebody listens, and how often one was begun.
func (c *counting) listens() (topics map[string]int, taken int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.topics), c.taken
}

func TestANodeHearsOnlyOfWhatIsWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var air notifytest.Air
		var s heads
		bus := &counting{Bus: air.Node(), topics: map[string]int{}}
		h := s.join(t, bus)
		first := h.Watch(7, func(mail.News) {})
		second := h.Watch(7, func(mail.News) {})
		synctest.Wait()
		if topics, taken := bus.listens(); topics["account.7"] != 1 || taken != 1 {
			t.Errorf("listens to %v", topics)
		}
		first()
		second()
		time.Sleep(5 * time.Second)
		again := h.Watch(7, func(mail.News) {}) // who left often comes again
		time.Sleep(time.Minute)
		if topics, taken := bus.listens(); topics["account.7"] != 1 || taken != 1 {
			t.Errorf("listens to %v, after taking up %d", topics, taken)
		}
		again()
		time.Sleep(time.Minute)
		if topics, _ := bus.listens(); topics["account.7"] != 0 {
			t.Errorf("nobody watches, and it listens to %v", topics)
		}
		h.Watch(7, func(mail.News) {})
		stop := h.WatchAll(func(mail.AccountID, mail.News) {})
		synctest.Wait()
		if topics, _ := bus.listens(); topics["account.7"] != 1 || topics["account.>"] != 1 {
			t.Errorf("listens to %v", topics)
		}
		stop()
		synctest.Wait()
		if topics, _ := bus.listens(); topics["account.7"] != 1 || topics["account.>"] != 0 {
			t.Errorf("listens to %v", topics)
		}
	})
}

// stuck is a bus that does not come to listen.
type stuck struct {
	notify.Bus
	free chan struct{}
}

func (s stuck) Receive(topic string, fn func(string, []byte)) (func(), error) {
	<-s.free
	return s.Bus.Receive(topic, fn)
}

func TestACommitDoesNotWaitForTheBus(t *testing.T) {
	var air notifytest.Air
	var s heads
	bus := stuck{air.Node(), make(chan struct{})}
	h := s.join(t, bus)
	defer close(bus.free)
	for a := range mail.AccountID(100) {
		l, stop := s.listen(t, h, a+1)
		s.commit(h, a+1, 1)
		if l.isAt() != 1 {
			t.Fatal("its own node's watcher was not told")
		}
		stop()
	}
}

func TestNewsThatAreNotUnderstoodAreLookedAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var air notifytest.Air
		var s heads
		later := air.Node()
		defer later.Close()
		h := s.join(t, air.Node())
		l, _ := s.listen(t, h, 7)
		var all []mail.AccountID
		defer h.WatchAll(func(a mail.AccountID, n mail.News) { all = append(all, a) })()
		synctest.Wait()
		s.commit(&notify.Hub{}, 7, 3)
		later.Send("account.7", []byte("\x02as a later version says it"))
		later.Send("account.x", []byte("\x01"))
		synctest.Wait()
		if l.isAt() != 1 {
			t.Errorf("knows %d", l.isAt())
		}
		if len(all) != 2 || all[0] != 0 || all[1] != 7 {
			t.Errorf("who watches all heard of %v", all)
		}
	})
}

func TestWhoWatchesAllHearsOfAllNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var air notifytest.Air
		var s heads
		cut := air.Node()
		a, b := s.join(t, air.Node()), s.join(t, cut)
		heard := map[mail.AccountID]int{}
		var mu sync.Mutex
		defer b.WatchAll(func(a mail.AccountID, n mail.News) {
			mu.Lock()
			defer mu.Unlock()
			heard[a]++
		})()
		early, earlier := 0, &notify.Hub{} // who watched before the node joined
		defer earlier.WatchAll(func(a mail.AccountID, n mail.News) {
			mu.Lock()
			defer mu.Unlock()
			if a == 9 {
				early++
			}
		})()
		third := air.Node()
		defer third.Close()
		leave, err := earlier.Join(third, s.head, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer leave()
		l, _ := s.listen(t, b, 7)
		synctest.Wait()
		mu.Lock()
		clear(heard) // of beginning
		mu.Unlock()
		s.commit(a, 7, 1)
		s.commit(a, 9, 1)
		s.commit(b, 9, 1)
		synctest.Wait()
		mu.Lock()
		if len(heard) != 2 || heard[7] != 1 || heard[9] != 2 || l.isAt() != 1 || early != 2 {
			t.Errorf("heard of %v, and who watched before, %d times", heard, early)
		}
		mu.Unlock()
		air.Cut(cut)
		air.Mend(cut)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if heard[0] != 1 {
			t.Errorf("after a gap heard of %v", heard)
		}
	})
}

func TestWhoLeavesIsAloneAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var air notifytest.Air
		var s heads
		bus := &counting{Bus: air.Node(), topics: map[string]int{}}
		defer bus.Close()
		var h notify.Hub
		leave, err := h.Join(bus, s.head, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Join(bus, s.head, slog.New(slog.DiscardHandler)); err == nil {
			t.Error("joined twice")
		}
		l, stop := s.listen(t, &h, 7)
		synctest.Wait()
		leave()
		if topics, _ := bus.listens(); topics["account.7"] != 0 {
			t.Errorf("listens to %v", topics)
		}
		s.commit(&h, 7, 1)
		if l.isAt() != 1 {
			t.Errorf("knows %d", l.isAt())
		}
		stop()
	})
}
