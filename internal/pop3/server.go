package pop3

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"lockstep/internal/auth"
	"lockstep/internal/lot"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Server serves POP3. Its fields are set once, before Serve; zero Limits are safe
// on the open internet.
type Server struct {
	Store    store.Store
	Auth     *auth.Service
	Blobs    Blobs
	Hostname string
	TLS      *tls.Config // nil: no TLS
	// AllowPlainAuth says from where passwords may come without TLS; nil is nowhere.
	AllowPlainAuth func(netip.Addr) bool
	Limits         Limits
	Log            *slog.Logger
	Farewell       *lot.Farewell // sends sessions away before the server stops; may be nil

	clients turnstile
	counts  counters
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

// Serve accepts connections from l until ctx ends and returns nil once every
// session is gone. It closes l. Connections begin without TLS; STLS is offered if
// there is a TLS configuration.
func (s *Server) Serve(ctx context.Context, l net.Listener) error { return s.accept(ctx, l, false) }

// ServeTLS is Serve for connections that begin with TLS (RFC 8314 §3.3).
func (s *Server) ServeTLS(ctx context.Context, l net.Listener) error {
	if s.TLS == nil {
		l.Close()
		return errors.New("pop3: no TLS configuration")
	}
	return s.accept(ctx, l, true)
}

func (s *Server) accept(ctx context.Context, l net.Listener, implicit bool) error {
	limits := s.Limits.orDefault()
	var sessions sync.WaitGroup
	defer sessions.Wait() // no goroutine outlives Serve
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	context.AfterFunc(ctx, func() { l.Close() })
	for {
		nc, err := l.Accept()
		if err != nil && ctx.Err() != nil {
			return nil
		}
		if err != nil && isOutOfFiles(err) {
			s.Log.WarnContext(ctx, "accept", "proto", "pop3", "err", err)
			pause(ctx, time.Second)
			continue
		}
		if err != nil {
			return err
		}
		sessions.Go(func() { s.serve(ctx, nc, limits, implicit) })
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// turnAway bounds how long a client that is one too many keeps us.
const turnAway = time.Second

func (s *Server) serve(ctx context.Context, nc net.Conn, limits Limits, implicit bool) {
	defer nc.Close()
	addr := mail.AddrOf(nc)
	if !s.clients.Enter(addr, limits.Connections, limits.PerAddress) {
		s.counts.turnedAway.Add(1)
		nc.SetDeadline(time.Now().Add(turnAway))
		if !implicit {
			nc.Write([]byte("-ERR [SYS/TEMP] Too many connections, try later\r\n"))
		}
		return
	}
	defer s.clients.Leave(addr)
	s.counts.sessions.Add(1)
	defer s.counts.sessions.Add(-1)
	c := newConn(nc, &limits)
	stop := context.AfterFunc(ctx, c.shut)
	defer stop()
	s.Farewell.Enter(c)
	defer s.Farewell.Left(c)
	newSession(s, c, addr, limits).run(context.WithoutCancel(ctx), implicit)
}
