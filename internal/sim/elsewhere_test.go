package sim

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/notify"
	"lockstep/internal/notify/notifytest"
	"lockstep/internal/store"
)

// elsewhere is a store whose watchers are on another node than whoever commits: all
// they hear came by a bus, late, doubled and in any order.
type elsewhere struct {
	store.Store
	here, there *notify.Hub

	mu      sync.Mutex
	carried map[mail.AccountID]func()
	closers []func()
}

func newElsewhere(st store.Store, f notifytest.Faults) *elsewhere {
	e := &elsewhere{Store: st, here: &notify.Hub{}, there: &notify.Hub{}, carried: map[mail.AccountID]func(){}}
	air := &notifytest.Air{}
	air.Spoil(f)
	for _, h := range []*notify.Hub{e.here, e.there} {
		bus := air.Node()
		leave, err := h.Join(bus, e.head, slog.New(slog.DiscardHandler))
		if err != nil {
			panic(err)
		}
		e.closers = append(e.closers, leave, func() { bus.Close() })
	}
	return e
}

func (e *elsewhere) head(ctx context.Context, a mail.AccountID) (n mail.ModSeq, err error) {
	err = e.Store.View(ctx, a, func(r store.Reader) error {
		account, err := r.Account()
		n = account.Head
		return err
	})
	return n, err
}

func (e *elsewhere) Watch(a mail.AccountID, fn func(mail.News)) (stop func()) {
	e.mu.Lock()
	if e.carried[a] == nil {
		e.carried[a] = e.Store.Watch(a, func(n mail.News) { e.here.Publish(a, n) })
	}
	e.mu.Unlock()
	return e.there.Watch(a, fn)
}

func (e *elsewhere) close() {
	e.mu.Lock()
	for _, stop := range e.carried {
		stop()
	}
	e.mu.Unlock()
	for _, c := range e.closers {
		c()
	}
}

// playElsewhere runs a plan in which every device is connected to another node than
// the one that commits.
func playElsewhere(t *testing.T, p Plan, faults func() notifytest.Faults) (r Result) {
	home, leave := atHome(t)
	defer leave()
	synctest.Test(t, func(t *testing.T) {
		var lives []*elsewhere
		f := Fault{Store: func(st store.Store) store.Store {
			e := newElsewhere(st, faults())
			lives = append(lives, e)
			return e
		}}
		r = Run(t.Context(), p, home, f, synctest.Wait)
		for _, e := range lives {
			e.close()
		}
	})
	return r
}

func TestDevicesOfAnotherNodeEndInStep(t *testing.T) {
	for seed := uint64(1); seed <= 4; seed++ {
		bad := func() notifytest.Faults {
			return notifytest.Faults{Rand: rand.New(rand.NewPCG(seed, 26)), Double: 0.2, Delay: 60 * time.Millisecond, Deaf: 20 * time.Millisecond}
		}
		if wrong := playElsewhere(t, plan(seed), bad).Wrong; len(wrong) > 0 {
			t.Errorf("seed %d: %s", seed, strings.Join(wrong, "\n"))
		}
	}
}

// A bus that loses words is found, as those who wait are not told in time.
func TestABusThatLosesWordsIsFound(t *testing.T) {
	for seed := uint64(1000); seed < 1040; seed++ {
		bad := func() notifytest.Faults {
			return notifytest.Faults{Rand: rand.New(rand.NewPCG(seed, 26)), Lose: 0.5}
		}
		if wrong := playElsewhere(t, plan(seed), bad).Wrong; len(wrong) > 0 {
			return
		}
	}
	t.Error("40 seeds did not find it")
}
