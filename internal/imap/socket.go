package imap

import (
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"lockstep/internal/lot"
)

// socket is the connection below TLS. It can wait until there is something to
// read without holding a buffer. It is read by one goroutine at a time.
type socket struct {
	net.Conn
	raw   syscall.RawConn // nil if this is no descriptor: a pipe
	first [1]byte         // what the wait came back with
	have  bool            // first is to be read yet
	stall time.Duration   // that a write may take

	received, sent atomic.Int64
	hurry          atomic.Bool // the session is to end: a write has lastWords only

	// Below TLS no Read goes past the end of a record. Nil without TLS.
	records *lot.Records
}

func newSocket(c net.Conn, stall time.Duration) *socket {
	s := &socket{Conn: c, stall: stall}
	if sc, ok := c.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			s.raw = raw
		}
	}
	return s
}

// wait returns when there is something to read, or with the error that a read
// would have given.
func (s *socket) wait() error {
	if s.have {
		return nil
	}
	n, err := s.readFirst()
	if n > 0 {
		s.have = true
		return nil
	}
	return err
}

func (s *socket) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if s.records != nil {
		b = b[:min(len(b), s.records.Most())]
	}
	n, err := s.read(b)
	if s.records != nil {
		s.records.Passed(b[:n])
	}
	s.received.Add(int64(n))
	return n, err
}

func (s *socket) read(b []byte) (int, error) {
	if !s.have {
		return s.Conn.Read(b)
	}
	s.have = false
	b[0] = s.first[0]
	return 1 + s.readNow(b[1:]), nil
}

// lastWords is how long a client that is to go may take to hear it.
const lastWords = 5 * time.Second

// end lets nobody wait long for this connection any more. It is false if that was said
// before.
func (s *socket) end() bool {
	if !s.hurry.CompareAndSwap(false, true) {
		return false
	}
	s.SetReadDeadline(time.Unix(1, 0))
	s.SetWriteDeadline(time.Now().Add(lastWords))
	return true
}

func (s *socket) Write(b []byte) (int, error) {
	patience := s.stall
	if s.hurry.Load() {
		patience = min(patience, lastWords)
	}
	if err := s.Conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	n, err := s.Conn.Write(b)
	s.sent.Add(int64(n))
	return n, err
}
