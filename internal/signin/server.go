package signin

import (
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"lockstep/internal/auth"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Server signs in over HTTP. Its fields are set once, before it is used.
type Server struct {
	Auth           *auth.Service
	Log            *slog.Logger          // nil logs nothing
	AllowPlainAuth func(netip.Addr) bool // who may sign in without TLS; nil is nobody
	// PublicURL is by which the server is reached from outside, also through a proxy
	// that ends TLS; nil is by whatever name it is asked for.
	PublicURL *url.URL
	Ports     Ports
	Files     store.Files // where lies what is kept between two requests

	once  sync.Once
	steps steps
	mux   *http.ServeMux
	now   func() time.Time
}

func (s *Server) init() {
	s.once.Do(func() {
		if s.now == nil {
			s.now = time.Now
		}
		if s.Log == nil {
			s.Log = slog.New(slog.DiscardHandler)
		}
		s.mux = s.routes()
	})
}

const pathPrefix = "/auth/"

// Serves reports whether a path is for signing in.
func Serves(path string) bool {
	return strings.HasPrefix(path, pathPrefix) || path == serverMetadata || path == resourceMetadata || strings.HasPrefix(path, resourceMetadata+"/")
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.init()
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin") // with none, browsers do not say whence a form comes
	if !s.safe(r) {
		s.problem(w, r, errNeedsTLS)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	s.mux.ServeHTTP(w, r)
}

var (
	errUnauthorized = mail.Errorf(mail.BadCredentials, "sign in: with login and an app password, or with a token")
	errNeedsTLS     = mail.Errorf(mail.Denied, "passwords and tokens are taken under TLS only: use https")
	errForeign      = &refusal{mail.Errorf(mail.Denied, "pages of other sites may not do this"), "cross-site"}
	errNoCSRF       = &refusal{mail.Errorf(mail.Denied, "X-CSRF-Token is missing or wrong: GET /auth/session says the one to use"), "csrf"}
)

// Authenticate says who asks: by login and password (RFC 7617), by a token (RFC 6750)
// or by the cookie of our pages. BadCredentials for nobody, Denied for somebody who is
// kept out, and Limit for who has to wait. The caller tracks the session as long as it
// serves it.
//
// A cookie is sent whoever made the browser ask. So what comes by it must not be known
// to come from elsewhere, and what changes something, or stays open, must be known to
// come from a page of ours; what changes something has to say so by a token, too.
func (s *Server) Authenticate(r *http.Request) (*auth.Session, error) {
	s.init()
	if r.Header.Get("Authorization") != "" {
		return s.byHeader(r)
	}
	token := s.cookie(r, sessionCookie)
	if token == "" {
		return nil, errUnauthorized
	}
	if !s.safe(r) {
		return nil, errNeedsTLS
	}
	if err := s.checkCSRF(r, token); err != nil {
		return nil, err
	}
	return s.Auth.Resume(r.Context(), token, auth.AddrOf(r))
}

func (s *Server) byHeader(r *http.Request) (*auth.Session, error) {
	a := auth.Attempt{Protocol: mail.JMAP, Addr: auth.AddrOf(r), Client: auth.AgentName(r.UserAgent())}
	var ok bool
	if a.Secret, ok = auth.Bearer(r); ok {
		a.Bearer = true
	} else if a.Login, a.Secret, ok = auth.Basic(r); !ok {
		return nil, errUnauthorized
	} else if r.Header.Get("Upgrade") != "" && s.provenance(r) == theirs {
		return nil, errForeign // no script says a password there: the browser does, of itself, once a person has typed it
	}
	if !s.safe(r) {
		return nil, errNeedsTLS
	}
	return s.Auth.Login(r.Context(), a)
}

// csrfHeader names the token of GET /auth/session.
const csrfHeader = "X-CSRF-Token"

// checkCSRF refuses what a page of somebody else may have made the browser ask.
func (s *Server) checkCSRF(r *http.Request, token string) error {
	from := s.provenance(r)
	safe := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case from == theirs:
		return errForeign
	case from != ours && (!safe || staysOpen(r)):
		return errForeign
	case !safe && !equal(r.Header.Get(csrfHeader), auth.CSRF(token)):
		return errNoCSRF
	}
	return nil
}

// staysOpen reports whether a request asks for a connection that goes on telling: what
// scripts of other sites could read if it were let through.
func staysOpen(r *http.Request) bool {
	return r.Header.Get("Upgrade") != "" || strings.Contains(r.Header.Get("Accept"), "text/event-stream")
}

// safe reports whether secrets may come by the request's connection.
func (s *Server) safe(r *http.Request) bool {
	return r.TLS != nil || s.AllowPlainAuth != nil && s.AllowPlainAuth(auth.AddrOf(r))
}

// signedIn is who is signed in with the browser: a program that has a token, or an app
// password, may not change how its owner signs in.
func (s *Server) signedIn(r *http.Request) (sess *auth.Session, token string, err error) {
	token = s.cookie(r, sessionCookie)
	if token == "" {
		return nil, "", errSignedOut
	}
	if err := s.checkCSRF(r, token); err != nil {
		return nil, "", err
	}
	sess, err = s.Auth.Resume(r.Context(), token, auth.AddrOf(r))
	return sess, token, err
}

var errSignedOut = mail.Errorf(mail.BadCredentials, "not signed in")
