package longpoll

import (
	"context"
	"crypto/tls"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"lockstep/internal/lot"
)

// socket is the connection below TLS.
type socket struct {
	net.Conn
	home    *Listener
	raw     syscall.RawConn // nil if this is no descriptor: a pipe
	seat    lot.Seat
	secure  bool // with TLS on top
	records lot.Records
	left    atomic.Bool
	leave   func()
}

func newSocket(l *Listener, c net.Conn, leave func()) *socket {
	s := &socket{Conn: c, home: l, leave: leave}
	if sc, ok := c.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			s.raw = raw
		}
	}
	return s
}

// Read implements net.Conn.
func (s *socket) Read(b []byte) (int, error) {
	if !s.secure || len(b) == 0 {
		return s.Conn.Read(b)
	}
	n, err := s.Conn.Read(b[:min(len(b), s.records.Most())])
	s.records.Passed(b[:n])
	return n, err
}

// lastWords is how long a client may take to hear that the server stops.
const lastWords = 5 * time.Second

// Write implements net.Conn. No write lasts longer than a stall.
func (s *socket) Write(b []byte) (int, error) {
	patience := s.home.opt.Stall
	if s.home.stopping() {
		patience = min(patience, lastWords)
	}
	if err := s.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	return s.Conn.Write(b)
}

// CloseWrite says that nothing more will come.
func (s *socket) CloseWrite() error {
	if c, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}

// Close implements net.Conn.
func (s *socket) Close() error {
	if s.left.CompareAndSwap(false, true) {
		s.leave()
	}
	return s.Conn.Close()
}

// resumed is a connection of which more was read than its last request.
type resumed struct {
	net.Conn
	read []byte
}

// Read implements net.Conn.
func (r *resumed) Read(b []byte) (int, error) {
	if len(r.read) == 0 {
		return r.Conn.Read(b)
	}
	n := copy(b, r.read)
	r.read = r.read[n:]
	return n, nil
}

// resumedTLS is resumed, and tells net/http of its TLS.
type resumedTLS struct {
	*resumed
	secure *tls.Conn
}

// ConnectionState is that of the TLS connection.
func (r resumedTLS) ConnectionState() tls.ConnectionState { return r.secure.ConnectionState() }

// resume returns c as a connection whose next bytes were read already.
func resume(c net.Conn, read []byte) net.Conn {
	if len(read) == 0 {
		return c
	}
	r := &resumed{c, read}
	if t, ok := c.(*tls.Conn); ok {
		return resumedTLS{r, t}
	}
	return r
}

// split undoes resume.
func split(c net.Conn) (net.Conn, []byte) {
	switch r := c.(type) {
	case *resumed:
		return r.Conn, r.read
	case resumedTLS:
		return r.Conn, r.read
	}
	return c, nil
}

// socketKey is where a request's context has its socket.
type socketKey struct{}

// withSocket is a server's ConnContext.
func withSocket(ctx context.Context, c net.Conn) context.Context {
	c, _ = split(c)
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if s, ok := c.(*socket); ok {
		return context.WithValue(ctx, socketKey{}, s)
	}
	return ctx
}
