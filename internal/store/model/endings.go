package model

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// endings are what nodes tell each other, and failures what they count together;
// guarded by the Store's mu.
type endings struct {
	last     int64
	all      []store.Ending
	failures map[string]store.Failure
}

// ends notes that sessions of an account may have to end; mu is held.
func (st *Store) ends(account mail.AccountID, device mail.DeviceID) int64 {
	e := &st.endings
	e.last++
	e.all = append(e.all, store.Ending{ID: e.last, Account: account, Device: device, At: st.Now()})
	return e.last
}

// endsOf is ends for the account of a principal, if it is there; mu is held.
func (st *Store) endsOf(id store.PrincipalID) {
	for _, p := range st.directory.principals {
		if p.ID == id {
			st.ends(p.Account, 0)
			return
		}
	}
	for _, k := range st.directory.kept {
		if k.ID == id {
			st.ends(k.Account, 0)
		}
	}
}

// EndSessions ends the sessions of a device.
func (st *Store) EndSessions(_ context.Context, account mail.AccountID, device mail.DeviceID) (int64, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.ends(account, device), nil
}

// LastEnding is the number of the newest.
func (st *Store) LastEnding(context.Context) (int64, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.endings.last, nil
}

// EndingsAfter returns those with greater numbers.
func (st *Store) EndingsAfter(_ context.Context, id int64, limit int) ([]store.Ending, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	all := st.endings.all
	for len(all) > 0 && all[0].ID <= id {
		all = all[1:]
	}
	return slices.Clone(all[:min(limit, len(all))]), nil
}

// CountFailure counts under keys.
func (st *Store) CountFailure(_ context.Context, keys []string, count func([]store.Failure) []store.Failure) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, f := range count(st.failuresOf(keys)) {
		if st.endings.failures == nil {
			st.endings.failures = map[string]store.Failure{}
		}
		st.endings.failures[f.Key] = f
	}
	return nil
}

func (st *Store) failuresOf(keys []string) (all []store.Failure) {
	for _, key := range keys {
		f := st.endings.failures[key]
		f.Key = key
		all = append(all, f)
	}
	return all
}

// FailuresOf returns what stands under keys.
func (st *Store) FailuresOf(_ context.Context, keys []string) ([]store.Failure, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.failuresOf(keys), nil
}

// sortedFailures are all, oldest first; mu is held.
func (st *Store) sortedFailures() (all []store.Failure) {
	for _, f := range st.endings.failures {
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b store.Failure) int { return cmp.Or(a.Last.Compare(b.Last), strings.Compare(a.Key, b.Key)) })
	return all
}

// LockedOut returns what locks out.
func (st *Store) LockedOut(_ context.Context, since, now time.Time, limit int) (all []store.Failure, _ error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, f := range st.sortedFailures() {
		if f.Last.After(since) && f.Until.After(now) && len(all) < limit {
			all = append(all, f)
		}
	}
	return all, nil
}

// ForgetFailures forgets what stands under a key.
func (st *Store) ForgetFailures(_ context.Context, key string) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	delete(st.endings.failures, key)
	return nil
}

// PruneFailures forgets those of long ago.
func (st *Store) PruneFailures(_ context.Context, before time.Time, most int) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	all := st.sortedFailures()
	for i, f := range all {
		if f.Last.Before(before) || len(all)-i > most {
			delete(st.endings.failures, f.Key)
		}
	}
	return nil
}
