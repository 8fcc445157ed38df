package signin

import (
	"context"
	"crypto/rand"
	"hash/maphash"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"lockstep/internal/auth"
	"lockstep/internal/mail"
)

// pending is something of several steps that somebody has begun. Between two of them it
// lies on the shelf; who takes a step takes it from there, so that no other is taken at
// the same time.
type pending struct {
	Proof    *auth.Proof    `json:",omitempty"` // of who has shown the password; nil before
	Ceremony *auth.Ceremony `json:",omitempty"` // the passkey that was asked for; it is finished once
	Own      bool           `json:",omitempty"` // it is asked of who has shown the password
	Secret   string         `json:",omitempty"` // of codes that are being set up
	Device   string         `json:",omitempty"` // what the device is to be called
	Offer    *offer         `json:",omitempty"` // a profile that a phone may fetch
	Until    time.Time

	key    string
	unlock func() // lets the next step at this node be taken
	over   bool   // it is not put back
}

// steps are locks by the key of what was begun: who clicks twice waits. Keys share them.
type steps struct {
	seed  maphash.Seed
	once  sync.Once
	locks [64]sync.Mutex
}

func (t *steps) lock(key string) (unlock func()) {
	t.once.Do(func() { t.seed = maphash.MakeSeed() })
	l := &t.locks[maphash.String(t.seed, key)%uint64(len(t.locks))]
	l.Lock()
	return l.Unlock
}

// begunName is where what was begun lies: beside what else its network has begun.
func begunName(key string) string {
	if len(key) < networkName {
		return begunShelf + "none"
	}
	return begunShelf + key[:networkName] + "/" + hashName(key)
}

// networkName is how many letters of a key name the network.
const networkName = 16

// beginAt keeps something that was begun from a network. One that has begun too many has
// to wait; where all have, one of them is forgotten.
func (s *Server) beginAt(ctx context.Context, network netip.Prefix, one *pending) (key string, err error) {
	at := hashName("network " + network.String())[:networkName]
	of, err := s.Files.FilesBelow(ctx, begunShelf+at+"/", maxPendingNetwork)
	if err != nil {
		return "", err
	}
	if len(of) >= maxPendingNetwork {
		return "", mail.Errorf(mail.Limit, "too many sign-ins were begun from here and not finished: wait a little")
	}
	one.key, one.Until = at+rand.Text(), s.now().Add(pendingLife)
	if err := s.makeRoom(ctx, begunShelf, begunName(one.key), maxPending); err != nil {
		return "", err
	}
	return one.key, s.put(ctx, begunName(one.key), one, one.Until)
}

// begin keeps something of several steps for the browser, in place of what it had begun
// before.
func (s *Server) begin(w http.ResponseWriter, r *http.Request, one *pending) error {
	if err := s.forget(r); err != nil {
		return err
	}
	key, err := s.beginAt(r.Context(), mail.Network(auth.AddrOf(r)), one)
	if err == nil {
		s.setCookie(w, r, pendingCookie, key, pendingLife)
	}
	return err
}

var errNothingBegun = mail.Errorf(mail.Expired, "this was not begun, or too long ago: begin again")

// begun takes what the browser has begun from the shelf. The caller puts it back with
// leave, which it defers.
func (s *Server) begun(r *http.Request) (*pending, error) {
	return s.takeBegun(r.Context(), s.cookie(r, pendingCookie))
}

func (s *Server) takeBegun(ctx context.Context, key string) (*pending, error) {
	name, unlock := begunName(key), s.steps.lock(key)
	one := &pending{key: key, unlock: unlock}
	found, err := s.get(ctx, name, one)
	if err == nil && found {
		found, err = s.drop(ctx, name)
	}
	if err == nil && (!found || !s.now().Before(one.Until)) {
		err = errNothingBegun
	}
	if err != nil {
		unlock()
		return nil, err
	}
	s.Auth.TakeUp(one.Proof)
	if one.Ceremony != nil {
		if one.Own {
			one.Ceremony.Of(one.Proof)
		}
		s.Auth.TakeUp(one.Ceremony.Proof())
	}
	return one, nil
}

// leave ends a step: what is not over is put back.
func (s *Server) leave(r *http.Request, one *pending) {
	defer one.unlock()
	if one.over {
		return
	}
	ctx := context.WithoutCancel(r.Context()) // who asked may be gone, and comes again
	if err := s.put(ctx, begunName(one.key), one, one.Until); err != nil {
		s.Log.WarnContext(ctx, "half-finished sign-in", "proto", "signin", "err", err)
	}
}

// finished forgets what the browser had begun; one is that if it was taken, else nil.
func (s *Server) finished(w http.ResponseWriter, r *http.Request, one *pending) {
	if one != nil {
		one.over = true
	} else if err := s.forget(r); err != nil {
		s.Log.WarnContext(r.Context(), "half-finished sign-in", "proto", "signin", "err", err)
	}
	s.setCookie(w, r, pendingCookie, "", 0)
}

// forget drops what the browser had begun.
func (s *Server) forget(r *http.Request) error {
	key := s.cookie(r, pendingCookie)
	if key == "" {
		return nil
	}
	_, err := s.drop(r.Context(), begunName(key))
	return err
}

// take returns the passkey that was asked for, once.
func (p *pending) take() (*auth.Ceremony, error) {
	c := p.Ceremony
	p.Ceremony = nil
	if c == nil {
		return nil, errNothingBegun
	}
	return c, nil
}
