package signin

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"

	"lockstep/internal/auth"
	"lockstep/internal/store"
)

// authorization is what somebody consented to, and a code is good for (RFC 6749
// §4.1.2): for a minute, and once.
type authorization struct {
	Client    string
	Redirect  string // as it was asked for
	Challenge string // of PKCE
	Scope     string
	Browser   string
	Owner     store.Principal
}

// give keeps what a code is good for, and returns the code.
func (s *Server) give(ctx context.Context, one authorization) (string, error) {
	key := rand.Text() + rand.Text()
	name := codeShelf + hashName(key)
	if err := s.makeRoom(ctx, codeShelf, name, maxCodes); err != nil {
		return "", err
	}
	return key, s.put(ctx, name, one, s.now().Add(codeLife))
}

// take uses a code up. A second time it returns what came of the first, as far as that
// is known. Whoever finds the code notes that it was used, and then drops it, which one
// can; so who comes too late knows that it was good once, and notes that it came again.
func (s *Server) take(ctx context.Context, key string) (one authorization, grant int64, ok bool, err error) {
	name := hashName(key)
	found, err := s.get(ctx, codeShelf+name, &one)
	if err != nil {
		return one, 0, false, err
	}
	if found {
		if err := s.put(ctx, usedShelf+name, one, s.now().Add(codesKept)); err != nil {
			return one, 0, false, err
		}
		if first, err := s.drop(ctx, codeShelf+name); err != nil || first {
			return one, 0, err == nil, err
		}
	} else if found, err = s.get(ctx, usedShelf+name, &one); err != nil || !found {
		return one, 0, false, err
	}
	if err := s.put(ctx, twiceShelf+name, true, s.now().Add(codesKept)); err != nil {
		return one, 0, false, err
	}
	_, err = s.get(ctx, grantShelf+name, &grant)
	return one, grant, false, err
}

// became notes what came of a code, and reports whether it came again meanwhile: of who
// notes that and who looks for this, one sees the other.
func (s *Server) became(ctx context.Context, key string, grant int64) (twice bool, err error) {
	name := hashName(key)
	if err := s.put(ctx, grantShelf+name, grant, s.now().Add(codesKept)); err != nil {
		return false, err
	}
	var again bool
	return s.get(ctx, twiceShelf+name, &again)
}

var errBadCode = &oauthError{"invalid_grant", "this code is not, or no longer, good for anything"}

// redeem gives tokens for a code. One that comes twice ends what it gave: somebody else
// has it too (RFC 6749 §4.1.2).
func (s *Server) redeem(r *http.Request, c client, q url.Values) (t auth.Tokens, err error) {
	key := q.Get("code")
	one, grant, ok, err := s.take(r.Context(), key)
	if err != nil {
		return t, err
	}
	if !ok {
		if grant != 0 {
			s.endGrant(r, one, grant)
		}
		return t, errBadCode
	}
	if one.Client != c.id || one.Redirect != q.Get("redirect_uri") {
		return t, &oauthError{"invalid_grant", "this code was given to another client, or for another redirect_uri"}
	}
	if !one.fits(q.Get("code_verifier")) {
		return t, &oauthError{"invalid_grant", "code_verifier does not fit the code_challenge"}
	}
	t, err = s.Auth.Grant(r.Context(), one.Owner, auth.Program{Client: c.id, Name: c.Name, Scope: one.Scope, Browser: one.Browser, Agent: r.UserAgent(), Addr: auth.AddrOf(r)})
	if err != nil {
		return t, err
	}
	twice, err := s.became(r.Context(), key, t.Grant)
	if err == nil && !twice {
		return t, nil
	}
	s.endGrant(r, one, t.Grant) // also when it can't be known
	if err != nil {
		return auth.Tokens{}, err
	}
	return auth.Tokens{}, errBadCode
}

// endGrant ends what a code granted that came twice.
func (s *Server) endGrant(r *http.Request, one authorization, grant int64) {
	s.Log.WarnContext(r.Context(), "an authorization code was used twice: what it granted ends", "proto", "signin", "account", int64(one.Owner.Account))
	_ = s.Auth.EndSignIn(r.Context(), one.Owner, grant) // or it has ended already
}

// fits reports whether a code_verifier is what the code_challenge was made from (RFC
// 7636 §4.6).
func (c *authorization) fits(verifier string) bool {
	if len(verifier) < minVerifier || len(verifier) > maxVerifier || strings.ContainsFunc(verifier, func(r rune) bool { return !unreserved(r) }) {
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	return equal(base64.RawURLEncoding.EncodeToString(sum[:]), c.Challenge)
}

func unreserved(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._~", r)
}
