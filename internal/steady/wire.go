package steady

import (
	"net"
	"sync"
)

// A Wire is a listener whose connections are in memory, as if from this machine. In a
// bubble of testing/synctest a test of what a server does in time is about the server's
// clock, and not about how fast this machine is.
type Wire struct {
	came chan net.Conn
	end  chan struct{}
	once sync.Once
}

// NewWire makes a listener.
func NewWire() *Wire { return &Wire{came: make(chan net.Conn), end: make(chan struct{})} }

// Dial makes a connection, or fails when the listener is closed. Writes wait until they
// are read.
func (w *Wire) Dial() (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case w.came <- local{theirs}:
		return ours, nil
	case <-w.end:
		return nil, net.ErrClosed
	}
}

// Accept implements net.Listener.
func (w *Wire) Accept() (net.Conn, error) {
	select {
	case c := <-w.came:
		return c, nil
	case <-w.end:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. Connections stay.
func (w *Wire) Close() error {
	w.once.Do(func() { close(w.end) })
	return nil
}

// Addr implements net.Listener.
func (w *Wire) Addr() net.Addr { return loopback() }

func loopback() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// local is a connection of this machine.
type local struct{ net.Conn }

func (local) LocalAddr() net.Addr  { return loopback() }
func (local) RemoteAddr() net.Addr { return loopback() }
