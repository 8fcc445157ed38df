package smtp

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"lockstep/internal/auth"
	"lockstep/internal/delivery"
)

// session is one client's state. Used by one goroutine, except hangUp.
type session struct {
	srv    *Server
	c      *conn
	addr   netip.Addr
	limits Limits
	id     string
	log    *slog.Logger

	tls      *tls.ConnectionState // nil without
	helo     string
	extended bool          // said EHLO or LHLO
	who      *auth.Session // nil until signed in
	untrack  func()
	tx       *transaction // from MAIL to its end

	errors   int
	commands int
	idle     int // commands since the last message
	messages int
	quit     bool
	ended    atomic.Pointer[string] // why somebody ended it
}

// transaction is one mail transaction (RFC 5321 §3.3).
type transaction struct {
	env  delivery.Envelope
	size int64 // as the client declared it; 0 if it did not
}

func newSession(srv *Server, c *conn, addr netip.Addr, limits Limits) *session {
	s := &session{srv: srv, c: c, addr: addr, limits: limits, id: rand.Text()[:12]}
	s.log = srv.Log.With("proto", string(srv.Role), "session", s.id)
	return s
}

// run serves the client until it leaves or has to.
func (s *session) run(ctx context.Context) {
	began := time.Now()
	defer func() {
		if p := recover(); p != nil {
			s.log.ErrorContext(ctx, "panic", "err", p, "stack", string(debug.Stack()))
		}
		s.forget()
		s.log.DebugContext(ctx, "session ended", "addr", s.addr, "cmds", s.commands, "messages", s.messages, "duration", time.Since(began))
	}()
	if s.srv.Implicit && !s.beginTLS(ctx) {
		return
	}
	s.reply(reply{220, "", s.srv.greeting()})
	for !s.quit {
		line, err := s.c.readCommand()
		if err != nil && !errors.Is(err, errLineTooLong) {
			s.part(err)
			break
		}
		if err != nil {
			s.commands++
			s.reply(reply{500, "5.5.2", "line too long"})
			continue
		}
		s.command(ctx, line)
	}
	s.c.out.Flush()
}

func (s *Server) greeting() string {
	if s.Role == LMTP {
		return s.Hostname + " LMTP Lockstep"
	}
	return s.Hostname + " ESMTP Lockstep"
}

// part says why, where the client can still hear it.
func (s *session) part(err error) {
	switch why := s.ended.Load(); {
	case why != nil:
		s.reply(reply{421, "4.7.0", *why})
	case errors.Is(err, errShutdown):
		s.reply(reply{421, "4.3.2", s.srv.Hostname + " is stopping, try again soon"})
	case isTimeout(err):
		s.reply(reply{421, "4.4.2", "nothing heard for too long, or too little"})
	}
}

// hangUp ends the session from another goroutine.
func (s *session) hangUp(reason string) {
	s.ended.Store(&reason)
	s.c.shut()
}

// reply answers, and counts what went wrong. Recipients beyond the limit are
// sent again later, not wrong (RFC 5321 §4.5.3.1.10).
func (s *session) reply(r reply) {
	var buf [256]byte
	s.c.out.Write(r.append(buf[:0]))
	if !r.failed() || r.code == 421 || r.code == 452 {
		return
	}
	s.srv.counts.refused.Add(1)
	if s.errors++; s.errors >= s.limits.Errors && !s.quit {
		s.quit = true
		s.reply(reply{421, "4.7.0", "too many errors"})
	}
}

// replyErr answers what went wrong in our own hands; it is logged if it was our
// fault.
func (s *session) replyErr(ctx context.Context, r reply, err error) {
	if r.code/100 == 4 {
		s.log.WarnContext(ctx, "refused for now", "err", err)
	}
	s.reply(r)
}

// beginTLS is the handshake.
func (s *session) beginTLS(ctx context.Context) bool {
	state, err := s.c.startTLS(s.srv.TLS, s.limits.Handshake)
	if err != nil {
		s.log.DebugContext(ctx, "no TLS", "addr", s.addr, "err", err)
		s.quit = true
		return false
	}
	s.tls = &state
	return true
}

func (s *session) command(ctx context.Context, line string) {
	verb, arg, _ := strings.Cut(line, " ")
	verb, arg = strings.ToUpper(verb), strings.TrimSpace(arg)
	if !s.mayGoOn(verb) {
		return
	}
	switch verb {
	case "HELO", "EHLO", "LHLO":
		s.cmdHelo(verb, arg)
	case "MAIL":
		s.cmdMail(ctx, arg)
	case "RCPT":
		s.cmdRcpt(ctx, arg)
	case "DATA":
		s.cmdData(ctx, arg)
	case "BDAT":
		s.cmdBdat(ctx, arg)
	case "RSET":
		s.tx = nil
		s.reply(reply{250, "2.0.0", "reset"})
	case "NOOP":
		s.reply(reply{250, "2.0.0", "still here"})
	case "QUIT":
		s.quit = true
		s.reply(reply{221, "2.0.0", s.srv.Hostname + " goodbye"})
	case "VRFY": // tells nobody who is here (RFC 5321 §3.5.3)
		s.reply(reply{252, "2.1.5", "send some mail and see"})
	case "HELP":
		s.reply(reply{214, "2.0.0", "see RFC 5321"})
	case "STARTTLS":
		s.cmdStartTLS(ctx, arg)
	case "AUTH":
		s.cmdAuth(ctx, arg)
	case "EXPN", "ETRN", "TURN", "ATRN", "SEND", "SOML", "SAML":
		s.reply(reply{502, "5.5.1", verb + " is not served here"})
	default:
		s.reply(reply{500, "5.5.2", "command not understood"})
	}
}

// mayGoOn counts a command, and ends the session of a client that only talks.
// Recipients lead to a message; those that are wrong are counted as errors.
func (s *session) mayGoOn(verb string) bool {
	s.commands++
	if verb == "RCPT" || verb == "QUIT" {
		return true
	}
	if s.idle++; s.idle > s.limits.Commands {
		s.quit = true
		s.reply(reply{421, "4.7.0", "too many commands without a message"})
	}
	return !s.quit
}

// cmdStartTLS serves RFC 3207.
func (s *session) cmdStartTLS(ctx context.Context, arg string) {
	switch {
	case arg != "":
		s.reply(reply{501, "5.5.4", "STARTTLS takes no parameters"})
		return
	case s.tls != nil || s.srv.TLS == nil:
		s.reply(reply{503, "5.5.1", "STARTTLS is not offered"})
		return
	case s.c.in.Buffered() > 0:
		s.quit = true
		s.reply(reply{554, "5.5.1", "nothing may follow STARTTLS"})
		return
	}
	s.reply(reply{220, "2.0.0", "go ahead"})
	if s.c.out.Flush() != nil || !s.beginTLS(ctx) {
		s.quit = true
		return
	}
	s.helo, s.tx = "", nil
	s.forget()
}

// forget signs the client out.
func (s *session) forget() {
	if s.untrack != nil {
		s.untrack()
	}
	s.who, s.untrack = nil, nil
}
