// Package model is the naive truth: a store in memory, so plain that it is
// right at a glance. Every version of an account is kept apart, what can be
// counted is counted again after each transaction, and differences are found by
// comparing the version before with the version after. storetest holds the
// engines against it, and tests of other packages use it as their store.
package model

import (
	"bytes"
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/notify"
	"lockstep/internal/store"
)

// Store implements store.Store, Directory, Queue, Keeper and what nodes share. Work
// under a lease is fenced where accounts, the queue and files are written.
type Store struct {
	// Twice runs every closure of Update and Note twice and forgets the first run.
	// Set it before use.
	Twice bool
	// Now is the clock; set it before use.
	Now func() time.Time
	// Guard is when what a device deletes is a flood; set it before use.
	Guard mail.GuardRule
	// Hub carries the News. Set it before use to share one.
	Hub *notify.Hub

	mu        sync.Mutex // guards what follows, not what it points to
	accounts  map[mail.AccountID]*account
	directory directory
	queue     queue
	intents   intents
	erasures  erasures
	cluster   cluster
	endings   endings
	firstID   int64 // less one: what new accounts begin with
	validity  mail.UIDValidity

	leasing sync.RWMutex // held for writing by who takes a lease, for reading by who writes under one

	writers sync.Map // goroutine → struct{}: those inside a closure
}

// account is one account: who writes holds mu, who reads takes what is current.
type account struct {
	mu      sync.Mutex
	current atomic.Pointer[state]
}

var (
	_ store.Store     = (*Store)(nil)
	_ store.Directory = (*Store)(nil)
	_ store.Queue     = (*Store)(nil)
	_ store.Intents   = (*Store)(nil)
	_ store.Erasures  = (*Store)(nil)
	_ store.Keeper    = (*Store)(nil)
	_ store.Leases    = (*Store)(nil)
	_ store.Nodes     = (*Store)(nil)
	_ store.Files     = (*Store)(nil)
	_ store.Endings   = (*Store)(nil)
	_ store.Failures  = (*Store)(nil)
)

// New returns an empty store.
func New() *Store {
	return &Store{Now: time.Now, Hub: &notify.Hub{}, accounts: map[mail.AccountID]*account{}, directory: newDirectory(), cluster: newCluster()}
}

func (st *Store) account(ctx context.Context, id mail.AccountID) (*account, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if a := st.accounts[id]; a != nil && (store.IsAmongRemoved(ctx) || !st.directory.hides(id)) {
		return a, nil
	}
	return nil, mail.Errorf(mail.NotFound, "no such account")
}

// View runs fn on one snapshot of the account.
func (st *Store) View(ctx context.Context, id mail.AccountID, fn func(store.Reader) error) error {
	st.refuseNesting()
	a, err := st.account(ctx, id)
	if err != nil {
		return err
	}
	current := a.current.Load()
	now := func() *state { return current }
	return fn(reader{state: now, raw: now, clock: st.Now, guard: st.Guard.OrDefault()})
}

// Update runs fn in a transaction.
func (st *Store) Update(ctx context.Context, id mail.AccountID, by mail.Origin, fn func(store.Tx) error) (mail.ModSeq, error) {
	if by.IsZero() {
		return 0, mail.Errorf(mail.Invalid, "a change needs an origin")
	}
	return st.write(ctx, id, by, func(t *tx) error { return fn(t) })
}

// Note runs fn for bookkeeping.
func (st *Store) Note(ctx context.Context, id mail.AccountID, fn func(store.Notes) error) error {
	_, err := st.write(ctx, id, mail.Origin{}, func(t *tx) error { return fn(notes{t}) })
	return err
}

// notes hides from a Note what only an Update may do.
type notes struct{ store.Notes }

// write runs fn on a copy of the current version and makes the copy current.
func (st *Store) write(ctx context.Context, id mail.AccountID, by mail.Origin, fn func(*tx) error) (mail.ModSeq, error) {
	st.refuseNesting()
	a, err := st.account(ctx, id)
	if err != nil {
		return 0, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	done, err := st.fenced(ctx)
	defer done()
	if err != nil {
		return 0, err
	}
	if st.Twice {
		if err := st.run(st.begin(a, by), fn); err != nil {
			return 0, err
		}
	}
	t := st.begin(a, by)
	if err := st.run(t, fn); err != nil {
		return 0, err
	}
	news := t.commit()
	a.current.Store(t.s)
	if t.ends > 0 {
		st.mu.Lock()
		for range t.ends {
			st.ends(id, 0)
		}
		st.mu.Unlock()
	}
	if len(t.entries) == 0 {
		return 0, nil
	}
	st.Hub.Publish(id, news)
	return t.n, nil
}

// run calls fn, marking the goroutine as one inside a transaction.
func (st *Store) run(t *tx, fn func(*tx) error) error {
	g := goroutine()
	st.writers.Store(g, struct{}{})
	defer st.writers.Delete(g)
	return fn(t)
}

func (st *Store) refuseNesting() {
	if _, inside := st.writers.Load(goroutine()); inside {
		panic("store: a transaction uses nothing but its tx")
	}
}

// goroutine names the calling goroutine.
func goroutine() string {
	var buf [64]byte
	stack := buf[:runtime.Stack(buf[:], false)]
	return string(bytes.Fields(stack)[1])
}

// Watch calls fn after each commit until stop is called.
func (st *Store) Watch(id mail.AccountID, fn func(mail.News)) (stop func()) {
	return st.Hub.Watch(id, fn)
}
