package notify

import (
	"context"

	"lockstep/internal/mail"
)

// Lag is how far what watchers here were told lies behind an account.
type Lag struct {
	Account mail.AccountID
	Told    mail.ModSeq
	Head    mail.ModSeq
}

// Commits is how many they have not heard of.
func (l Lag) Commits() int { return int(l.Head - l.Told) }

// Behind looks at some of the accounts that are watched here, of several nodes, and
// returns the one whose watchers are furthest behind; the zero Lag if none is. What is
// on its way is among it, so that a little is nothing. It costs a read for each account
// that it looks at, up to most.
func (h *Hub) Behind(ctx context.Context, most int) (worst Lag, err error) {
	o := h.others.Load()
	if o == nil {
		return worst, nil
	}
	var some []mail.AccountID
	h.mu.RLock()
	for a, w := range h.accounts { // in an order by chance
		if len(some) == most {
			break
		}
		if w.since.IsZero() {
			some = append(some, a)
		}
	}
	h.mu.RUnlock()
	for _, a := range some {
		head, err := o.head(ctx, a)
		if err != nil {
			return worst, err
		}
		h.mu.RLock()
		w := h.accounts[a]
		h.mu.RUnlock()
		if w == nil {
			continue
		}
		w.telling.Lock()
		told := w.newest // after the head was read, so that what came meanwhile does not count
		w.telling.Unlock()
		if l := (Lag{a, told, head}); told > 0 && head > told && l.Commits() > worst.Commits() {
			worst = l
		}
	}
	return worst, nil
}
