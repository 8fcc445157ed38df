package eas

import (
	"context"
	"net/http"
	"strings"

	"lockstep/internal/auth"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// maxClientBytes bounds what is kept of a User-Agent.
const maxClientBytes = 200

var errUnauthorized = &fault{http: http.StatusUnauthorized, detail: "sign in with login and password, best an app password"}

// signIn signs in who asks, as the device that the query names (MS-ASHTTP §2.2.1.1.2.1).
func (s *Server) signIn(r *http.Request, q *query) (*auth.Session, error) {
	a, err := s.attempt(r, q.user)
	if err != nil {
		return nil, err
	}
	a.Client, a.DeviceKey, a.CanWipe = clientName(r.UserAgent(), q.deviceType), q.deviceID, true
	if q.trying() {
		a.DeviceKey = ""
	}
	sess, err := s.Auth.Login(r.Context(), a)
	return sess, refusal(err)
}

// check is signIn for who does not come as a device.
func (s *Server) check(r *http.Request) (store.Principal, error) {
	a, err := s.attempt(r, r.URL.Query().Get("User"))
	if err != nil {
		return store.Principal{}, err
	}
	p, err := s.Auth.Check(r.Context(), a)
	return p, refusal(err)
}

// attempt is what somebody who signs in says. Whose a bearer token (RFC 6750) is the
// query says too.
func (s *Server) attempt(r *http.Request, user string) (a auth.Attempt, err error) {
	addr := auth.AddrOf(r)
	login, secret, ok := auth.Basic(r)
	token, bearer := auth.Bearer(r)
	if bearer && user != "" {
		login, secret, ok = user, token, true
	}
	if !ok {
		return a, errUnauthorized
	}
	if r.TLS == nil && (s.AllowPlainAuth == nil || !s.AllowPlainAuth(addr)) {
		return a, &fault{http: http.StatusForbidden, detail: "passwords are taken under TLS only: use https"}
	}
	return auth.Attempt{Login: s.login(r.Context(), login), Secret: secret, Bearer: bearer, Protocol: mail.EAS, Addr: addr}, nil
}

// refusals are the statuses for who proves who they are and is not let in. A device
// in quarantine hears that it may not, as a blocked one does, and is not shown an empty
// account: a device that was in step before would take that for "all was deleted", and
// what was written on it would go too. Told so, it keeps what it has and asks again.
var refusals = map[auth.Refusal]status{
	auth.AccountDisabled: statusUserDisabled, auth.NotForProtocol: statusDenied, auth.DeviceBlocked: statusDeviceBlocked, auth.DeviceQuarantined: statusDenied,
	auth.DeviceWiped: statusDeviceBlocked, auth.TooManyDevices: statusTooManyDevices,
}

// refusal is how a sign-in that failed is told: by HTTP, but for a reason that has a
// status.
func refusal(err error) error {
	if err == nil {
		return nil
	}
	if s, ok := refusals[auth.RefusalOf(err)]; ok {
		return &fault{status: s, detail: mail.DetailOf(err), err: err}
	}
	if auth.RefusalOf(err) == auth.NeedsAppPassword { // so that the device asks for another password
		return &fault{http: http.StatusUnauthorized, detail: mail.DetailOf(err), err: err}
	}
	switch mail.KindOf(err) {
	case mail.BadCredentials:
		return errUnauthorized
	case mail.Limit:
		return &fault{http: http.StatusServiceUnavailable, retry: 60, detail: mail.DetailOf(err), err: err}
	case mail.Denied:
		return &fault{http: http.StatusForbidden, detail: mail.DetailOf(err), err: err}
	}
	return err
}

// login is whose login is meant: devices ask for a domain and say domain\user.
func (s *Server) login(ctx context.Context, said string) string {
	domain, user, ok := strings.Cut(said, `\`)
	if !ok {
		return said
	}
	for _, login := range []string{user + "@" + domain, user} {
		if _, err := s.Auth.Principal(ctx, strings.ToLower(login)); err == nil && !strings.HasPrefix(login, "@") {
			return login
		}
	}
	return user
}

// clientName is what the client says of itself, without versions that change with
// each update: a device is known by its id, this is for people.
func clientName(agent, deviceType string) string {
	name, _, _ := strings.Cut(agent, "/")
	if name == "" {
		name = deviceType
	}
	return strings.ToValidUTF8(name[:min(len(name), maxClientBytes)], "")
}
