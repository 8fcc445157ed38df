package signin

import (
	"log/slog"
	"net/http"
	"net/netip"

	"lockstep/internal/auth"
	"lockstep/internal/mail"
)

// Server signs in over HTTP. Its fields are set once, before it is used.
type Server struct {
	Auth           *auth.Service
	Log            *slog.Logger          // nil logs nothing
	AllowPlainAuth func(netip.Addr) bool // who may sign in without TLS; nil is nobody
}

var (
	errUnauthorized = mail.Errorf(mail.BadCredentials, "sign in: with login and an app password, or with a token")
	errNeedsTLS     = mail.Errorf(mail.Denied, "passwords and tokens are taken under TLS only: use https")
)

// Authenticate says who asks: by login and password (RFC 7617) or by a token (RFC 6750).
// BadCredentials for nobody, Denied for somebody who is kept out, and Limit for who has
// to wait. The caller tracks the session as long as it serves it.
func (s *Server) Authenticate(r *http.Request) (*auth.Session, error) {
	a := auth.Attempt{Protocol: mail.JMAP, Addr: auth.AddrOf(r), Client: auth.AgentName(r.UserAgent())}
	var ok bool
	if a.Secret, ok = auth.Bearer(r); ok {
		a.Bearer = true
	} else if a.Login, a.Secret, ok = auth.Basic(r); !ok {
		return nil, errUnauthorized
	}
	if !s.safe(r) {
		return nil, errNeedsTLS
	}
	return s.Auth.Login(r.Context(), a)
}

// safe reports whether secrets may come by the request's connection.
func (s *Server) safe(r *http.Request) bool {
	return r.TLS != nil || s.AllowPlainAuth != nil && s.AllowPlainAuth(auth.AddrOf(r))
}
