package jmap

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"lockstep/internal/auth"
	"lockstep/internal/delivery"
	"lockstep/internal/device"
	"lockstep/internal/jmap/webpush"
	"lockstep/internal/mail"
	"lockstep/internal/notify"
	"lockstep/internal/search"
	"lockstep/internal/store"
)

// Where the protocol is spoken. Clients find the other paths in the session (§2).
const (
	WellKnown       = "/.well-known/jmap"
	pathPrefix      = "/jmap/"
	sessionPath     = "/jmap/session"
	apiPath         = "/jmap/api"
	uploadPath      = "/jmap/upload/"
	downloadPath    = "/jmap/download/"
	eventSourcePath = "/jmap/eventsource/"
	webSocketPath   = "/jmap/ws"
)

// Body is the bytes of one message.
type Body interface {
	io.ReaderAt
	io.Closer
}

// Authenticator says who asks. Its errors are mail.BadCredentials, Denied and Limit.
type Authenticator interface {
	Authenticate(*http.Request) (*auth.Session, error)
	// Challenge tells in an answer of 401 how to sign in.
	Challenge(http.Header, *http.Request)
}

// Server answers requests. Its fields are set once, before it is used.
type Server struct {
	Store     store.Store
	Directory store.Directory
	Auth      Authenticator
	Accounts  *auth.Service // who is signed in with what, and may go on
	Delivery  *delivery.Service
	Blobs     func(context.Context, mail.Blob) (Body, error)
	Search    *search.Index // nil finds nothing by words
	// People asks the directory; nil is one that is turned off.
	People  func(context.Context, store.PeopleQuery) ([]store.Person, error)
	Hub     *notify.Hub  // what waits is told by; nil never tells
	Log     *slog.Logger // nil logs nothing
	Metrics Metrics      // nil counts nothing

	Hostname   string
	PublicName string         // by which clients reach the server; "" is the one they asked for it by
	SpoolDir   string         // for uploads on their way; "" is the system's
	Trails     *device.Trails // how far devices have come; nil knows of none
	Policies   device.Policies
	Limits     Limits

	PushSecret []byte                // what the key is made of that says who pushes (RFC 8292); nil has none
	PushTLS    *tls.Config           // of connections to push services; nil is the system's roots
	MayPush    func(netip.Addr) bool // which addresses are pushed to; nil is those of the public network
	// Files is where nodes leave outcomes of submissions that another is about to note; nil
	// is for who is alone.
	Files store.Files
	// TellPusher tells the node that pushes that an account's subscriptions changed, by
	// LookToPush; nil is this one. It must not block.
	TellPusher func(mail.AccountID)

	once   sync.Once
	limits Limits
	rooms  rooms

	outcomes outcomes
	pusher   pusher
	signer   *webpush.Signer

	emails emailTables
	now    func() time.Time
}

// Metrics counts calls of methods.
type Metrics interface {
	Command(name, result string, took time.Duration)
}

type noMetrics struct{}

func (noMetrics) Command(string, string, time.Duration) {}

func (s *Server) init() {
	s.once.Do(func() {
		s.limits = s.Limits.orDefault()
		if s.now == nil {
			s.now = time.Now
		}
		if s.Log == nil {
			s.Log = slog.New(slog.DiscardHandler)
		}
		if s.Metrics == nil {
			s.Metrics = noMetrics{}
		}
		s.pusher.init()
		if s.PushSecret != nil {
			var err error
			if s.signer, err = webpush.NewSigner(s.PushSecret, "mailto:postmaster@"+s.Hostname); err != nil {
				s.Log.Error("no key for Web Push", "proto", "jmap", "err", err)
			}
		}
	})
}

// Serves reports whether a path is the protocol's.
func Serves(path string) bool {
	return path == WellKnown || strings.HasPrefix(path, pathPrefix)
}

// A route is what is done at a path; a path that ends in a slash is a prefix.
type route struct {
	path   string
	method string
	serve  func(*Server, http.ResponseWriter, *http.Request, *auth.Session)
}

// routes are all there is.
var routes = []route{
	{WellKnown, http.MethodGet, (*Server).session},
	{sessionPath, http.MethodGet, (*Server).session},
	{apiPath, http.MethodPost, (*Server).api},
	{eventSourcePath, http.MethodGet, (*Server).events},
	{downloadPath, http.MethodGet, (*Server).download},
	{uploadPath, http.MethodPost, (*Server).upload},
	{webSocketPath, http.MethodGet, (*Server).webSocket},
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.init()
	if crossOrigin(w, r) {
		return
	}
	found := false
	for _, at := range routes {
		if at.path != r.URL.Path && !(strings.HasSuffix(at.path, "/") && strings.HasPrefix(r.URL.Path, at.path)) {
			continue
		}
		found = true
		if at.method == r.Method || at.method == http.MethodGet && r.Method == http.MethodHead {
			s.enter(w, r, at)
			return
		}
		w.Header().Add("Allow", at.method)
	}
	if found {
		httpProblem(http.StatusMethodNotAllowed, "this is done with "+w.Header().Get("Allow")).write(w)
		return
	}
	httpProblem(http.StatusNotFound, "nothing is at this path; the session at "+WellKnown+" says what is where").write(w)
}

// enter signs in who asks, and serves them.
func (s *Server) enter(w http.ResponseWriter, r *http.Request, at route) {
	sess, err := s.Auth.Authenticate(r)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	at.serve(s, w, r, sess)
}

// refuse tells why somebody is not let in (§8.2).
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	switch mail.KindOf(err) {
	case mail.BadCredentials:
		s.Auth.Challenge(w.Header(), r)
		httpProblem(http.StatusUnauthorized, mail.DetailOf(err)).write(w)
	case mail.Limit:
		w.Header().Set("Retry-After", "60")
		httpProblem(http.StatusTooManyRequests, mail.DetailOf(err)).write(w)
	case mail.Denied:
		httpProblem(http.StatusForbidden, mail.DetailOf(err)).write(w)
	default:
		s.Log.ErrorContext(r.Context(), "sign-in failed", "proto", "jmap", "err", err)
		httpProblem(http.StatusInternalServerError, "the server could not look up who you are; try again later").write(w)
	}
}
