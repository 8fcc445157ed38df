package imap

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"lockstep/internal/auth"
	"lockstep/internal/imap/index"
	"lockstep/internal/imap/wire"
	"lockstep/internal/lot"
	"lockstep/internal/mail"
	"lockstep/internal/notify"
	"lockstep/internal/store"
	"lockstep/internal/transfer"
)

// Server serves IMAP4rev2 and rev1. Zero Limits are safe on the open internet.
// Set its fields before Serve; Log, Hub, Search, TLS, AllowPlainAuth and
// Metrics may be nil.
type Server struct {
	Store    store.Store
	Auth     *auth.Service
	Blobs    Blobs
	Transfer *transfer.Service // takes messages to other accounts; nil makes one of Store
	Ingest   Ingester
	Search   Searcher    // what messages say; nil: every search reads
	Hub      *notify.Hub // hears what was written to devices
	Log      *slog.Logger
	Limits   Limits
	TLS      *tls.Config // without it there is no STARTTLS

	// Hostname is what URLs may call the server, besides the name and address that
	// the client connected to.
	Hostname string

	// JMAP is the URL of the JMAP session of the same mail (RFC 9698); "" is not known.
	JMAP string

	// AllowPlainAuth says from which addresses passwords may come without TLS.
	AllowPlainAuth func(netip.Addr) bool
	// NoUnauthenticate leaves UNAUTHENTICATE out: a proxy in front that judges who
	// signs in may not see the second time (RFC 8437 §8).
	NoUnauthenticate bool
	Metrics          Metrics
	IndexBudget      int64 // bytes; 0 is index.DefaultBudget

	Farewell *lot.Farewell // sends sessions away before the server stops; may be nil

	once         sync.Once
	cache        *index.Cache
	limits       Limits
	limitsBefore wire.Limits // of a command before login
	door         lot.Door
	ahead        ahead
	napping      atomic.Int64 // sessions that wait in a lot
	sorting      atomic.Int64 // bytes that SORTs and THREADs hold: see allowance
}

// Blobs opens the bytes of messages.
type Blobs interface {
	Open(ctx context.Context, b mail.Blob) (Body, error)
}

// Body is the bytes of one message.
type Body interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// An Ingester takes a message of size bytes in, or of however many there are if
// that is negative, and makes it durable, parsed, ready to be committed.
type Ingester func(ctx context.Context, r io.Reader, size int64) (mail.Arrival, error)

// Metrics hears what happens; each method must be quick. Command names are those
// of wire.Names and "unknown", results are OK, NO and BAD.
type Metrics interface {
	Command(name, result string, took time.Duration)
	SessionBegan()
	SessionEnded(received, sent int64)
}

type noMetrics struct{}

func (noMetrics) Command(string, string, time.Duration) {}
func (noMetrics) SessionBegan()                         {}
func (noMetrics) SessionEnded(int64, int64)             {}

func (s *Server) init() {
	s.once.Do(func() {
		s.cache = index.NewCache(s.Store, s.IndexBudget)
		s.limits = s.Limits.orDefault()
		s.limitsBefore = s.limits.Wire.BeforeLogin()
		if s.Log == nil {
			s.Log = slog.New(slog.DiscardHandler)
		}
		if s.Metrics == nil {
			s.Metrics = noMetrics{}
		}
		if s.Transfer == nil {
			intents, _ := s.Store.(store.Intents)
			s.Transfer = &transfer.Service{Store: s.Store, Intents: intents, Log: s.Log}
		}
		if s.Hub == nil {
			s.Hub = &notify.Hub{}
		}
	})
}

// Serve accepts connections from l until ctx ends, then says BYE to each client
// and returns nil once every session is gone. It closes l. Connections begin
// without TLS; STARTTLS is offered if there is a TLS configuration.
func (s *Server) Serve(ctx context.Context, l net.Listener) error { return s.serve(ctx, l, false) }

// ServeTLS is Serve for connections that begin with TLS (RFC 8314 §3.2).
func (s *Server) ServeTLS(ctx context.Context, l net.Listener) error {
	if s.TLS == nil {
		l.Close()
		return errors.New("imap: no TLS configuration")
	}
	return s.serve(ctx, l, true)
}

func (s *Server) serve(ctx context.Context, l net.Listener, withTLS bool) error {
	s.init()
	var sessions sessionSet
	ctx, cancel := context.WithCancel(ctx)
	defer s.cache.Wait()
	sessions.lot = lot.Open(s.limits.lateness(), &s.napping)
	defer sessions.lot.Close()
	defer sessions.wait() // no goroutine outlives Serve
	defer sessions.endAll("server is shutting down")
	defer cancel()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	defer l.Close()
	for {
		c, err := l.Accept()
		if err != nil && ctx.Err() != nil {
			return nil
		}
		if isTemporary(err) {
			time.Sleep(acceptPause)
			continue
		}
		if err != nil {
			return err
		}
		s.begin(ctx, &sessions, c, withTLS)
	}
}

// keepAlive is how long a silent connection is left alone: asking more often
// wakes the radio of every phone that waits.
const keepAlive = 5 * time.Minute

// acceptPause lets go of the processor when the machine has no more descriptors.
const acceptPause = 10 * time.Millisecond

func isTemporary(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary()
}

// begin gives a connection a session, or turns it away.
func (s *Server) begin(ctx context.Context, set *sessionSet, c net.Conn, withTLS bool) {
	addr := mail.AddrOf(c)
	if !s.door.Enter(addr, s.limits.Connections, s.limits.PerAddress) {
		s.Log.InfoContext(ctx, "connection refused", "proto", "imap", "addr", addr)
		if !withTLS {
			c.SetWriteDeadline(time.Now().Add(time.Second))
			io.WriteString(c, "* BYE [LIMIT] Too many connections\r\n")
		}
		c.Close()
		return
	}
	if tc, ok := c.(interface {
		SetKeepAliveConfig(net.KeepAliveConfig) error
	}); ok {
		tc.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: keepAlive, Interval: keepAlive / 4, Count: 4})
	}
	sess := newSession(ctx, s, set, c, addr, withTLS)
	set.add(sess)
	s.Farewell.Enter(sess)
	s.Metrics.SessionBegan()
	go sess.greet()
}

// sessionSet is the sessions of one Serve.
type sessionSet struct {
	running sync.WaitGroup
	lot     *lot.Lot
	mu      sync.Mutex
	all     map[*session]struct{}
}

func (t *sessionSet) add(s *session) {
	t.running.Add(1)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all == nil {
		t.all = map[*session]struct{}{}
	}
	t.all[s] = struct{}{}
}

func (t *sessionSet) remove(s *session) {
	t.mu.Lock()
	delete(t.all, s)
	t.mu.Unlock()
	t.running.Done()
}

func (t *sessionSet) endAll(reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for s := range t.all {
		s.end(reason)
	}
}

func (t *sessionSet) wait() { t.running.Wait() }
