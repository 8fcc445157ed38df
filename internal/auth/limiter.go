package auth

import (
	"net/netip"
	"sync"
	"time"

	"lockstep/internal/mail"
)

// How guessing is slowed down: after so many failures the next attempt has to
// wait a second, and twice as long after each further one, up to maxWait. Failures
// are forgotten an hour after the last.
const (
	freeFailuresPair    = 5   // of one login from one address
	freeFailuresAddress = 20  // from one address, whatever the login
	freeFailuresLogin   = 100 // of one login, wherever from: many, or anybody could lock anybody out
	maxWait             = 15 * time.Minute
	forgetAfter         = time.Hour
	maxLimiterEntries   = 100_000
	familiarFor         = 7 * 24 * time.Hour // a network from which a login succeeded
	maxFamiliar         = 100_000
	maxLimiterLogin     = 320 // bytes of a login that count: as long as an address can be
)

type limiterKey struct {
	login string
	addr  netip.Prefix
}

type failures struct {
	n     int
	last  time.Time
	until time.Time
}

// limiter counts failed sign-ins. Strangers who guess a login's password from
// everywhere do not keep its owner out: where he signed in lately, only failures
// from there count.
type limiter struct {
	mu       sync.Mutex
	entries  map[limiterKey]*failures
	familiar map[limiterKey]time.Time // login and network, when it succeeded last
}

// limited is one thing that failures count for, and how many are free.
type limited struct {
	limiterKey
	free     int
	wherever bool // it counts what comes from anywhere
}

// limitsOf are what an attempt counts for. A token has no login, and counts for the
// address alone.
func limitsOf(login string, addr netip.Addr) []limited {
	n := mail.Network(addr)
	login = login[:min(len(login), maxLimiterLogin)]
	address := limited{limiterKey{"", n}, freeFailuresAddress, false}
	if login == "" {
		return []limited{address}
	}
	return []limited{{limiterKey{login, n}, freeFailuresPair, false}, address, {limiterKey{login, netip.Prefix{}}, freeFailuresLogin, true}}
}

// wait says how long the next attempt has to wait; 0 is not at all.
func (l *limiter) wait(login string, addr netip.Addr, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	var longest time.Duration
	all := limitsOf(login, addr)
	at, known := l.familiar[all[0].limiterKey]
	for _, k := range all {
		if k.wherever && known && now.Sub(at) < familiarFor {
			continue
		}
		if f := l.entries[k.limiterKey]; f != nil {
			longest = max(longest, f.until.Sub(now))
		}
	}
	return longest
}

// failed counts one more failure.
func (l *limiter) failed(login string, addr netip.Addr, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.entries == nil {
		l.entries = map[limiterKey]*failures{}
	}
	l.sweep(now)
	for _, k := range limitsOf(login, addr) {
		f := l.entries[k.limiterKey]
		if f == nil || now.Sub(f.last) > forgetAfter {
			f = &failures{}
			l.entries[k.limiterKey] = f
		}
		f.n++
		f.last = now
		if over := f.n - k.free; over >= 0 {
			f.until = now.Add(min(time.Second<<min(over, 20), maxWait))
		}
	}
}

// succeeded forgets the pair's failures, and knows it from now on; those of the
// address stay, or a guesser with an account of his own could wash them off.
func (l *limiter) succeeded(login string, addr netip.Addr, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	pair := limitsOf(login, addr)[0].limiterKey
	delete(l.entries, pair)
	if l.familiar == nil {
		l.familiar = map[limiterKey]time.Time{}
	}
	if len(l.familiar) >= maxFamiliar {
		l.sweepFamiliar(now)
	}
	l.familiar[pair] = now
}

// sweepFamiliar keeps that map within its bound, as sweep does the other.
func (l *limiter) sweepFamiliar(now time.Time) {
	for k, at := range l.familiar {
		if now.Sub(at) >= familiarFor {
			delete(l.familiar, k)
		}
	}
	for k := range l.familiar {
		if len(l.familiar) < maxFamiliar*9/10 {
			return
		}
		delete(l.familiar, k)
	}
}

// sweep keeps the map within its bound: first what is forgotten anyway, and if
// that is not enough, anything, and enough of it that not every failure sweeps.
func (l *limiter) sweep(now time.Time) {
	if len(l.entries) < maxLimiterEntries {
		return
	}
	for k, f := range l.entries {
		if now.Sub(f.last) > forgetAfter {
			delete(l.entries, k)
		}
	}
	for k := range l.entries {
		if len(l.entries) < maxLimiterEntries*9/10 {
			return
		}
		delete(l.entries, k)
	}
}
