// Package eas is Exchange ActiveSync, from 12.1 to 16.1: what phones speak. Each
// command is a translation between WBXML and the store's verbs; what a device knows
// is remembered in the store's cursors as positions, never as lists of what it has.
//
// The sections named are those of Microsoft's open specifications, such as MS-ASCMD.
package eas

import (
	"context"
	"crypto/x509"
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
	"lockstep/internal/mail"
	"lockstep/internal/notify"
	"lockstep/internal/search"
	"lockstep/internal/store"
)

// Path is where the protocol is spoken (MS-ASHTTP §2.2.1.1.1). It is compared
// ignoring case.
const Path = "/Microsoft-Server-ActiveSync"

// Body is the bytes of one message.
type Body interface {
	io.ReaderAt
	io.Closer
}

// Server answers the commands of devices. Its fields are set once, before it is used.
type Server struct {
	Store     store.Store
	Directory store.Directory
	Auth      *auth.Service
	Delivery  *delivery.Service
	Blobs     func(context.Context, mail.Blob) (Body, error)
	Search    *search.Index // nil finds nothing
	// People asks the directory; nil is one that is turned off.
	People  func(context.Context, store.PeopleQuery) ([]store.Person, error)
	Roots   *x509.CertPool // that certificates of people may lead to; nil are the system's
	Hub     *notify.Hub    // nil is not told what was written to devices
	Log     *slog.Logger   // nil logs nothing
	Metrics Metrics        // nil counts nothing

	Policies device.Policies // what devices have to do
	Trails   *device.Trails  // nil keeps none

	Hostname       string
	PublicName     string                // by which devices reach the server; "" is the one they asked for it by
	Mailservers    []Mailserver          // that programs without ActiveSync are told of
	SpoolDir       string                // for large messages and answers; "" is the system's
	AllowPlainAuth func(netip.Addr) bool // who may sign in without TLS; nil is nobody
	Limits         Limits
	// QuietRepeat answers a message that was sent before as if it had just gone well,
	// and not with status 118: for devices that keep in their Outbox what is refused.
	QuietRepeat bool

	once    sync.Once
	limits  Limits
	devices *devices
	paces   paces

	provisions  *provisions
	collections collectionLocks
	handed      handed
	saving      sync.WaitGroup // of what was told and is not remembered yet
	dies        func() bool    // a test's way to have it end before that
	now         func() time.Time
}

// Metrics counts commands.
type Metrics interface {
	Command(name, result string, took time.Duration)
}

type noMetrics struct{}

func (noMetrics) Command(string, string, time.Duration) {}

func (s *Server) init() {
	s.once.Do(func() {
		s.limits = s.Limits.orDefault()
		s.devices = newDevices(s.limits.AtOnce)
		s.provisions = newProvisions()
		if s.now == nil {
			s.now = time.Now
		}
		if s.Log == nil {
			s.Log = slog.New(slog.DiscardHandler)
		}
		if s.Metrics == nil {
			s.Metrics = noMetrics{}
		}
	})
}

// Serves reports whether a path is the protocol's.
func Serves(path string) bool {
	return strings.EqualFold(strings.TrimSuffix(path, "/"), Path)
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.init()
	w.Header().Set("MS-Server-ActiveSync", serverVersion)
	switch r.Method {
	case http.MethodOptions:
		s.options(w, r)
	case http.MethodPost:
		s.post(w, r)
	default:
		w.Header().Set("Allow", allowed)
		http.Error(w, "This is where phones synchronize mail (Exchange ActiveSync). Add an account of that kind on the device, with this server's name.", http.StatusMethodNotAllowed)
	}
}

const (
	serverVersion = "15.2" // of Exchange 2019, which speaks 16.1
	allowed       = "OPTIONS,POST"
)

// options says what is spoken (MS-ASHTTP §2.2.3). Only to who may sign in.
func (s *Server) options(w http.ResponseWriter, r *http.Request) {
	if _, err := s.check(r); err != nil {
		s.refuse(w, r, faultOf(err))
		return
	}
	h := w.Header()
	announce(h)
	h.Set("Public", allowed)
	h.Set("Allow", allowed)
	h.Set("Content-Length", "0")
}

// announce sets the headers that say which versions and commands there are.
func announce(h http.Header) {
	var all []string
	for _, v := range versions {
		all = append(all, v.String())
	}
	h.Set("MS-ASProtocolVersions", strings.Join(all, ","))
	h.Set("MS-ASProtocolCommands", strings.Join(commandNames(), ","))
}
