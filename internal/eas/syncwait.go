package eas

import (
	"context"
	"errors"
	"sync"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// waiters are the Syncs that wait. One of a device ends the one before it.
type waiters struct {
	mu  sync.Mutex
	all map[deviceKey]*waiter
}

type waiter struct{ stop context.CancelFunc }

// enter ends the wait of the device that is under way, and returns a context that ends
// when the next one comes.
func (w *waiters) enter(ctx context.Context, k deviceKey) (context.Context, func()) {
	ctx, stop := context.WithCancel(ctx)
	me := &waiter{stop}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all == nil {
		w.all = map[deviceKey]*waiter{}
	}
	if old := w.all[k]; old != nil {
		old.stop()
	}
	w.all[k] = me
	return ctx, func() {
		stop()
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.all[k] == me {
			delete(w.all, k)
		}
	}
}

// awaitChange waits until there is something to tell; false when time is up or
// another request of the device came.
func (q *request) awaitChange(s *syncRequest, until time.Time) (bool, error) {
	ctx, leave := q.srv.waiting.enter(q.ctx, q.deviceKey())
	defer leave()
	wake := make(chan struct{}, 1)
	defer q.srv.Store.Watch(q.account(), func(news mail.News) {
		if !s.concerns(news) {
			return
		}
		select {
		case wake <- struct{}{}:
		default:
		}
	})()
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	for {
		woken, err := q.anyChanged(s)
		if err != nil || woken {
			return woken, err
		}
		select {
		case <-wake:
		case <-timer.C:
			return false, nil
		case <-ctx.Done():
			if err := context.Cause(q.ctx); err != nil && !errors.Is(err, context.Canceled) {
				return false, err
			}
			return false, nil
		}
	}
}

// concerns reports whether news may be of one of the collections.
func (s *syncRequest) concerns(news mail.News) bool {
	if news.Types.Has(mail.TypeNames) {
		return true
	}
	for _, c := range s.collections {
		if mb, ok := parseFolderID(c.id); ok && news.Touches(mb) {
			return true
		}
	}
	return false
}

// anyChanged reports whether one of the collections has something new.
func (q *request) anyChanged(s *syncRequest) (yes bool, err error) {
	err = q.view(func(r store.Reader) error {
		for _, c := range s.collections {
			if yes, err = q.changed(r, c.id); err != nil || yes {
				return err
			}
		}
		return nil
	})
	return yes, err
}
