package auth

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// What a program was granted by OAuth 2.0 is one sign-in: a device of its own, and the
// tokens that are good now. A token is a selector, by which the grant is found, and a
// secret; both are kept as hashes. All of a grant's tokens have one selector, so
// whoever comes with it and another secret has one of an earlier time.

// grant is what a program was granted.
type grant struct {
	Client  []byte // the hash of its client id
	Scope   string
	Rotated time.Time // when the refresh token was made
	Refresh []byte    // the hash of its secret
	Before  []byte    // of the one that it replaced; nil before the first refresh
	Access  []access  // the newest last
}

// access is one access token.
type access struct {
	Secret []byte // hashed
	Ends   time.Time
}

// Tokens are what a program gets, once.
type Tokens struct {
	Access  string
	Refresh string
	Scope   string
	Grant   int64 // the sign-in, for EndSignIn
}

// Program is who asks for a grant.
type Program struct {
	Client  string // its id
	Name    string
	Scope   string
	Browser string // the secret of the browser in which its owner consented
	Agent   string
	Addr    netip.Addr
}

// The kinds of tokens begin so; programs that look for leaked secrets know them by it.
const (
	accessPrefix  = "lsa_"
	refreshPrefix = "lsr_"
)

var errBadGrant = mail.Errorf(mail.BadCredentials, "this token is not, or no longer, good for anything")

func hashed(purpose, secret string) []byte {
	sum := sha256.Sum256([]byte(purpose + " " + secret))
	return sum[:]
}

// cutToken takes a token apart.
func cutToken(prefix, token string) (selector, secret string, ok bool) {
	rest, ok := strings.CutPrefix(token, prefix)
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, ".")
}

func grantKey(selector string) []byte { return hashed("grant", selector) }

// Grant gives a program access in the name of a principal.
func (s *Service) Grant(ctx context.Context, p store.Principal, prog Program) (Tokens, error) {
	ends := s.sessions.soFar()
	if _, err := ScopeProtocols(prog.Scope); err != nil {
		return Tokens{}, err
	}
	p, err := s.dir.PrincipalByID(ctx, p.ID)
	if err != nil {
		return Tokens{}, err
	}
	if err := mayUse(p, store.Credential{}, Attempt{}); err != nil {
		return Tokens{}, err
	}
	d, err := s.program(ctx, p, prog)
	if err == nil {
		err = standing(d)
	}
	if err != nil {
		return Tokens{}, err
	}
	now := s.now()
	g := grant{Client: hashed("client", prog.Client), Scope: prog.Scope}
	selector := newSelector()
	t := g.issue(selector, now)
	state, err := json.Marshal(stay{OAuth: &g})
	if err != nil {
		return Tokens{}, err
	}
	sess := &Session{Principal: p, Protocol: mail.JMAP, Addr: prog.Addr, device: deviceOf(d), ends: ends}
	row := store.SignIn{Key: grantKey(selector), Principal: p.ID, Kind: store.OAuthSignIn, Device: d.ID, Client: clientName(prog.Name), State: state, Addr: prog.Addr.String(), Created: now, LastSeen: now, Ends: now.Add(grantIdle)}
	err = s.addSignIn(ctx, sess, row, maxGrants)
	if err == nil {
		t.Grant = sess.stays.ID
	}
	return t, err
}

// Granted reports whether a principal has given a program access that is in force.
func (s *Service) Granted(ctx context.Context, p store.Principal, client string) (bool, error) {
	all, err := s.SignIns(ctx, p)
	for _, in := range all {
		var state stay
		if in.Kind == store.OAuthSignIn && json.Unmarshal(in.row.State, &state) == nil && state.OAuth != nil && hmac.Equal(state.OAuth.Client, hashed("client", client)) {
			return true, nil
		}
	}
	return false, err
}

func newSelector() string {
	raw := make([]byte, 16)
	rand.Read(raw)
	return base64.RawURLEncoding.EncodeToString(raw)
}

// program is the device of a program: what its owner runs beside one browser is one.
func (s *Service) program(ctx context.Context, p store.Principal, prog Program) (mail.Device, error) {
	a := Attempt{Protocol: mail.JMAP, Addr: prog.Addr, Client: clientName(prog.Name), Told: mail.Told{Kind: "Program", UserAgent: prog.Agent}}
	sum := sha256.Sum256([]byte(prog.Client + " " + prog.Browser))
	return s.lasting(ctx, p, programKey+base64.RawURLEncoding.EncodeToString(sum[:18]), programKey, a.Client, a)
}

const programKey = "oauth:"

// issue makes new tokens, in place of those before.
func (g *grant) issue(selector string, now time.Time) Tokens {
	t := Tokens{Access: accessPrefix + selector + ".", Refresh: refreshPrefix + selector + ".", Scope: g.Scope}
	a, r := newToken(), newToken()
	t.Access, t.Refresh = t.Access+a, t.Refresh+r
	g.Access = slices.DeleteFunc(g.Access, func(a access) bool { return !now.Before(a.Ends) })
	g.Access = append(g.Access, access{hashed("access", a), now.Add(AccessLife)})
	g.Access = g.Access[max(len(g.Access)-maxAccess, 0):]
	g.Refresh = hashed("refresh", r)
	return t
}

// Refresh gives new tokens for a refresh token, which is used up (RFC 9700 §4.14.2).
// One that was used up before ends the grant: somebody else has it too.
func (s *Service) Refresh(ctx context.Context, client, token string, addr netip.Addr) (Tokens, error) {
	t, err := s.refresh(ctx, client, token, addr)
	if err != nil && mail.KindOf(err) == mail.Conflict { // another at once, which is over now
		t, err = s.refresh(ctx, client, token, addr)
	}
	return t, err
}

func (s *Service) refresh(ctx context.Context, client, token string, addr netip.Addr) (t Tokens, err error) {
	selector, secret, ok := cutToken(refreshPrefix, token)
	if !ok {
		return t, errBadGrant
	}
	ends := s.sessions.soFar()
	in, g, err := s.grantOf(ctx, selector, addr)
	if err != nil {
		return t, err
	}
	if !hmac.Equal(g.Client, hashed("client", client)) {
		return t, errBadGrant
	}
	now, said := s.now(), hashed("refresh", secret)
	switch {
	case subtle.ConstantTimeCompare(said, g.Refresh) == 1:
		g.Before, g.Rotated = g.Refresh, now
	case g.Before != nil && subtle.ConstantTimeCompare(said, g.Before) == 1 && now.Sub(g.Rotated) < repeatWithin:
	default:
		return t, s.stolen(ctx, in)
	}
	if _, err := s.resume(ctx, in, addr, ends); err != nil {
		return t, err
	}
	t = g.issue(selector, now)
	t.Grant = in.ID
	state, err := json.Marshal(stay{Proved: in.Proved, OAuth: g})
	if err != nil {
		return t, err
	}
	return t, s.dir.ChangeSignIn(ctx, in.ID, in.row.State, state, now.Add(grantIdle))
}

// grantOf finds a grant that is in force. What it finds not is not counted as a failed
// sign-in: tokens can't be guessed, and a program that was signed out and asks again
// and again would lock all out who share its address.
func (s *Service) grantOf(ctx context.Context, selector string, addr netip.Addr) (*SignedIn, *grant, error) {
	if err := s.mayTry(ctx, "", addr); err != nil {
		return nil, nil, err
	}
	row, err := s.dir.SignInByKey(ctx, grantKey(selector))
	if err != nil && mail.KindOf(err) == mail.NotFound {
		return nil, nil, errBadGrant
	}
	if err != nil {
		return nil, nil, err
	}
	in, err := signedIn(row)
	if err != nil {
		return nil, nil, err
	}
	var state stay
	if err := json.Unmarshal(row.State, &state); err != nil {
		return nil, nil, err
	}
	if state.OAuth == nil || !s.now().Before(in.Ends) {
		return nil, nil, errBadGrant
	}
	return in, state.OAuth, nil
}

// stolen ends a grant of whose refresh tokens an earlier one was seen again.
func (s *Service) stolen(ctx context.Context, in *SignedIn) error {
	p, err := s.dir.PrincipalByID(ctx, in.row.Principal)
	if err == nil {
		err = s.EndSignIn(ctx, p, in.ID)
	}
	if err != nil && mail.KindOf(err) != mail.NotFound {
		return err
	}
	s.log.WarnContext(ctx, "a refresh token was used twice: what it was granted ends", "account", int64(p.Account), "device", int64(in.Device))
	return errBadGrant
}

// Revoke ends a grant by any of its tokens (RFC 7009). One that is not known, or is
// another client's, is none of theirs.
func (s *Service) Revoke(ctx context.Context, client, token string, addr netip.Addr) error {
	for prefix, purpose := range map[string]string{accessPrefix: "access", refreshPrefix: "refresh"} {
		selector, secret, ok := cutToken(prefix, token)
		if !ok {
			continue
		}
		in, g, err := s.grantOf(ctx, selector, addr)
		if err != nil && mail.KindOf(err) == mail.BadCredentials || err == nil && (client != "" && !hmac.Equal(g.Client, hashed("client", client)) || !g.knows(hashed(purpose, secret))) {
			return nil
		}
		if err != nil {
			return err
		}
		p, err := s.dir.PrincipalByID(ctx, in.row.Principal)
		if err == nil {
			err = s.EndSignIn(ctx, p, in.ID)
		}
		if err != nil && mail.KindOf(err) != mail.NotFound {
			return err
		}
	}
	return nil
}

// knows reports whether a hash is of one of the grant's tokens.
func (g *grant) knows(hash []byte) bool {
	return bytes.Equal(hash, g.Refresh) || bytes.Equal(hash, g.Before) || slices.ContainsFunc(g.Access, func(a access) bool { return bytes.Equal(hash, a.Secret) })
}

// byAccess finds who granted what an access token is for.
func (s *Service) byAccess(ctx context.Context, login, selector, secret string, addr netip.Addr) (k known, err error) {
	in, g, err := s.grantOf(ctx, selector, addr)
	if err != nil {
		return k, err
	}
	said, good := hashed("access", secret), false
	for _, a := range g.Access {
		good = good || subtle.ConstantTimeCompare(said, a.Secret) == 1 && s.now().Before(a.Ends)
	}
	if !good {
		return k, errExpiredToken
	}
	if k.p, err = s.dir.PrincipalByID(ctx, in.row.Principal); err != nil && mail.KindOf(err) == mail.NotFound || err == nil && login != "" && login != k.p.Login {
		return k, errBadGrant
	}
	if err != nil {
		return k, err
	}
	k.c = store.Credential{Device: in.Device}
	k.c.Protocols, err = ScopeProtocols(g.Scope)
	k.in = in
	return k, err
}

var errExpiredToken = mail.Errorf(mail.BadCredentials, "this access token has run out: refresh it")

// The scopes that can be granted. Those of JMAP are granted together: who may change
// mail there may send it.
const (
	ScopeMail = "urn:ietf:params:oauth:scope:mail"
	ScopeJMAP = "urn:ietf:params:jmap:core urn:ietf:params:jmap:mail urn:ietf:params:jmap:submission"
)

// Scopes are all there are, as metadata lists them.
func Scopes() []string { return append(strings.Fields(ScopeJMAP), ScopeMail, "mail", "offline_access") }

// GrantedScope is what is granted to who asks for scopes, separated by spaces. Those
// that nobody knows are left out; Invalid if none is left.
func GrantedScope(asked string) (string, error) {
	jmap, all := asked == "", false
	for scope := range strings.FieldsSeq(asked) {
		jmap = jmap || strings.HasPrefix(scope, "urn:ietf:params:jmap:")
		all = all || scope == "mail" || scope == ScopeMail
	}
	switch {
	case all:
		return ScopeMail + " " + ScopeJMAP, nil
	case jmap:
		return ScopeJMAP, nil
	}
	return "", mail.Errorf(mail.Invalid, "there is no such scope; there are: %s", strings.Join(Scopes(), " "))
}

// ScopeProtocols are the protocols that a granted scope opens.
func ScopeProtocols(scope string) ([]mail.Protocol, error) {
	fields := strings.Fields(scope)
	switch {
	case slices.Contains(fields, ScopeMail):
		return []mail.Protocol{mail.JMAP, mail.IMAP, mail.POP3, mail.Submission, mail.EAS}, nil
	case slices.Contains(fields, "urn:ietf:params:jmap:mail"):
		return []mail.Protocol{mail.JMAP}, nil
	}
	return nil, mail.Errorf(mail.Invalid, "there is no such scope")
}

// Stamp shows that we made something, for a purpose.
func (s *Service) Stamp(purpose string, data []byte) []byte {
	mac := hmac.New(sha256.New, s.derive(purpose))
	mac.Write(data)
	return mac.Sum(nil)
}
