package longpoll

import (
	"net"
	"syscall"
	"time"

	"lockstep/internal/lot"
)

// idle is a connection between an answer and the next request.
type idle struct {
	conn net.Conn
	sock *socket
}

// keep has a connection come to Accept with its next request.
func (l *Listener) keep(c net.Conn, s *socket, read []byte) {
	i := &idle{c, s}
	if len(read) > 0 || !l.lot.Add(i, lot.Input, time.Now().Add(l.opt.Idle)) {
		l.give(arrival{c: resume(c, read)})
		return
	}
	if l.stopping() && l.lot.Remove(i) { // it came into the lot after all were told
		c.Close()
	}
}

// Descriptor implements lot.Guest.
func (i *idle) Descriptor() syscall.RawConn { return i.sock.raw }

// Seat implements lot.Guest.
func (i *idle) Seat() *lot.Seat { return &i.sock.seat }

// Stir implements lot.Guest.
func (i *idle) Stir(why lot.Why) {
	if why != lot.Came {
		i.conn.Close()
		return
	}
	i.sock.home.give(arrival{c: i.conn})
}
