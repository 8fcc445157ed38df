package longpoll

import (
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"lockstep/internal/lot"
	"lockstep/internal/mail"
)

// Options are what a Listener is made with; each may be zero.
type Options struct {
	TLS *tls.Config // nil is without
	Log *slog.Logger

	// Enter is asked whether a connection may come in; leave is called when it is
	// closed. Nil lets everybody in.
	Enter func(netip.Addr) (leave func(), ok bool)

	Waiting  *atomic.Int64 // how many connections are in the lot
	Idle     time.Duration // between an answer that was waited for and the next request; 5 min
	Stall    time.Duration // that a write may take; 2 min
	Lateness time.Duration // by which a wait may last longer than it should; 1 s
	Spread   time.Duration // within which all who wait are answered when the server stops; 5 s

	Farewell *lot.Farewell // sends those who wait away before that; may be nil
}

func (o Options) orDefault() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Waiting == nil {
		o.Waiting = new(atomic.Int64)
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&o.Idle, 5 * time.Minute}, {&o.Stall, 2 * time.Minute}, {&o.Lateness, time.Second}, {&o.Spread, 5 * time.Second}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	return o
}

// A Listener yields new connections, and those whose wait is over when their next
// request comes.
type Listener struct {
	inner  net.Listener
	opt    Options
	lot    *lot.Lot
	come   chan arrival
	closed chan struct{} // nobody is accepted any more
	close  func() error
	accept sync.WaitGroup

	mu      sync.Mutex
	stopped bool           // nobody may begin to wait; set before stop is closed
	stop    chan struct{}  // who waits is to be answered
	running sync.WaitGroup // requests that wait, and those whose answers are written
}

// arrival is what Accept returns.
type arrival struct {
	c   net.Conn
	err error
}

// Listen returns a Listener on l, which it owns from now on. Serve it with Serve.
func Listen(l net.Listener, o Options) *Listener {
	o = o.orDefault()
	r := &Listener{inner: l, opt: o, lot: lot.Open(o.Lateness, o.Waiting), come: make(chan arrival), closed: make(chan struct{}), stop: make(chan struct{})}
	r.close = sync.OnceValue(func() error {
		close(r.closed)
		err := l.Close()
		r.accept.Wait()
		return err
	})
	r.accept.Go(r.acceptAll)
	return r
}

// Addr implements net.Listener.
func (l *Listener) Addr() net.Addr { return l.inner.Addr() }

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case a := <-l.come:
		return a.c, a.err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. Who waits goes on waiting: see Serve.
func (l *Listener) Close() error { return l.close() }

// acceptAll lets connections in until the listener is closed.
func (l *Listener) acceptAll() {
	for {
		c, err := l.inner.Accept()
		if err == nil {
			if c = l.admit(c); c == nil {
				continue
			}
		}
		if !l.give(arrival{c, err}) {
			return
		}
	}
}

// give has Accept return; false if it no longer does.
func (l *Listener) give(a arrival) bool {
	select {
	case l.come <- a:
		return true
	case <-l.closed:
		if a.c != nil {
			a.c.Close()
		}
		return false
	}
}

// keepAlive is how often a silent peer is asked whether it is still there, and how
// often in vain before it is given up.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 30 * time.Second, Count: 3}

// admit makes a connection one of ours; nil if it may not come in.
func (l *Listener) admit(c net.Conn) net.Conn {
	leave := func() {}
	if l.opt.Enter != nil {
		var ok bool
		if leave, ok = l.opt.Enter(mail.AddrOf(c)); !ok {
			c.Close()
			return nil
		}
	}
	if tc, ok := c.(interface {
		SetKeepAliveConfig(net.KeepAliveConfig) error
	}); ok {
		_ = tc.SetKeepAliveConfig(keepAlive) // without, a dead peer is noticed when it is written to
	}
	s := newSocket(l, c, leave)
	if l.opt.TLS == nil {
		return s
	}
	s.secure = true
	return tls.Server(s, l.opt.TLS)
}

// begin lets a request wait, unless the server stops.
func (l *Listener) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return false
	}
	l.running.Add(1)
	return true
}

func (l *Listener) stopping() bool {
	select {
	case <-l.stop:
		return true
	default:
		return false
	}
}

// drain answers all who wait, one after the other so that they do not all ask
// again at once, and returns when that is done.
func (l *Listener) drain() {
	l.mu.Lock()
	l.stopped = true
	close(l.stop)
	l.mu.Unlock()
	guests := l.lot.Guests()
	pause := min(time.Millisecond, l.opt.Spread/time.Duration(max(len(guests), 1)))
	for _, g := range guests {
		if !l.lot.Remove(g) {
			continue
		}
		l.running.Go(func() { g.Stir(lot.Closed) })
		if _, silent := g.(*idle); !silent {
			time.Sleep(pause)
		}
	}
	l.running.Wait()
	l.lot.Close()
}
