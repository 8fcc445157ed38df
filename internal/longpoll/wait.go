package longpoll

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"sync"
	"syscall"
	"time"

	"lockstep/internal/lot"
)

// Why a wait is over.
type Why uint8

// Why a wait is over.
const (
	Ended    Why = iota // End was called
	Late                // it was to last until then
	Gone                // the client hung up: nobody hears the answer
	Stopping            // the server stops
)

// A Wait is a request that waits for its answer. Its fields are set before anything
// else is done with it. It is held, also when it was ended before.
type Wait struct {
	Until time.Time
	// Over is called once, when the wait is over, and answers. What the request held
	// has to be given back there.
	Over func(Why, http.ResponseWriter)

	sock    *socket
	conn    net.Conn
	pending []byte // was read of what comes after the request
	last    bool   // the connection ends with the answer

	mu   sync.Mutex
	over bool
	why  Why
	held bool          // whoever ends it finishes it
	done chan struct{} // closed when it is over; nil unless a goroutine waits for that
}

// End ends the wait, from any goroutine and at any time. It does not block.
func (w *Wait) End() { w.endBy(Ended) }

// Finish is End for a goroutine that has nothing else to do: it may write the answer.
func (w *Wait) Finish() {
	if w.end(Ended) {
		w.finish()
	}
}

// Leave implements lot.Leaver: the answer says to ask again, and the connection ends
// with it, so that the next request may come to another server.
func (w *Wait) Leave() { w.endBy(Stopping) }

func (w *Wait) endBy(why Why) {
	if w.end(why) {
		go w.finish()
	}
}

// end ends the wait, and reports whether it is the caller's to finish it.
func (w *Wait) end(why Why) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return false
	}
	w.over, w.why = true, why
	if w.done != nil {
		close(w.done)
	}
	return w.held
}

// Hold answers the request when the wait is over. The handler returns right after
// it, and touches neither of the two any more.
func (w *Wait) Hold(rw http.ResponseWriter, r *http.Request) {
	s, _ := r.Context().Value(socketKey{}).(*socket)
	w.last = r.Close || !r.ProtoAtLeast(1, 1) || !drained(r.Body)
	if s == nil || !s.home.begin() {
		w.stay(rw, r, s)
		return
	}
	s.home.opt.Farewell.Enter(w)
	if !w.park(rw, s) {
		defer s.home.running.Done()
		defer s.home.opt.Farewell.Left(w)
		w.stay(rw, r, s)
	}
}

// maxRest is how much of a body that the handler did not want is read, so that the
// connection can be kept.
const maxRest = 256 << 10

// drained reads what is left of a body, if it is not much.
func drained(body io.Reader) bool {
	_, err := io.CopyN(io.Discard, body, maxRest+1)
	return err == io.EOF
}

// park gives the wait a place in the lot, and reports whether that could be done.
func (w *Wait) park(rw http.ResponseWriter, s *socket) bool {
	w.sock = s
	if !s.home.lot.Add(w, lot.End, w.Until) {
		return false
	}
	conn, buf, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		s.home.lot.Remove(w) // or it was stirred, and is over
		return false
	}
	w.conn, w.pending = split(conn)
	w.pending = slices.Concat(unread(buf.Reader), w.pending)
	if t, ok := w.conn.(*tls.Conn); ok {
		lot.Shrink(t)
	}
	w.mu.Lock()
	w.held = true
	over := w.over
	w.mu.Unlock()
	switch {
	case over:
		w.finish()
	case s.home.stopping(): // it may have come into the lot after all were told
		w.endBy(Stopping)
	}
	return true
}

// unread is what a reader holds.
func unread(r *bufio.Reader) []byte {
	b, _ := r.Peek(r.Buffered())
	return slices.Clone(b)
}

// Descriptor implements lot.Guest.
func (w *Wait) Descriptor() syscall.RawConn { return w.sock.raw }

// Seat implements lot.Guest.
func (w *Wait) Seat() *lot.Seat { return &w.sock.seat }

// Stir implements lot.Guest.
func (w *Wait) Stir(why lot.Why) {
	w.endBy(map[lot.Why]Why{lot.Came: Gone, lot.Late: Late, lot.Closed: Stopping}[why])
}

// finish answers and lets the connection go on.
func (w *Wait) finish() {
	l := w.sock.home
	defer l.running.Done()
	defer l.opt.Farewell.Left(w)
	l.lot.Remove(w)
	last := w.last || w.why == Stopping || l.stopping() || l.opt.Farewell.Telling()
	var to io.Writer = w.conn
	if w.why == Gone {
		to = io.Discard
	}
	a := newAnswer(to, last)
	if !w.answer(a) || a.end() != nil || last || w.why == Gone {
		w.conn.Close()
		return
	}
	l.keep(w.conn, w.sock, w.pending)
}

// answer has the request answered. A panic, which is our bug, ends this connection
// and no other.
func (w *Wait) answer(rw http.ResponseWriter) (ok bool) {
	defer func() {
		if p := recover(); p != nil {
			w.sock.home.opt.Log.Error("answer panicked", "proto", "http", "panic", p, "stack", string(debug.Stack()))
			ok = false
		}
	}()
	w.Over(w.why, rw)
	return true
}

// stay waits in the handler's goroutine: where there is no lot, or the connection
// can't be had.
func (w *Wait) stay(rw http.ResponseWriter, r *http.Request, s *socket) {
	var stop chan struct{}
	if s != nil {
		stop = s.home.stop
	}
	w.mu.Lock()
	w.done = make(chan struct{})
	if w.over {
		close(w.done)
	}
	w.mu.Unlock()
	late := time.NewTimer(time.Until(w.Until))
	defer late.Stop()
	select {
	case <-w.done:
	case <-late.C:
		w.endBy(Late)
	case <-r.Context().Done():
		w.endBy(Gone)
	case <-stop:
		w.endBy(Stopping)
	}
	if w.why == Stopping {
		rw.Header().Set("Connection", "close")
	}
	w.Over(w.why, rw)
}
