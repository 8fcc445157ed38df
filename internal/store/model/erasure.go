package model

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// erasures is what was erased; guarded by the Store's mu.
type erasures struct {
	last int64
	all  map[int64]store.Erasure
}

// BeginErasure notes an erasure.
func (st *Store) BeginErasure(_ context.Context, state []byte) (int64, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if len(state) > store.MaxErasureState {
		return 0, mail.Errorf(mail.Limit, "too much is to be erased at once")
	}
	x := &st.erasures
	if x.all == nil {
		x.all = map[int64]store.Erasure{}
	}
	x.last++
	x.all[x.last] = store.Erasure{ID: x.last, Begun: st.Now().UTC().Truncate(time.Microsecond), Open: true, State: slices.Clone(state)}
	return x.last, nil
}

// SetErasure replaces what one says.
func (st *Store) SetErasure(_ context.Context, e store.Erasure) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	was, ok := st.erasures.all[e.ID]
	switch {
	case len(e.State) > store.MaxErasureState || len(e.Proof) > store.MaxErasureState:
		return mail.Errorf(mail.Limit, "too much is to be erased at once")
	case !ok:
		return mail.Errorf(mail.NotFound, "no such erasure")
	}
	e.Begun, e.State, e.Proof = was.Begun, slices.Clone(e.State), slices.Clone(e.Proof)
	st.erasures.all[e.ID] = e
	return nil
}

// Erasures returns all there are.
func (st *Store) Erasures(_ context.Context, onlyProofs bool) ([]store.Erasure, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	all := slices.SortedFunc(maps.Values(st.erasures.all), func(a, b store.Erasure) int { return cmp.Compare(a.ID, b.ID) })
	for i := range all {
		if onlyProofs {
			all[i].State = nil
		}
	}
	return all, nil
}
