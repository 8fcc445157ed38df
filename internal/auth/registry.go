package auth

import (
	"sync"

	"lockstep/internal/mail"
)

// registry knows the sessions under way, so that signing a device out ends them.
type registry struct {
	mu       sync.Mutex
	accounts map[mail.AccountID]map[*tracked]struct{}
	ends     uint64                    // how often sessions were ended
	ended    map[mail.AccountID]uint64 // which of these was the last of the account
	endedAll uint64                    // which was the last of any account that ended does not know
}

// maxEnded bounds the accounts of which is known when sessions were ended. With more,
// all that are signing in at that moment begin again.
const maxEnded = 100_000

type tracked struct {
	sess *Session
	end  func(reason string)
}

// Track registers a session: end is called, from another goroutine, when it must
// stop, with a reason for the client. Call untrack when it is over. If sessions of
// the account were ended while this one was signing in, it ends at once: it may
// be one of those that were meant.
func (s *Service) Track(sess *Session, end func(reason string)) (untrack func()) {
	r, t := &s.sessions, &tracked{sess, end}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.accounts == nil {
		r.accounts = map[mail.AccountID]map[*tracked]struct{}{}
	}
	a := sess.Account()
	if r.accounts[a] == nil {
		r.accounts[a] = map[*tracked]struct{}{}
	}
	r.accounts[a][t] = struct{}{}
	if r.isEnded(a, sess.ends) {
		go end("signed out")
	}
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.accounts[a], t)
		if len(r.accounts[a]) == 0 {
			delete(r.accounts, a)
		}
	}
}

// soFar is what a session that begins to sign in remembers: before it has read
// anything, also whose account it is.
func (r *registry) soFar() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ends
}

// endedSince reports whether sessions of the account were ended after soFar said
// before.
func (r *registry) endedSince(a mail.AccountID, before uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.isEnded(a, before)
}

// isEnded is endedSince; mu is held.
func (r *registry) isEnded(a mail.AccountID, before uint64) bool {
	return max(r.ended[a], r.endedAll) > before
}

// noteEnd notes that sessions of the account end now; mu is held.
func (r *registry) noteEnd(a mail.AccountID) {
	r.ends++
	if r.ended == nil || len(r.ended) >= maxEnded {
		r.ended, r.endedAll = map[mail.AccountID]uint64{}, r.ends-1
	}
	r.ended[a] = r.ends
}

// lookedAt returns the sessions of an account, and notes that some may end.
func (r *registry) lookedAt(a mail.AccountID) (all []*Session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.noteEnd(a)
	for t := range r.accounts[a] {
		all = append(all, t.sess)
	}
	return all
}

// endAll ends the sessions of all accounts.
func (r *registry) endAll(reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ends++
	r.ended, r.endedAll = nil, r.ends
	for _, sessions := range r.accounts {
		for t := range sessions {
			go t.end(reason)
		}
	}
}

func (r *registry) end(a mail.AccountID, which func(*Session) bool, reason string) {
	r.mu.Lock()
	r.noteEnd(a)
	var ends []func(string)
	for t := range r.accounts[a] {
		if which(t.sess) {
			ends = append(ends, t.end)
		}
	}
	r.mu.Unlock()
	for _, end := range ends {
		go end(reason)
	}
}

// endOne ends one session.
func (r *registry) endOne(sess *Session, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for t := range r.accounts[sess.Account()] {
		if t.sess == sess {
			go t.end(reason)
		}
	}
}

// Connected returns how many sessions each device of the account has now.
func (s *Service) Connected(a mail.AccountID) map[mail.DeviceID]int {
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	n := map[mail.DeviceID]int{}
	for t := range s.sessions.accounts[a] {
		n[t.sess.Device().ID]++
	}
	return n
}
