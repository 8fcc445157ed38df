package sim

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Network is a network in memory. Bytes take Latency to arrive, connections break
// where they are told to, and all of them at once when a server dies.
type Network struct {
	// Latency is how long bytes are on their way.
	Latency time.Duration
	// Garble, if set, changes what servers say, line by line: a fault that devices
	// have to notice. It returns the lines that arrive instead. It is not asked about
	// services that do not speak in lines.
	Garble func(service, line string) []string
	// Lineless are those services.
	Lineless map[string]bool

	mu    sync.Mutex
	doors map[string]*door
	lines map[*line]struct{}
}

var errRefused = errors.New("connection refused")

// Listen opens a service, in the place of who had it.
func (n *Network) Listen(service string) net.Listener {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.doors == nil {
		n.doors, n.lines = map[string]*door{}, map[*line]struct{}{}
	}
	d := &door{arrived: make(chan net.Conn, 16), closed: make(chan struct{})}
	n.doors[service] = d
	return d
}

// Dial connects to a service.
func (n *Network) Dial(service string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	d := n.doors[service]
	if d == nil {
		return nil, errRefused
	}
	up, down := newPipe(n.Latency), newPipe(n.Latency)
	if n.Garble != nil && !n.Lineless[service] {
		down.garble = func(line string) []string { return n.Garble(service, line) }
	}
	l := &line{up: up, down: down}
	select {
	case <-d.closed:
		return nil, errRefused
	case d.arrived <- &end{in: up, out: down}:
	default:
		return nil, errRefused
	}
	n.lines[l] = struct{}{}
	return &clientEnd{end{in: down, out: up}, l, n}, nil
}

// CutAll breaks every connection and refuses new ones until services are opened
// again: the server is gone.
func (n *Network) CutAll() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.doors = map[string]*door{}
	for l := range n.lines {
		l.cut()
	}
	n.lines = map[*line]struct{}{}
}

func (n *Network) forget(l *line) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.lines, l)
}

// line is a connection seen from above.
type line struct{ up, down *pipe }

func (l *line) cut() {
	l.up.cut()
	l.down.cut()
}

// clientEnd is the end that a device holds.
type clientEnd struct {
	end
	line *line
	net  *Network
}

// Close hangs up.
func (c *clientEnd) Close() error {
	c.net.forget(c.line)
	return c.end.Close()
}

// CutAfter lets the connection break when the server has heard, or said, so many
// bytes more.
func (c *clientEnd) CutAfter(heard, said int) {
	c.line.up.cutAfter(heard, c.line)
	c.line.down.cutAfter(said, c.line)
}

// Waiting reports whether something has arrived that nobody has read.
func (c *clientEnd) Waiting() bool { return c.in.waiting() }

// door is a net.Listener.
type door struct {
	arrived chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func (d *door) Accept() (net.Conn, error) {
	select {
	case c := <-d.arrived:
		return c, nil
	case <-d.closed:
		return nil, net.ErrClosed
	}
}

func (d *door) Close() error {
	d.once.Do(func() { close(d.closed) })
	return nil
}

func (d *door) Addr() net.Addr { return address }

// address is everybody's.
var address = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}

// end is one end of a connection.
type end struct{ in, out *pipe }

func (e *end) Read(b []byte) (int, error)  { return e.in.read(b) }
func (e *end) Write(b []byte) (int, error) { return e.out.write(b) }
func (e *end) LocalAddr() net.Addr         { return address }
func (e *end) RemoteAddr() net.Addr        { return address }

// Close hangs up; what was written still arrives.
func (e *end) Close() error {
	e.out.finish()
	e.in.cut()
	return nil
}

// SetDeadline is both of the below.
func (e *end) SetDeadline(t time.Time) error {
	e.SetReadDeadline(t)
	return e.SetWriteDeadline(t)
}

// SetReadDeadline ends a Read that waits.
func (e *end) SetReadDeadline(t time.Time) error {
	e.in.setDeadline(t)
	return nil
}

// SetWriteDeadline changes nothing: a write never waits.
func (e *end) SetWriteDeadline(time.Time) error { return nil }

// pipe carries bytes one way.
type pipe struct {
	latency time.Duration
	garble  func(string) []string
	partial []byte // of a line to garble

	mu       sync.Mutex
	changed  *sync.Cond
	parcels  []parcel
	over     error // after the parcels
	deadline time.Time
	alarm    *time.Timer
	budget   int // bytes until it breaks; -1 is never
	line     *line
}

type parcel struct {
	at   time.Time
	data []byte
}

func newPipe(latency time.Duration) *pipe {
	p := &pipe{latency: latency, budget: -1}
	p.changed = sync.NewCond(&p.mu)
	return p
}

func (p *pipe) write(b []byte) (int, error) {
	p.mu.Lock()
	if p.over != nil {
		p.mu.Unlock()
		return 0, io.ErrClosedPipe
	}
	data := p.garbled(b)
	broken := p.budget >= 0 && len(data) >= p.budget
	if broken {
		data = data[:p.budget]
	} else if p.budget >= 0 {
		p.budget -= len(data)
	}
	if len(data) > 0 {
		p.parcels = append(p.parcels, parcel{time.Now().Add(p.latency), data})
		p.changed.Broadcast()
	}
	l := p.line
	if broken {
		p.over = io.ErrUnexpectedEOF
	}
	p.mu.Unlock()
	if broken {
		other := l.up
		if other == p {
			other = l.down
		}
		other.cut()
		return 0, io.ErrClosedPipe
	}
	return len(b), nil
}

// garbled is what arrives of b: whole lines as Garble makes them.
func (p *pipe) garbled(b []byte) []byte {
	if p.garble == nil {
		return append([]byte{}, b...)
	}
	p.partial = append(p.partial, b...)
	var out []byte
	for {
		i := indexLine(p.partial)
		if i < 0 {
			return out
		}
		for _, l := range p.garble(string(p.partial[:i])) {
			out = append(append(out, l...), "\r\n"...)
		}
		p.partial = p.partial[i+2:]
	}
}

func indexLine(b []byte) int {
	for i := range len(b) - 1 {
		if b[i] == '\r' && b[i+1] == '\n' {
			return i
		}
	}
	return -1
}

func (p *pipe) read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		now := time.Now()
		if !p.deadline.IsZero() && !now.Before(p.deadline) {
			return 0, os.ErrDeadlineExceeded
		}
		if len(p.parcels) > 0 && !p.parcels[0].at.After(now) {
			n := copy(b, p.parcels[0].data)
			if p.parcels[0].data = p.parcels[0].data[n:]; len(p.parcels[0].data) == 0 {
				p.parcels = p.parcels[1:]
			}
			return n, nil
		}
		if len(p.parcels) == 0 && p.over != nil {
			return 0, p.over
		}
		p.setAlarm(now)
		p.changed.Wait()
	}
}

// setAlarm wakes the reader when something is due.
func (p *pipe) setAlarm(now time.Time) {
	var at time.Time
	if len(p.parcels) > 0 {
		at = p.parcels[0].at
	}
	if !p.deadline.IsZero() && (at.IsZero() || p.deadline.Before(at)) {
		at = p.deadline
	}
	if at.IsZero() {
		return
	}
	if p.alarm != nil {
		p.alarm.Stop()
	}
	p.alarm = time.AfterFunc(at.Sub(now), func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.changed.Broadcast()
	})
}

func (p *pipe) waiting() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.parcels) > 0 || p.over != nil
}

func (p *pipe) setDeadline(t time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deadline = t
	p.changed.Broadcast()
}

// finish ends the pipe after what is in it.
func (p *pipe) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over == nil {
		p.over = io.EOF
	}
	p.changed.Broadcast()
}

// cut ends the pipe where it is.
func (p *pipe) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.parcels, p.over = nil, io.ErrUnexpectedEOF
	p.changed.Broadcast()
}

func (p *pipe) cutAfter(n int, l *line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.budget, p.line = n, l
}
