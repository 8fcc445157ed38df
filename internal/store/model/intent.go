package model

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// intents is what is under way between accounts; guarded by the Store's mu.
type intents struct {
	last int64
	all  map[int64]store.Intent
}

// Intend notes an intent.
func (st *Store) Intend(_ context.Context, owner mail.AccountID, state []byte) (int64, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	in := &st.intents
	if in.all == nil {
		in.all = map[int64]store.Intent{}
	}
	in.last++
	in.all[in.last] = store.Intent{ID: in.last, Owner: owner, State: slices.Clone(state)}
	return in.last, nil
}

// Intents returns all there are.
func (st *Store) Intents(context.Context) ([]store.Intent, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	return slices.SortedFunc(maps.Values(st.intents.all), func(a, b store.Intent) int { return cmp.Compare(a.ID, b.ID) }), nil
}

// Settled forgets one.
func (st *Store) Settled(_ context.Context, id int64) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if _, ok := st.intents.all[id]; !ok {
		return mail.Errorf(mail.NotFound, "no such intent")
	}
	delete(st.intents.all, id)
	return nil
}
