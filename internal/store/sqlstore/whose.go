package sqlstore

import (
	"context"
	"sync"
	"time"

	"lockstep/internal/store"
)

// addressesKnownFor is how long a node that shares its database goes by what it
// remembers before it asks, in one statement, whether another changed it.
const addressesKnownFor = time.Second

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

	looking sync.Mutex
	looked  time.Time // guarded by looking, as is number
	number  int64     // of changes that there were then
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

// readdressed is called after each commit here that changed addresses.
func (db *DB) readdressed() {
	db.whose.forget()
	if db.onAddresses != nil {
		db.onAddresses()
	}
}

// ForgetAddresses has the next question of an address go to the database: another
// node said that it changed some.
func (db *DB) ForgetAddresses() { db.whose.forget() }

// changesAddresses counts, with the transaction, a change of addresses or domains for
// the other nodes.
func (db *DB) changesAddresses(c conn) error {
	if !db.shared {
		return nil
	}
	_, err := draw(c, "directory")
	return err
}

// sameAddresses forgets what is remembered if another node changed addresses since it
// was looked last. Those who ask meanwhile wait for the one that looks.
func (db *DB) sameAddresses(ctx context.Context) error {
	if !db.shared {
		return nil
	}
	w := &db.whose
	w.looking.Lock()
	defer w.looking.Unlock()
	now := time.Now()
	if now.Sub(w.looked) < addressesKnownFor {
		return nil
	}
	var number int64
	err := db.ask(ctx, func(c conn) error {
		_, err := one(c, selectCounter, func(r row) { number = r.num(0) }, "directory")
		return err
	})
	if err != nil {
		return err
	}
	if number != w.number {
		w.forget()
	}
	w.looked, w.number = now, number
	return nil
}
