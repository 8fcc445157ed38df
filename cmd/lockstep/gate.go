package main

import (
	"net"
	"sync"
)

// A gate is a listener that can be shut before its server ends: nobody comes in any
// more, and those who are in stay.
type gate struct {
	net.Listener
	shut, closed         chan struct{}
	shutOnce, closedOnce sync.Once
}

func newGate(l net.Listener) *gate {
	return &gate{Listener: l, shut: make(chan struct{}), closed: make(chan struct{})}
}

// Accept implements net.Listener. Once the gate is shut it waits for its server.
func (g *gate) Accept() (net.Conn, error) {
	c, err := g.Listener.Accept()
	select {
	case <-g.shut:
	default:
		return c, err
	}
	if err == nil {
		c.Close() // it came in the same moment
	}
	<-g.closed
	return nil, net.ErrClosed
}

// Shut gives the address up.
func (g *gate) Shut() {
	g.shutOnce.Do(func() {
		close(g.shut)
		g.Listener.Close()
	})
}

// Close implements net.Listener.
func (g *gate) Close() error {
	err := g.Listener.Close()
	g.closedOnce.Do(func() { close(g.closed) })
	return err
}
