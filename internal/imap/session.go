package imap

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"lockstep/internal/auth"
	"lockstep/internal/imap/wire"
	"lockstep/internal/lot"
	"lockstep/internal/mail"
	"lockstep/internal/notify"
)

// A session is one client. Its goroutine is of one of two kinds: park waits for
// the socket with a small stack and nothing else; run handles what came, and
// when all is handled it starts a new park and ends, so that the stack a command
// needed does not stay with a client that waits. One that waits for long has no
// goroutine at all, but a place in the lot. Changes are written to a client
// in IDLE by a third, push, which lives as long as that takes.
type session struct {
	srv  *Server
	ctx  context.Context
	set  *sessionSet // hears when it is over
	sock *socket
	addr netip.Addr
	born time.Time

	seat  lot.Seat
	until time.Time // it may be silent: set before it waits

	idling  atomic.Bool            // in IDLE: changes are to be pushed
	alert   atomic.Int32           // when a change wakes the session; alertIdle and kin
	pushing atomic.Bool            // a push is on its way
	ending  atomic.Pointer[string] // why the session has to end
	busy    atomic.Bool            // with a command: see leave

	mu  sync.Mutex // held by who handles a command or writes a change
	tls *tls.Conn  // nil without
	in  *source
	raw *source // below the decompression; nil without
	out io.Writer
	rd  *wire.Reader
	enc *wire.Encoder

	user     *auth.Session
	untrack  func()
	client   string // what it says of itself (ID)
	sel      *selection
	saved    mail.UIDSet // the result of SEARCH that $ means
	idleTag  string
	appended []appended // what the last command appended, if it was an APPEND
	hadRoom  *hadRoom   // for what came last; nil is not known
	drafts   []appended // the drafts saved last
	compare  *collation // RFC 5255 §4; nil is the default

	cmds, badLogins                int32
	bad                            int32 // commands in a row
	state                          state
	over                           bool
	wantsTLS                       bool // the handshake is still to come
	condstore, qresync, rev2, utf8 bool
	uidOnly                        bool // RFC 9586
	compressed                     bool

	metadata *metadataWatch // nil until METADATA is enabled
	notify   *notifier      // nil until the first NOTIFY

	wrote mail.ModSeq // what the lines not flushed yet bring the client up to
}

// state is where in RFC 9051 §3 a session is.
type state uint8

const (
	notAuthenticated state = 1 << iota
	authenticated
	selected
	anyState = notAuthenticated | authenticated | selected
	loggedIn = authenticated | selected
)

func newSession(ctx context.Context, srv *Server, set *sessionSet, c net.Conn, addr netip.Addr, withTLS bool) *session {
	s := &session{srv: srv, ctx: ctx, set: set, sock: newSocket(c, srv.limits.Stall), addr: addr, born: time.Now(), state: notAuthenticated, wantsTLS: withTLS}
	s.in = &source{r: s.sock, before: s}
	s.out = s.sock
	s.enc = wire.NewEncoder(s.sock)
	s.rd = wire.NewReader(s.in, &srv.limitsBefore, s.proceed)
	return s
}

// beforeRead flushes, so that no answer waits for a command that is not whole.
func (s *session) beforeRead() { s.flush() } // its error is the next write's too

// proceed lets the client send a literal.
func (s *session) proceed() error {
	if err := s.enc.Continuation("OK"); err != nil {
		return err
	}
	s.hearWritten()
	return s.flushCompressed()
}

// greet says hello, after the handshake where TLS comes first.
func (s *session) greet() {
	s.mu.Lock()
	if s.wantsTLS {
		if err := s.startTLS(); err != nil {
			s.mu.Unlock()
			s.finish(err)
			return
		}
	}
	s.enc.Status("", "OK", "CAPABILITY "+s.capabilities(), "Lockstep ready")
	s.run()
}

// startTLS makes the connection one of TLS.
func (s *session) startTLS() error {
	s.sock.records = &lot.Records{}
	ctx, cancel := context.WithDeadline(s.ctx, s.born.Add(s.srv.limits.LoginTime))
	defer cancel()
	c := tls.Server(s.sock, s.srv.TLS)
	if err := c.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("TLS handshake: %w", err)
	}
	s.tls, s.out = c, c
	*s.in = source{r: c, before: s}
	s.enc.Reset(c)
	return nil
}

// park waits until the client says something. When that takes long, it leaves the
// waiting to the lot.
func (s *session) park() {
	err := s.sock.wait()
	if errors.Is(err, os.ErrDeadlineExceeded) && s.ending.Load() == nil && time.Now().Before(s.until) {
		if s.tls != nil {
			lot.Shrink(s.tls)
		}
		if s.set.lot.Add(s, lot.Input, s.until) {
			if s.ending.Load() != nil && s.set.lot.Remove(s) { // see end
				s.finish(err)
			}
			return
		}
		if err = s.awaitWord(s.until); err == nil {
			err = s.sock.wait()
		}
	}
	s.mu.Lock()
	if err != nil {
		s.mu.Unlock()
		s.finish(err)
		return
	}
	s.run()
}

// Descriptor implements lot.Guest.
func (s *session) Descriptor() syscall.RawConn { return s.sock.raw }

// Seat implements lot.Guest.
func (s *session) Seat() *lot.Seat { return &s.seat }

// Stir goes on with a session that was in the lot, whatever for: it reads, and finds
// out.
func (s *session) Stir(lot.Why) {
	if err := s.awaitWord(s.until); err != nil {
		s.finish(err)
		return
	}
	s.park()
}

// awaitWord bounds the wait for the client; it fails if the session is to end.
func (s *session) awaitWord(until time.Time) error {
	if err := s.sock.SetReadDeadline(until); err != nil {
		return err
	}
	if s.ending.Load() != nil { // after the deadline was set: see end
		return os.ErrDeadlineExceeded
	}
	return nil
}

// run handles what the client said. It is called with mu held and gives it up.
func (s *session) run() {
	err := s.guarded(s.handleAll)
	if err == nil && !s.over {
		err = s.rest()
		if err == nil {
			s.mu.Unlock()
			go s.park()
			return
		}
	}
	s.mu.Unlock()
	s.finish(err)
}

// guarded calls f; a panic, which is our bug, ends this session and no other.
func (s *session) guarded(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.srv.Log.ErrorContext(s.ctx, "session panicked", "proto", "imap", "panic", p, "stack", string(debug.Stack()))
			err = errBug
		}
	}()
	return f()
}

var errBug = mail.Errorf(mail.Internal, "internal error")

// handleAll handles commands as long as there is input.
func (s *session) handleAll() error {
	for !s.over && s.ending.Load() == nil && s.inputPending() {
		if err := s.step(); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) inputPending() bool {
	return s.in.pending() || s.raw != nil && s.raw.pending() || s.sock.have
}

// idleNap is how long a client in IDLE may be silent before it is waited for together
// with others. When thousands sign in at once they do not all have a goroutine then.
const idleNap = 50 * time.Millisecond

// rest gives back what a client that waits does not need.
func (s *session) rest() error {
	if err := s.flush(); err != nil {
		return err
	}
	if s.sel != nil {
		s.sel.dropNext()
	}
	s.in.release()
	if s.raw != nil {
		s.raw.release()
	}
	s.until = s.deadline()
	patience := s.srv.limits.Nap
	if s.idling.Load() { // it said that it waits
		patience = min(patience, idleNap)
	}
	nap := time.Now().Add(patience)
	if nap.After(s.until) {
		nap = s.until
	}
	return s.awaitWord(nap)
}

func (s *session) deadline() time.Time {
	if s.state == notAuthenticated {
		return s.born.Add(s.srv.limits.LoginTime)
	}
	return time.Now().Add(s.srv.limits.Idle)
}

// end asks the session to end at once, from any goroutine.
func (s *session) end(reason string) {
	s.ending.CompareAndSwap(nil, &reason)
	if s.sock.end() {
		s.rouse()
	}
}

// leaving is why a session ends whose server does.
const leaving = "this server goes away, another is there"

// Leave implements lot.Leaver: the command under way is done first, and IDLE is none.
func (s *session) Leave() {
	reason := leaving
	if !s.ending.CompareAndSwap(nil, &reason) || s.busy.Load() {
		return // step said that it is busy before it looked, and handles nothing after this command
	}
	s.sock.SetReadDeadline(time.Unix(1, 0))
	s.rouse()
}

// rouse has a session look up that waits in the lot.
func (s *session) rouse() {
	if s.set.lot.Remove(s) {
		go s.Stir(lot.Late)
	}
}

// finish says goodbye where somebody may still listen, and cleans up.
func (s *session) finish(err error) {
	s.idling.Store(false)
	s.alert.Store(alertNever)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.goodbye(err)
	s.flush()
	s.leaveMailbox()
	s.leaveMetadata()
	s.leaveNotify()
	s.rememberAppends()
	if s.untrack != nil {
		s.untrack()
	}
	if s.tls != nil {
		s.tls.Close()
	}
	s.sock.Close()
	if s.user != nil {
		s.srv.Log.InfoContext(s.ctx, "session ended", "proto", "imap", "account", s.user.Account(), "device", s.user.Device().ID, "cmds", s.cmds)
	}
	s.srv.Metrics.SessionEnded(s.sock.received.Load(), s.sock.sent.Load())
	s.over = true
	s.srv.door.Leave(s.addr)
	s.srv.Farewell.Left(s)
	s.set.remove(s)
}

func (s *session) goodbye(err error) {
	var bad *wire.Error
	switch reason := s.ending.Load(); {
	case s.over:
	case reason != nil:
		s.enc.Status("", "BYE", "UNAVAILABLE", "Goodbye: "+*reason)
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.enc.Status("", "BYE", "", "Goodbye: too long without a word")
	case errors.As(err, &bad):
		s.enc.Error(bad)
	case errors.Is(err, errDeleted):
		s.enc.Status("", "BYE", "", "Goodbye: the selected mailbox was deleted")
	case errors.Is(err, errBlind):
		_, code, text := s.words(err)
		s.enc.Status("", "BYE", code, "Goodbye: "+text)
	case err == errBug:
		s.enc.Status("", "BYE", "SERVERBUG", "Goodbye: internal error")
	}
}

// flush writes out the lines, and says what the client now knows.
func (s *session) flush() error {
	err := s.enc.Flush()
	if err == nil {
		err = s.flushCompressed()
	}
	if err != nil {
		return hangup(err)
	}
	s.hearWritten()
	return nil
}

// hearWritten tells the hub that changes went out to the device.
func (s *session) hearWritten() {
	if s.wrote == 0 {
		return
	}
	s.srv.Hub.Wrote(notify.Written{Account: s.user.Account(), Device: s.user.Device().ID, Session: s.sock.RemoteAddr().String(), ModSeq: s.wrote, At: time.Now()})
	s.wrote = 0
}

// step handles one command, or the end of IDLE.
func (s *session) step() error {
	if !s.idling.Load() {
		s.busy.Store(true)
		defer s.busy.Store(false)
	}
	if err := s.awaitWord(s.deadline()); err != nil { // it was to wait for a nap only
		return err
	}
	if s.idling.Load() {
		return s.endIdle()
	}
	cmd, err := s.rd.ReadCommand()
	var bad *wire.Error
	if errors.As(err, &bad) && bad.Status != "BYE" {
		s.enc.Error(bad)
		s.srv.Metrics.Command("unknown", bad.Status, 0)
		return s.countBad()
	}
	if err != nil {
		return err
	}
	s.cmds++
	if s.state == notAuthenticated && int(s.cmds) > s.srv.limits.BeforeLogin {
		return &wire.Error{Status: "BYE", Code: "LIMIT", Text: "Goodbye: too many commands before login"}
	}
	return s.handle(cmd)
}

func (s *session) countBad() error {
	if s.bad++; int(s.bad) > s.srv.limits.BadCommands {
		return &wire.Error{Status: "BYE", Code: "LIMIT", Text: "Goodbye: too many bad commands"}
	}
	return s.enc.Err()
}
