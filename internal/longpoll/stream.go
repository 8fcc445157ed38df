package longpoll

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"syscall"
	"time"

	"lockstep/internal/lot"
)

// A Stream is a request whose answer goes on for as long as both sides like: events,
// or frames. Its connection leaves net/http as that of a Wait does, and is in the lot
// whenever there is nothing to do. What there is to do is done in turns, one at a
// time, each in a goroutine that begins and ends with it.
//
// Its fields are set before anything else is done with it.
type Stream struct {
	// Turn does what there is to do and returns until when there is nothing more, if
	// nobody wakes the stream. With io.EOF the answer is whole, and the connection
	// waits for the next request; with any other error it is closed.
	Turn func(Turn) (until time.Time, err error)
	// Over is called once, after the last turn, if the stream was held. What it holds
	// is given back there.
	Over func()
	// Reads says that what the client sends makes a turn. Such a turn reads all that
	// it has buffered.
	Reads bool

	sock    *socket
	conn    net.Conn
	pending []byte // was read of what comes after the request
	last    bool   // the connection ends with the stream

	mu      sync.Mutex
	todo    Turn
	until   time.Time
	running bool // a goroutine makes turns, or sees to it that they are made
	sitting bool // … and waits, as there is no lot
	ended   bool
}

// A Turn is why one is made; it can have several reasons.
type Turn struct {
	Woken    bool // Wake was called, or this is the first turn
	Due      bool // it is the time that the last turn said
	Came     bool // there is something to read, or the client hung up
	Stopping bool // the server stops, or sends people away: this is the last turn
}

var errGone = errors.New("the client hung up")

// Hold takes the request's connection, and reports whether it could be had; if so the
// handler returns, and touches neither of the two any more. The first turn writes
// the head of the answer.
func (s *Stream) Hold(rw http.ResponseWriter, r *http.Request) bool {
	sock, _ := r.Context().Value(socketKey{}).(*socket)
	if sock == nil || !sock.home.begin() {
		return false
	}
	s.last = r.Close || !r.ProtoAtLeast(1, 1) || !drained(r.Body)
	conn, buf, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		sock.home.running.Done()
		return false
	}
	s.mu.Lock()
	s.sock = sock
	s.conn, s.pending = split(conn)
	s.pending = slices.Concat(unread(buf.Reader), s.pending)
	s.todo.Woken, s.running = true, true
	s.todo.Came = s.Reads && (len(s.pending) > 0 || !s.shrink())
	s.mu.Unlock()
	sock.home.opt.Farewell.Enter(s)
	go s.run()
	return true
}

// shrink reports whether TLS holds nothing back, and has it hold no buffers.
func (s *Stream) shrink() bool {
	t, ok := s.conn.(*tls.Conn)
	return !ok || lot.Shrink(t)
}

// Read reads what the client sends, in a turn of a stream that Reads.
func (s *Stream) Read(b []byte) (int, error) {
	if len(s.pending) == 0 {
		return s.conn.Read(b)
	}
	n := copy(b, s.pending)
	if s.pending = s.pending[n:]; len(s.pending) == 0 {
		s.pending = nil
	}
	return n, nil
}

// SetReadDeadline bounds the reads of a turn.
func (s *Stream) SetReadDeadline(t time.Time) error { return s.conn.SetReadDeadline(t) }

// Write writes to the client, and does not take longer than a stall.
func (s *Stream) Write(b []byte) (int, error) { return s.conn.Write(b) }

// Leave implements lot.Leaver: the next turn is the last one.
func (s *Stream) Leave() { s.wake(Turn{Stopping: true}) }

// Wake has a turn made, from any goroutine and at any time. It does not block.
func (s *Stream) Wake() { s.wake(Turn{Woken: true}) }

func (s *Stream) wake(why Turn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.todo = s.todo.with(why)
	s.rouse()
}

func (t Turn) with(o Turn) Turn {
	return Turn{t.Woken || o.Woken, t.Due || o.Due, t.Came || o.Came, t.Stopping || o.Stopping}
}

// End closes the connection, from any goroutine and at any time: also one whose
// client does not read what a turn writes. It does not block.
func (s *Stream) End() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.ended = true
	if s.running {
		go s.sock.Close() // TLS would wait for who is writing
	}
	s.rouse()
}

// rouse sees to it that somebody makes the turns; mu is held.
func (s *Stream) rouse() {
	switch {
	case s.sock == nil: // not held yet, or never
	case s.sitting:
		_ = s.sock.SetReadDeadline(time.Unix(1, 0))
	case !s.running:
		s.running = true
		s.sock.home.lot.Remove(s)
		go s.run()
	}
}

// run makes turns until there is nothing to do.
func (s *Stream) run() {
	for {
		t, ok := s.next()
		if !ok {
			return
		}
		until, err := s.turn(t)
		if err != nil || t.Stopping {
			s.last = s.last || t.Stopping
			s.finish(err)
			return
		}
		s.mu.Lock()
		s.until = until
		s.mu.Unlock()
	}
}

// next takes what there is to do. With nothing the stream goes into the lot, and
// whatever wakes it there makes another goroutine.
func (s *Stream) next() (Turn, bool) {
	for {
		s.mu.Lock()
		if s.ended {
			s.mu.Unlock()
			return Turn{Stopping: true}, true
		}
		if s.sock.home.stopping() {
			s.todo.Stopping = true
		}
		if t := s.todo; t != (Turn{}) {
			s.todo = Turn{}
			s.mu.Unlock()
			return t, true
		}
		if s.park() {
			s.running = false
			s.mu.Unlock()
			return Turn{}, false
		}
		if s.todo != (Turn{}) {
			s.mu.Unlock()
			continue
		}
		s.sitting = true
		_ = s.sock.SetReadDeadline(s.until)
		s.mu.Unlock()
		s.sit()
	}
}

// park reports whether the stream is in the lot; mu is held.
func (s *Stream) park() bool {
	if s.sock.raw == nil { // nothing that a lot could watch
		return false
	}
	if !s.shrink() && s.Reads {
		s.todo.Came = true
		return false
	}
	l, what := s.sock.home, lot.End
	if s.Reads {
		what = lot.Input
	}
	if !l.lot.Add(s, what, s.until) {
		return false
	}
	// It may have come into the lot after all were told.
	if l.stopping() && l.lot.Remove(s) {
		s.todo.Stopping = true
		return false
	}
	return true
}

// Descriptor implements lot.Guest.
func (s *Stream) Descriptor() syscall.RawConn { return s.sock.raw }

// Seat implements lot.Guest.
func (s *Stream) Seat() *lot.Seat { return &s.sock.seat }

// Stir implements lot.Guest.
func (s *Stream) Stir(why lot.Why) {
	switch {
	case why == lot.Late:
		s.wake(Turn{Due: true})
	case why == lot.Closed:
		s.wake(Turn{Stopping: true})
	case s.Reads:
		s.wake(Turn{Came: true})
	default:
		s.End()
	}
}

func (s *Stream) setEnded(ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = s.ended || ended
}

// sit does in this goroutine what the lot does, where there is none: it waits until
// there is something to read, until it is time, or until somebody wakes the stream.
// Who sends although nothing is to be read is taken for gone.
func (s *Stream) sit() {
	over := make(chan struct{})
	go func() {
		select {
		case <-s.sock.home.stop:
			s.wake(Turn{Stopping: true})
		case <-over:
		}
	}()
	var first [1]byte
	n, err := s.conn.Read(first[:])
	close(over)
	s.mu.Lock()
	s.sitting = false
	_ = s.sock.SetReadDeadline(time.Time{})
	s.pending = append(s.pending, first[:n]...)
	s.todo = s.todo.with(Turn{Came: n > 0, Due: !time.Now().Before(s.until)})
	s.mu.Unlock()
	if n > 0 && !s.Reads || err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		s.End()
	}
}

// turn makes one turn. A panic, which is our bug, ends this connection and no other.
func (s *Stream) turn(t Turn) (until time.Time, err error) {
	s.mu.Lock()
	ended := s.ended
	s.mu.Unlock()
	if ended {
		return until, errGone
	}
	defer func() {
		if p := recover(); p != nil {
			s.sock.home.opt.Log.Error("turn panicked", "proto", "http", "panic", p, "stack", string(debug.Stack()))
			err = errors.New("a panic")
		}
	}()
	return s.Turn(t)
}

// finish gives back what the stream held, and lets the connection go on if it can.
func (s *Stream) finish(err error) {
	l := s.sock.home
	defer l.running.Done()
	defer l.opt.Farewell.Left(s)
	goesOn := err == io.EOF && !s.last && !s.Reads
	s.setEnded(goesOn) // who ends it from here on must not end the next request
	s.Over()
	s.setEnded(true)
	if !goesOn || l.stopping() {
		s.conn.Close()
		return
	}
	l.keep(s.conn, s.sock, s.pending)
}
