package model

import (
	"maps"
	"slices"

	"lockstep/internal/mail"
	"lockstep/internal/notify"
)

// Twin is another store with what this one holds, which from then on goes its own way. It
// costs little, as versions do not change: so a test that needs many alike makes one. Its
// Hub is its own.
func (st *Store) Twin() *Store {
	st.mu.Lock()
	defer st.mu.Unlock()
	c := &Store{Twice: st.Twice, Now: st.Now, Guard: st.Guard, Hub: &notify.Hub{}, accounts: map[mail.AccountID]*account{},
		directory: st.directory.clone(), queue: st.queue, intents: st.intents, erasures: st.erasures, cluster: st.cluster, endings: st.endings,
		firstID: st.firstID, validity: st.validity}
	c.queue.rows, c.queue.hands = maps.Clone(c.queue.rows), maps.Clone(c.queue.hands)
	c.intents.all, c.erasures.all = maps.Clone(c.intents.all), maps.Clone(c.erasures.all)
	c.cluster.leases, c.cluster.nodes, c.cluster.files = maps.Clone(c.cluster.leases), maps.Clone(c.cluster.nodes), maps.Clone(c.cluster.files)
	c.endings.all, c.endings.failures = slices.Clone(c.endings.all), maps.Clone(c.endings.failures)
	for id, a := range st.accounts {
		c.accounts[id] = a.twin()
	}
	return c
}

// twin shares all but the room behind slices that versions append to.
func (a *account) twin() *account {
	s := *a.current.Load()
	s.journal = slices.Clip(s.journal)
	s.left = maps.Clone(s.left)
	for id, left := range s.left {
		s.left[id] = slices.Clip(left)
	}
	c := &account{}
	c.current.Store(&s)
	return c
}
