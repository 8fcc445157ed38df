package auth

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Nodes that share a store count failures there: what a node remembers itself only
// spares looking. Who fails is told so once the store has counted it, and who was right
// with something that people choose, once the store was asked; so guesses that are
// spread over nodes are as many as on one. What is random and long is let in by what
// the node knows: nobody guesses it.

// try is one attempt to sign in.
type try struct {
	login   string
	addr    netip.Addr
	proto   mail.Protocol
	guessed bool // what was said people choose, or read off: guessing makes sense
}

func tooMany(wait time.Duration) error {
	return mail.Errorf(mail.Limit, "too many failed sign-ins, try again in %v", max(wait.Round(time.Second), time.Second))
}

// mayTry is Limit for who has to wait.
func (s *Service) mayTry(ctx context.Context, login string, addr netip.Addr) error {
	w, wherever := s.limits.waitsFor(login, addr, s.now())
	if w > 0 && wherever && s.seenElsewhere(ctx, login, addr) {
		w = s.limits.wait(login, addr, s.now())
	}
	if w > 0 {
		return tooMany(w)
	}
	return nil
}

// seenElsewhere learns that another node let the login in from that network: by the
// address at which one of its devices was seen last. It costs two reads, of who would
// be refused else.
func (s *Service) seenElsewhere(ctx context.Context, login string, addr netip.Addr) bool {
	if s.others == nil {
		return false
	}
	p, err := s.dir.PrincipalByLogin(ctx, login)
	if err != nil {
		return false
	}
	var seen time.Time
	err = s.store.View(ctx, p.Account, func(r store.Reader) error {
		all, err := r.Devices()
		for _, d := range all {
			at, bad := netip.ParseAddr(d.LastAddr)
			if bad == nil && mail.Network(at) == mail.Network(addr) && d.LastSeen.After(seen) {
				seen = d.LastSeen
			}
		}
		return err
	})
	now := s.now()
	if err != nil || now.Sub(seen) >= familiarFor {
		return false
	}
	s.limits.seen(s.limits.limitsOf(login, addr)[0].key, seen, now)
	return true
}

// judge takes what came of an attempt: a failure counts. Limit if others failed
// meanwhile, here or at other nodes, so that guessing at once tells no more than in
// turn.
func (s *Service) judge(ctx context.Context, t try, err error) error {
	if mail.KindOf(err) == mail.BadCredentials && err != nil && err != errExpiredToken && err != errBadGrant {
		if late := s.failed(ctx, t); late != nil {
			return late
		}
		s.log.InfoContext(ctx, "sign-in failed", "proto", t.proto, "addr", t.addr)
		return nil
	}
	if s.others != nil && t.guessed && (err == nil || mail.KindOf(err) == mail.Denied) {
		all, err := s.others.Failures.FailuresOf(ctx, keysOf(s.limits.limitsOf(t.login, t.addr)))
		if err != nil {
			return err
		}
		s.limits.learn(all, s.now())
	}
	return s.mayTry(ctx, t.login, t.addr)
}

// failed counts a failure; Limit if it came when nobody was to be heard any more.
func (s *Service) failed(ctx context.Context, t try) error {
	if s.others != nil && (t.guessed || s.others.writes.take(time.Now())) {
		return s.failedForAll(ctx, t)
	}
	if late := s.mayTry(ctx, t.login, t.addr); late != nil {
		return late
	}
	s.limits.failed(t.login, t.addr, s.now())
	return nil
}

// countWithin is how long the store may take to count. Who hangs up does not keep it
// from counting.
const countWithin = 10 * time.Second

func (s *Service) failedForAll(ctx context.Context, t try) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), countWithin)
	defer cancel()
	all, now := s.limits.limitsOf(t.login, t.addr), s.now()
	familiar := s.limits.isFamiliar(all, now)
	var stands []store.Failure
	var wait time.Duration
	err := s.others.Failures.CountFailure(ctx, keysOf(all), func(was []store.Failure) []store.Failure {
		at := map[string]store.Failure{}
		for _, f := range was {
			at[f.Key] = f
		}
		if wait, _ = longest(all, func(k limited) store.Failure { return at[k.key] }, familiar, now); wait > 0 {
			stands = was
			return nil
		}
		stands = nil
		for _, k := range all {
			stands = append(stands, k.after(at[k.key], now))
		}
		return stands
	})
	if err != nil {
		return err
	}
	s.limits.learn(stands, now)
	if wait > 0 {
		return tooMany(wait)
	}
	s.tellLocked(stands, now)
	return nil
}

// tellLocked tells the other nodes that somebody is not to be heard. Whom, they ask the
// store.
func (s *Service) tellLocked(stands []store.Failure, now time.Time) {
	locked := slices.ContainsFunc(stands, func(f store.Failure) bool { return f.Until.After(now) })
	if locked && s.others.Bus != nil {
		s.others.Bus.Send(limitTopic, []byte("{}"))
	}
}

// succeeded forgets the failures of a login from an address. Without any it costs
// nothing.
func (s *Service) succeeded(ctx context.Context, login string, addr netip.Addr) error {
	pair := s.limits.succeeded(login, addr, s.now())
	if s.others == nil || pair == "" {
		return nil
	}
	return s.others.Failures.ForgetFailures(ctx, pair)
}

// How many failures of what can't be guessed a node writes to the store in a second,
// and at once. Further ones count on the node alone: whoever asks with nonsense as fast
// as the network goes must not keep the store busy. What can be guessed is always
// written: to look whether it is right takes a processor long enough.
const (
	failuresASecond = 50
	failuresAtOnce  = 200
)

// budget lets so many through.
type budget struct {
	mu   sync.Mutex
	used float64
	at   time.Time
}

func (b *budget) take(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used = max(0, b.used-now.Sub(b.at).Seconds()*failuresASecond)
	b.at = now
	if b.used >= failuresAtOnce {
		return false
	}
	b.used++
	return true
}
