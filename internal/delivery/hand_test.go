package delivery

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// away is a queue that may be out of reach.
type away struct {
	store.Queue
	mu    sync.Mutex
	down  bool
	taken []time.Time // when somebody took back what others had in hand
}

func (a *away) NextDue(context.Context) (time.Time, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.down {
		return time.Time{}, mail.Errorf(mail.Unavailable, "down")
	}
	return time.Time{}, nil
}

func (a *away) GiveBack(context.Context, string, time.Time, time.Duration) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.taken = append(a.taken, time.Now())
	return 0, nil
}

// Who could not have heard the others takes nothing from them: they were as silent for
// everybody.
func TestWhoHeardNobodyTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &away{}
		q := &Sender{Service: &Service{Queue: a, Log: slog.New(slog.DiscardHandler)}, Silence: 30 * time.Second, Now: time.Now}
		q.init()
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); q.lookOut(ctx) }()
		pass := func(d time.Duration) { // and then look
			time.Sleep(d)
			synctest.Wait()
			a.mu.Lock()
		}
		pass(5 * time.Minute)
		if len(a.taken) < 20 {
			t.Errorf("looked %d times in five minutes", len(a.taken))
		}
		a.down = true
		a.mu.Unlock()
		pass(time.Minute)
		a.down, a.taken = false, nil
		back := time.Now()
		a.mu.Unlock()
		pass(2 * time.Minute)
		if len(a.taken) == 0 || a.taken[0].Sub(back) < 20*time.Second {
			t.Errorf("the queue was there again at %v, and others' were taken at %v", back, a.taken)
		}
		a.mu.Unlock()
		stop()
		<-done
	})
}
