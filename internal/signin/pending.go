package signin

import (
	"crypto/rand"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"lockstep/internal/auth"
	"lockstep/internal/mail"
)

// pending is something of several steps that somebody has begun: a restart forgets it,
// and it is begun again.
type pending struct {
	mu       sync.Mutex     // one step at a time
	proof    *auth.Proof    // of who has shown the password; nil before
	ceremony *auth.Ceremony // the passkey that was asked for; it is finished once
	secret   string         // of codes that are being set up
	device   string         // what the device is to be called
	offer    *offer         // a profile that a phone may fetch
	network  netip.Prefix
	until    time.Time
}

// pendings are all that has been begun, by the secret in a cookie.
type pendings struct {
	mu  sync.Mutex
	all map[string]*pending
	of  map[netip.Prefix]int // how many each network has begun
	now func() time.Time
}

// begin keeps one. A network that has begun too many has to wait; where all have, one
// of them is forgotten.
func (p *pendings) begin(one *pending) (key string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil {
		p.all, p.of = map[string]*pending{}, map[netip.Prefix]int{}
	}
	now := p.now()
	if len(p.all) >= maxPending || p.of[one.network] >= maxPendingNetwork {
		p.sweep(now)
	}
	if p.of[one.network] >= maxPendingNetwork {
		return "", mail.Errorf(mail.Limit, "too many sign-ins were begun from here and not finished: wait a little")
	}
	key, one.until = rand.Text(), now.Add(pendingLife)
	p.all[key] = one
	p.of[one.network]++
	return key, nil
}

// sweep forgets what is over, and if that makes no room, whatever.
func (p *pendings) sweep(now time.Time) {
	for key, one := range p.all {
		if !now.Before(one.until) {
			p.forget(key)
		}
	}
	for key := range p.all {
		if len(p.all) < maxPending {
			return
		}
		p.forget(key)
	}
}

func (p *pendings) forget(key string) {
	one, ok := p.all[key]
	if !ok {
		return
	}
	delete(p.all, key)
	if p.of[one.network]--; p.of[one.network] == 0 {
		delete(p.of, one.network)
	}
}

// find returns what a key names; nil if it is over.
func (p *pendings) find(key string) *pending {
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.all[key]
	if one == nil || !p.now().Before(one.until) {
		p.forget(key)
		return nil
	}
	return one
}

func (p *pendings) end(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forget(key)
}

// begin keeps something of several steps for the browser, in place of what it had begun
// before.
func (s *Server) begin(w http.ResponseWriter, r *http.Request, one *pending) error {
	s.pending.end(s.cookie(r, pendingCookie))
	one.network = mail.Network(auth.AddrOf(r))
	key, err := s.pending.begin(one)
	if err == nil {
		s.setCookie(w, r, pendingCookie, key, pendingLife)
	}
	return err
}

var errNothingBegun = mail.Errorf(mail.Expired, "this was not begun, or too long ago: begin again")

// begun is what the browser has begun.
func (s *Server) begun(r *http.Request) (*pending, error) {
	if one := s.pending.find(s.cookie(r, pendingCookie)); one != nil {
		return one, nil
	}
	return nil, errNothingBegun
}

// finished forgets what the browser had begun.
func (s *Server) finished(w http.ResponseWriter, r *http.Request) {
	s.pending.end(s.cookie(r, pendingCookie))
	s.setCookie(w, r, pendingCookie, "", 0)
}

// take returns the passkey that was asked for, once.
func (p *pending) take() (*auth.Ceremony, error) {
	c := p.ceremony
	p.ceremony = nil
	if c == nil {
		return nil, errNothingBegun
	}
	return c, nil
}
