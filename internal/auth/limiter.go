package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/netip"
	"sync"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
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

// limiter counts failed sign-ins. Strangers who guess a login's password from
// everywhere do not keep its owner out: where he signed in lately, only failures
// from there count. Nodes that share a store share the counts too; see counting.
type limiter struct {
	secret []byte // of the installation: keys say nothing to who has not got it

	mu       sync.Mutex
	entries  map[string]store.Failure
	familiar map[string]time.Time // login and network, when it succeeded last
}

// limited is one thing that failures count for, and how many are free.
type limited struct {
	key      string
	free     int64
	wherever bool // it counts what comes from anywhere
}

// limitsOf are what an attempt counts for, the pair or what stands for it first. A
// token has no login, and counts for the address alone.
func (l *limiter) limitsOf(login string, addr netip.Addr) []limited {
	n := mail.Network(addr).String()
	login = login[:min(len(login), maxLimiterLogin)]
	address := limited{l.key("", n), freeFailuresAddress, false}
	if login == "" {
		return []limited{address}
	}
	return []limited{{l.key(login, n), freeFailuresPair, false}, address, {l.key(login, ""), freeFailuresLogin, true}}
}

// key is by what is counted. People type passwords where a login belongs: it is no
// more than a keyed hash.
func (l *limiter) key(login, network string) string {
	mac := hmac.New(sha256.New, l.secret)
	mac.Write([]byte(network + " " + login))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:15])
}

func keysOf(all []limited) (keys []string) {
	for _, k := range all {
		keys = append(keys, k.key)
	}
	return keys
}

// after is what stands for k after one more failure.
func (k limited) after(f store.Failure, now time.Time) store.Failure {
	if now.Sub(f.Last) > forgetAfter {
		f = store.Failure{}
	}
	f.Key, f.N, f.Last = k.key, f.N+1, now
	if over := f.N - k.free; over >= 0 {
		f.Until = now.Add(min(time.Second<<min(over, 20), maxWait))
	}
	return f
}

// longest is how long the next attempt has to wait for what stands; wherever is true if
// that is for failures from anywhere alone.
func longest(all []limited, stands func(limited) store.Failure, familiar bool, now time.Time) (wait time.Duration, wherever bool) {
	for _, k := range all {
		if k.wherever && familiar {
			continue
		}
		if w := stands(k).Until.Sub(now); w > wait {
			wait, wherever = w, k.wherever
		}
	}
	return wait, wherever
}

// wait says how long the next attempt has to wait; 0 is not at all.
func (l *limiter) wait(login string, addr netip.Addr, now time.Time) time.Duration {
	w, _ := l.waitsFor(login, addr, now)
	return w
}

func (l *limiter) waitsFor(login string, addr netip.Addr, now time.Time) (wait time.Duration, wherever bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.limitsOf(login, addr)
	return longest(all, func(k limited) store.Failure { return l.entries[k.key] }, l.knows(all, now), now)
}

// knows reports whether a login succeeded lately from there; mu is held.
func (l *limiter) knows(all []limited, now time.Time) bool {
	at, known := l.familiar[all[0].key]
	return known && now.Sub(at) < familiarFor
}

func (l *limiter) isFamiliar(all []limited, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.knows(all, now)
}

// failed counts one more failure.
func (l *limiter) failed(login string, addr netip.Addr, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range l.limitsOf(login, addr) {
		l.set(k.after(l.entries[k.key], now), now)
	}
}

// learn takes over what stands in the store.
func (l *limiter) learn(all []store.Failure, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range all {
		l.set(f, now)
	}
}

// set keeps what stands for a key; mu is held.
func (l *limiter) set(f store.Failure, now time.Time) {
	if f.N == 0 {
		delete(l.entries, f.Key)
		return
	}
	if l.entries == nil {
		l.entries = map[string]store.Failure{}
	}
	l.sweep(now)
	l.entries[f.Key] = f
}

// succeeded forgets the pair's failures, and knows it from now on; those of the
// address stay, or a guesser with an account of his own could wash them off. It returns
// the pair if it had any.
func (l *limiter) succeeded(login string, addr netip.Addr, now time.Time) (forgotten string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	pair := l.limitsOf(login, addr)[0].key
	if _, failed := l.entries[pair]; failed {
		forgotten = pair
	}
	delete(l.entries, pair)
	l.familiarize(pair, now, now)
	return forgotten
}

// familiarize knows a login and network from a moment on; mu is held.
func (l *limiter) familiarize(pair string, at, now time.Time) {
	if l.familiar == nil {
		l.familiar = map[string]time.Time{}
	}
	if len(l.familiar) >= maxFamiliar {
		l.sweepFamiliar(now)
	}
	l.familiar[pair] = at
}

func (l *limiter) seen(pair string, at, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.familiarize(pair, at, now)
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
		if now.Sub(f.Last) > forgetAfter {
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
