package sqlstore

import (
	"sync"

	"lockstep/internal/store"
)

// maxWhose bounds the answers that are remembered; with more, all are forgotten.
const maxWhose = 100_000

// whose remembers what was found of addresses and local domains, since everything
// that is delivered asks for them and they hardly ever change. Whoever changes them
// has it forget, between the commit and the answer.
type whose struct {
	mu        sync.RWMutex
	turn      int // of forgetting
	addresses map[spelled]store.Address
	domains   map[string]bool
}

// spelled is an address as it was asked for.
type spelled struct{ local, domain string }

// address returns what is remembered, else what find finds, which is remembered
// unless it was forgotten meanwhile. What is not there is not remembered: a stranger
// could ask for anything.
func (w *whose) address(s spelled, find func() (store.Address, error)) (store.Address, error) {
	w.mu.RLock()
	a, known := w.addresses[s]
	turn := w.turn
	w.mu.RUnlock()
	if known {
		return a, nil
	}
	a, err := find()
	if err == nil {
		w.remember(turn, func() { w.addresses[s] = a })
	}
	return a, err
}

// isLocal does the same for a domain.
func (w *whose) isLocal(domain string, find func() (bool, error)) (bool, error) {
	w.mu.RLock()
	known := w.domains[domain]
	turn := w.turn
	w.mu.RUnlock()
	if known {
		return true, nil
	}
	local, err := find()
	if err == nil && local {
		w.remember(turn, func() { w.domains[domain] = true })
	}
	return local, err
}

func (w *whose) remember(turn int, set func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if turn != w.turn {
		return
	}
	if w.addresses == nil || len(w.addresses)+len(w.domains) >= maxWhose {
		w.addresses, w.domains = map[spelled]store.Address{}, map[string]bool{}
	}
	set()
}

// forget is called after each commit that changed addresses.
func (w *whose) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turn++
	w.addresses, w.domains = nil, nil
}
