package pop3

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"lockstep/internal/auth"
	"lockstep/internal/lang"
	"lockstep/internal/mail"
)

// session is one client's state. Used by one goroutine, except hangUp.
type session struct {
	srv    *Server
	c      *conn
	addr   netip.Addr
	limits Limits
	born   time.Time

	tls      *tls.ConnectionState // nil without
	login    string               // of USER, until PASS
	who      *auth.Session        // nil until signed in
	untrack  func()
	drop     *maildrop // nil until signed in
	utf8     bool
	language lang.Tag

	cmds      int
	bad       int // errors in a row
	badLogins int
	over      bool
	ended     atomic.Pointer[string] // why somebody ended it
}

func newSession(srv *Server, c *conn, addr netip.Addr, limits Limits) *session {
	return &session{srv: srv, c: c, addr: addr, limits: limits, born: time.Now(), language: lang.Default}
}

// run serves the client until it leaves or has to.
func (s *session) run(ctx context.Context, implicit bool) {
	defer func() {
		if p := recover(); p != nil {
			s.srv.Log.ErrorContext(ctx, "session panicked", "proto", "pop3", "panic", p, "stack", string(debug.Stack()))
		}
		s.finish(ctx)
	}()
	if implicit && !s.beginTLS(ctx) {
		return
	}
	s.ok("Lockstep ready")
	for !s.over {
		if err := s.step(ctx); err != nil {
			s.part(err)
			break
		}
	}
	s.c.out.Flush() // nobody to tell if it fails
}

// step reads and runs one command; its error is the connection's.
func (s *session) step(ctx context.Context) error {
	line, err := s.c.readCommand(s.deadline())
	if err != nil && !errors.Is(err, errLineTooLong) {
		return err
	}
	s.cmds++
	if s.who == nil && s.cmds > s.limits.BeforeLogin {
		s.over = true
		s.fail(ctx, &refusal{"SYS/TEMP", "Too many commands before sign-in"})
		return nil
	}
	if err != nil {
		s.fail(ctx, &refusal{text: "Line too long"})
		return nil
	}
	cmd, err := parse(line)
	if err == nil {
		err = s.command(ctx, cmd)
	}
	switch {
	case err == nil:
		s.bad = 0
	case errors.Is(err, errLost):
		return err
	default:
		s.fail(ctx, err)
	}
	return nil
}

// errLost is of errors after which nothing can be said any more.
var errLost = errors.New("connection lost")

func (s *session) deadline() time.Time {
	if s.who == nil {
		return s.born.Add(s.limits.LoginTime)
	}
	return time.Now().Add(s.limits.Idle)
}

// handler runs one command in one state (RFC 1939 §3).
type handler struct {
	before, after bool // sign-in
	run           func(*session, context.Context, command) error
}

var handlers map[string]handler

func init() { // CAPA refers to what looks it up
	handlers = map[string]handler{
		"CAPA": {true, true, (*session).capa},
		"QUIT": {true, true, (*session).quit},
		"LANG": {true, true, (*session).lang},
		"USER": {true, false, (*session).user},
		"PASS": {true, false, (*session).pass},
		"AUTH": {true, false, (*session).auth},
		"STLS": {true, false, (*session).stls},
		"UTF8": {true, false, (*session).speakUTF8},
		"STAT": {false, true, (*session).stat},
		"LIST": {false, true, (*session).list},
		"UIDL": {false, true, (*session).uidl},
		"RETR": {false, true, (*session).retr},
		"TOP":  {false, true, (*session).top},
		"DELE": {false, true, (*session).dele},
		"RSET": {false, true, (*session).rset},
		"NOOP": {false, true, (*session).noop},
	}
}

func (s *session) command(ctx context.Context, cmd command) error {
	h, ok := handlers[cmd.verb]
	switch {
	case !ok:
		return &refusal{text: "Command not understood"}
	case s.who == nil && !h.before:
		return &refusal{text: "Sign in first"}
	case s.who != nil && !h.after:
		return &refusal{text: "You are signed in already"}
	}
	return h.run(s, ctx, cmd)
}

// ok answers +OK with words for people.
func (s *session) ok(text string) { fmt.Fprintf(s.c.out, "+OK %s\r\n", s.say(text)) }

// okf answers +OK with what programs read.
func (s *session) okf(format string, args ...any) {
	fmt.Fprintf(s.c.out, "+OK "+format+"\r\n", args...)
}

// say puts words into the client's language.
func (s *session) say(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s.language.Say(text))
}

// fail answers -ERR, logs what is our fault, and ends the session of a client that
// only errs.
func (s *session) fail(ctx context.Context, err error) {
	r := refusalOf(err)
	if mail.KindOf(err) == mail.Internal && r != err {
		s.srv.Log.ErrorContext(ctx, "command failed", "proto", "pop3", "err", err)
	}
	s.srv.counts.refused.Add(1)
	code := ""
	if r.code != "" {
		code = "[" + r.code + "] "
	}
	text := s.say(r.text)
	if !s.speaksUTF8() && !mail.IsASCII(text) {
		text = strings.ToValidUTF8(strings.Map(ascii, text), "?")
	}
	fmt.Fprintf(s.c.out, "-ERR %s%s\r\n", code, text)
	if s.bad++; s.bad >= s.limits.BadCommands && !s.over {
		s.over = true
		s.fail(ctx, &refusal{"SYS/TEMP", "Too many errors"})
	}
}

// speaksUTF8 says whether the client takes more than ASCII: it chose UTF8 or a
// language (RFC 6856 §3.2).
func (s *session) speaksUTF8() bool { return s.utf8 || s.language != lang.Default }

func ascii(r rune) rune {
	if r >= 0x80 {
		return '?'
	}
	return r
}

// part says why, where the client can still hear it: it takes it for the answer
// to what it says next. Who was silent too long hears nothing (RFC 1939 §3).
func (s *session) part(err error) {
	switch why := s.ended.Load(); {
	case why != nil:
		fmt.Fprintf(s.c.out, "-ERR [SYS/TEMP] %s\r\n", s.say("Goodbye: "+*why))
	case errors.Is(err, errShutdown):
		fmt.Fprintf(s.c.out, "-ERR [SYS/TEMP] %s\r\n", s.say("The server is stopping, try again soon"))
	}
}

// hangUp ends the session from another goroutine.
func (s *session) hangUp(reason string) {
	s.ended.CompareAndSwap(nil, &reason)
	s.c.shut()
}

// beginTLS is the handshake.
func (s *session) beginTLS(ctx context.Context) bool {
	state, err := s.c.startTLS(s.srv.TLS, s.born.Add(s.limits.LoginTime))
	if err != nil {
		s.srv.Log.DebugContext(ctx, "no TLS", "proto", "pop3", "addr", s.addr, "err", err)
		s.over = true
		return false
	}
	s.tls = &state
	return true
}

// finish cleans up. Nothing is deleted but by QUIT.
func (s *session) finish(ctx context.Context) {
	if s.untrack != nil {
		s.untrack()
	}
	if s.drop != nil {
		s.srv.clients.messages.Add(-int64(len(s.drop.entries)))
	}
	s.srv.counts.bytes.Add(s.c.sent)
	if s.who != nil {
		s.srv.Log.LogAttrs(ctx, slog.LevelInfo, "session ended", slog.String("proto", "pop3"), slog.Int64("account", int64(s.who.Account())),
			slog.Int64("device", int64(s.who.Device().ID)), slog.Int("cmds", s.cmds))
	}
}
