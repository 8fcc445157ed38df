package signin

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"lockstep/internal/auth"
	"lockstep/internal/store"
)

// authorization is a code that somebody consented to (RFC 6749 §4.1.2). It is
// good for a minute, and once; a restart forgets it.
type authorization struct {
	client    string
	redirect  string // as it was asked for
	challenge string // of PKCE
	scope     string
	browser   string
	owner     store.Principal
	until     time.Time
	used      bool
	twice     bool  // it came again before it was known what came of it
	grant     int64 // what came of it, once it was used
}

// codes are all that were given lately.
type codes struct {
	mu  sync.Mutex
	all map[string]*authorization
	now func() time.Time
}

// give keeps a code and returns what it is called.
func (c *codes) give(one *authorization) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if c.all == nil {
		c.all = map[string]*authorization{}
	}
	if len(c.all) >= maxCodes {
		for key, old := range c.all {
			if now.Sub(old.until) > codesKept || len(c.all) >= maxCodes {
				delete(c.all, key)
			}
		}
	}
	key := rand.Text() + rand.Text()
	one.until = now.Add(codeLife)
	c.all[key] = one
	return key
}

// take uses a code up. A second time it returns what came of the first.
func (c *codes) take(key string) (one authorization, grant int64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.all[key]
	switch {
	case at == nil:
		return one, 0, false
	case at.used:
		at.twice = true
		return *at, at.grant, false
	case !c.now().Before(at.until):
		delete(c.all, key)
		return one, 0, false
	}
	at.used = true
	return *at, 0, true
}

// became notes what came of a code, and reports whether it came again meanwhile.
func (c *codes) became(key string, grant int64) (twice bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.all[key]
	if at == nil {
		return false
	}
	at.grant = grant
	return at.twice
}

var errBadCode = &oauthError{"invalid_grant", "this code is not, or no longer, good for anything"}

// redeem gives tokens for a code. One that comes twice ends what it gave: somebody else
// has it too (RFC 6749 §4.1.2).
func (s *Server) redeem(r *http.Request, c client, q url.Values) (t auth.Tokens, err error) {
	key := q.Get("code")
	one, grant, ok := s.codes.take(key)
	if !ok {
		if grant != 0 {
			s.endGrant(r, one, grant)
		}
		return t, errBadCode
	}
	if one.client != c.id || one.redirect != q.Get("redirect_uri") {
		return t, &oauthError{"invalid_grant", "this code was given to another client, or for another redirect_uri"}
	}
	if !one.fits(q.Get("code_verifier")) {
		return t, &oauthError{"invalid_grant", "code_verifier does not fit the code_challenge"}
	}
	t, err = s.Auth.Grant(r.Context(), one.owner, auth.Program{Client: c.id, Name: c.Name, Scope: one.scope, Browser: one.browser, Agent: r.UserAgent(), Addr: auth.AddrOf(r)})
	if err == nil && s.codes.became(key, t.Grant) {
		s.endGrant(r, one, t.Grant)
		return auth.Tokens{}, errBadCode
	}
	return t, err
}

// endGrant ends what a code granted that came twice.
func (s *Server) endGrant(r *http.Request, one authorization, grant int64) {
	s.Log.WarnContext(r.Context(), "an authorization code was used twice: what it granted ends", "proto", "signin", "account", int64(one.owner.Account))
	_ = s.Auth.EndSignIn(r.Context(), one.owner, grant) // or it has ended already
}

// fits reports whether a code_verifier is what the code_challenge was made from (RFC
// 7636 §4.6).
func (c *authorization) fits(verifier string) bool {
	if len(verifier) < minVerifier || len(verifier) > maxVerifier || strings.ContainsFunc(verifier, func(r rune) bool { return !unreserved(r) }) {
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	return equal(base64.RawURLEncoding.EncodeToString(sum[:]), c.challenge)
}

func unreserved(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._~", r)
}
