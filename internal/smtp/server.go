package smtp

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"lockstep/internal/auth"
	"lockstep/internal/delivery"
	"lockstep/internal/lot"
	"lockstep/internal/mail"
)

// A Role is what a server is for.
type Role string

// The roles.
const (
	LMTP       Role = "lmtp"       // from a mail transfer agent we trust, an answer for each recipient
	Receiving  Role = "smtp"       // from the world, for our own domains only
	Submission Role = "submission" // from people who signed in, to anywhere
)

// Server serves one role. Its fields are set once, before Serve.
type Server struct {
	Role     Role
	Hostname string
	Delivery *delivery.Service
	Auth     *auth.Service // Submission only
	TLS      *tls.Config   // nil: no TLS
	Implicit bool          // TLS from the first byte on, else by STARTTLS (RFC 8314, RFC 3207)
	// AllowPlainAuth says from where passwords may come without TLS; nil is nowhere.
	AllowPlainAuth func(netip.Addr) bool
	Limits         Limits
	Log            *slog.Logger
	Farewell       *lot.Farewell // sends sessions away before the server stops; may be nil

	clients lot.Door
	counts  counters
}

func (s *Server) protocol() mail.Protocol {
	switch s.Role {
	case LMTP:
		return mail.LMTP
	case Submission:
		return mail.Submission
	}
	return mail.SMTP
}

// Serve accepts connections from l until ctx ends. Then it says 421 to who waits,
// lets every message whose last byte has come be committed and answered, and
// returns nil once every session is gone. It closes l.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	limits := s.Limits.withDefaults(s.Role)
	var sessions sync.WaitGroup
	defer sessions.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	context.AfterFunc(ctx, func() { l.Close() })
	for {
		nc, err := l.Accept()
		if err != nil && ctx.Err() != nil {
			return nil
		}
		if err != nil && isOutOfFiles(err) {
			s.Log.WarnContext(ctx, "accept", "proto", s.Role, "err", err)
			pause(ctx, time.Second)
			continue
		}
		if err != nil {
			return err
		}
		sessions.Go(func() { s.serve(ctx, nc, limits) })
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

func (s *Server) serve(ctx context.Context, nc net.Conn, limits Limits) {
	defer nc.Close()
	addr := mail.AddrOf(nc)
	if !s.clients.Enter(addr, limits.Connections, limits.ConnectionsPerAddress) {
		s.counts.turnedAway.Add(1)
		nc.SetDeadline(time.Now().Add(turnAway))
		if !s.Implicit {
			nc.Write([]byte("421 4.7.0 " + s.Hostname + " too many connections, try later\r\n"))
		}
		return
	}
	defer s.clients.Leave(addr)
	s.counts.accepted.Add(1)
	s.counts.sessions.Add(1)
	defer s.counts.sessions.Add(-1)
	c := newConn(nc, &limits)
	stop := context.AfterFunc(ctx, c.shut)
	defer stop()
	s.Farewell.Enter(c)
	defer s.Farewell.Left(c)
	newSession(s, c, addr, limits).run(context.WithoutCancel(ctx))
}
