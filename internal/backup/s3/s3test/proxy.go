package s3test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A Fault is what becomes of a connection.
type Fault int

// What may become of a connection, at a byte that chance chooses.
const (
	None        Fault = iota
	CutRequest        // what is sent ends
	CutAnswer         // what is answered ends
	ResetAnswer       // it ends by a reset
	StallSent         // what is sent goes nowhere, and nobody says so
	StallAnswer       // so does what is answered
	SlowDown          // the request is answered by a 503 and not passed on
	Broken            // it is passed on, and its answer is replaced by a 500
	numFaults
)

// Faults are all that may be.
var Faults = []Fault{CutRequest, CutAnswer, ResetAnswer, StallSent, StallAnswer, SlowDown, Broken}

func (f Fault) String() string {
	return [...]string{"none", "cut request", "cut answer", "reset answer", "stalled request", "stalled answer", "503", "500"}[f]
}

// Proxy passes connections on to a server, and harms some of them.
type Proxy struct {
	Address string

	to     string
	listen net.Listener
	all    sync.WaitGroup

	mu     sync.Mutex
	rng    *rand.Rand
	rate   float64 // of the connections that are harmed
	span   int64   // faults happen before so many bytes
	faults []Fault
	seen   [numFaults]atomic.Int64
	live   map[net.Conn]bool // of clients, until the server has ended what they asked
	asked  map[net.Conn]bool // to the server
	others *sync.Cond        // are in live now
	shut   bool
	hold   *Hold // nil: everything passes
}

// NewProxy starts a proxy before a server. It harms nothing until Harm is called,
// and ends with the test.
func NewProxy(t testing.TB, to string, seed uint64) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Address: l.Addr().String(), to: to, listen: l, rng: rand.New(rand.NewPCG(seed, 1)), live: map[net.Conn]bool{}, asked: map[net.Conn]bool{}}
	p.others = sync.NewCond(&p.mu)
	p.all.Go(p.serve)
	t.Cleanup(p.close)
	return p
}

// Endpoint is the URL by which the server is reached through the proxy.
func (p *Proxy) Endpoint() string { return "http://" + p.Address }

// Harm says which part of new connections is harmed, before how many bytes, and how; no
// faults are all. Those that are there are cut.
func (p *Proxy) Harm(rate float64, span int64, faults ...Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rate, p.span, p.faults = rate, span, faults
	if len(faults) == 0 {
		p.faults = Faults
	}
	p.cut()
}

// cut ends what clients have; guarded by mu.
func (p *Proxy) cut() {
	for c := range p.live {
		c.Close()
	}
}

// Quiet cuts all connections and waits until the server has ended every request that
// was passed on, also those that clients have given up: none comes late after that.
func (p *Proxy) Quiet(t testing.TB) {
	t.Helper()
	last, err := net.Dial("tcp", p.Address) // those that nobody has accepted yet come before it
	if err != nil {
		t.Fatal(err)
	}
	defer last.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.accepted(last) {
		p.others.Wait()
	}
	p.cut()
	for len(p.live) > 0 {
		p.others.Wait()
	}
}

// accepted tells whether the connection of a client that asks nothing is there; guarded
// by mu.
func (p *Proxy) accepted(client net.Conn) bool {
	for c := range p.live {
		if c.RemoteAddr().String() == client.LocalAddr().String() {
			return true
		}
	}
	return p.shut
}

// A Hold stops what a proxy passes on.
type Hold struct {
	p        *Proxy
	left     int64         // that are passed before; guarded by the proxy's mu
	held     chan struct{} // closed when it has come to that
	released chan struct{}
}

// HoldAfter lets so many more bytes pass, in both directions together, and holds what
// comes then.
func (p *Proxy) HoldAfter(n int64) *Hold {
	h := &Hold{p: p, left: n, held: make(chan struct{}), released: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hold = h
	return h
}

// Wait waits until something is held.
func (h *Hold) Wait(t testing.TB) {
	t.Helper()
	select {
	case <-h.held:
	case <-time.After(patience):
		t.Fatal("the bytes after which the network is to stop did not come")
	}
}

// Release lets all pass again.
func (h *Hold) Release() {
	h.p.mu.Lock()
	defer h.p.mu.Unlock()
	if h.p.hold == h { // else the proxy has ended
		close(h.released)
		h.p.hold = nil
	}
}

// gated reads what may be passed on.
type gated struct {
	io.Reader
	p *Proxy
}

func (g gated) Read(b []byte) (int, error) {
	n, err := g.Reader.Read(b)
	if released := g.p.passing(int64(n)); released != nil {
		<-released
	}
	return n, err
}

// passing counts bytes; it returns what they have to wait for.
func (p *Proxy) passing(n int64) (released chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.hold
	if h == nil {
		return nil
	}
	if h.left -= n; h.left > 0 {
		return nil
	}
	select {
	case <-h.held:
	default:
		close(h.held)
	}
	return h.released
}

// Harmed counts what happened.
func (p *Proxy) Harmed() map[string]int64 {
	counts := map[string]int64{}
	for f := range numFaults {
		counts[f.String()] = p.seen[f].Load()
	}
	return counts
}

func (p *Proxy) close() {
	p.listen.Close()
	p.mu.Lock()
	p.shut = true
	if p.hold != nil {
		close(p.hold.released)
		p.hold = nil
	}
	p.cut()
	for s := range p.asked {
		s.Close()
	}
	p.mu.Unlock()
	p.all.Wait()
}

// keep lets close end a connection; it says whether there is time left for it.
func (p *Proxy) keep(all map[net.Conn]bool, c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.shut {
		all[c] = true
	}
	p.others.Broadcast()
	return !p.shut
}

func (p *Proxy) drop(all map[net.Conn]bool, c net.Conn) {
	c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(all, c)
	p.others.Broadcast()
}

func (p *Proxy) serve() {
	for {
		c, err := p.listen.Accept()
		if err != nil {
			return
		}
		if !p.keep(p.live, c) {
			c.Close()
			return
		}
		p.all.Go(func() {
			defer p.drop(p.live, c)
			p.pass(c.(*net.TCPConn))
		})
	}
}

// fate chooses what becomes of a connection, and after how many bytes. Small numbers
// are as likely as large ones: heads of requests are short.
func (p *Proxy) fate() (Fault, int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rng.Float64() >= p.rate {
		return None, 0
	}
	after := p.span
	for range p.rng.IntN(20) {
		after /= 2
	}
	return p.faults[p.rng.IntN(len(p.faults))], p.rng.Int64N(after + 1)
}

// pass passes on what a client asks, once it has asked something.
func (p *Proxy) pass(c *net.TCPConn) {
	in := bufio.NewReader(c)
	if _, err := in.Peek(1); err != nil {
		return
	}
	fault, after := p.fate()
	p.seen[fault].Add(1)
	if fault == SlowDown {
		refuse(c, in)
		return
	}
	s, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	defer s.Close()
	if !p.keep(p.asked, s) {
		return
	}
	defer p.drop(p.asked, s)
	var both sync.WaitGroup
	defer both.Wait()
	both.Go(func() { p.send(s.(*net.TCPConn), c, in, fault, after) })
	both.Go(func() { p.answer(c, s, fault, after) })
}

// send passes on what a client sends until either side ends. The server hears that the
// client has gone, and may end what it was asked.
func (p *Proxy) send(s, c *net.TCPConn, in io.Reader, fault Fault, after int64) {
	p.forward(s, in, fault == CutRequest, fault == StallSent, after)
	c.Close()
	_ = s.CloseWrite()
}

// answer passes on what the server answers until either side ends, and then waits for
// the server.
func (p *Proxy) answer(c *net.TCPConn, s net.Conn, fault Fault, after int64) {
	if fault == Broken {
		breakAnswer(c, s)
	} else {
		p.forward(c, s, fault == CutAnswer || fault == ResetAnswer, fault == StallAnswer, after)
	}
	if fault == ResetAnswer {
		_ = c.SetLinger(0)
	}
	c.Close()
	_, _ = io.Copy(io.Discard, s)
}

// forward copies until either side ends. A cut comes after so many bytes; a stalled one
// takes what comes and gives nothing.
func (p *Proxy) forward(to io.Writer, from io.Reader, cut, stall bool, after int64) {
	in := gated{from, p}
	if !cut && !stall {
		_, _ = io.Copy(to, in)
		return
	}
	if _, err := io.CopyN(to, in, after); err == nil && stall {
		_, _ = io.Copy(io.Discard, from)
	}
}

// refuse answers a request that it did not read whole, as servers do.
func refuse(c net.Conn, in *bufio.Reader) {
	if _, err := http.ReadRequest(in); err == nil {
		answer(c, http.StatusServiceUnavailable, "SlowDown")
	}
}

// breakAnswer waits until the server has done what it was asked, and says that it could
// not.
func breakAnswer(c, s net.Conn) {
	in := bufio.NewReader(s)
	for {
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			return
		}
		if resp.StatusCode == http.StatusContinue {
			_, _ = io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
			continue
		}
		answer(c, http.StatusInternalServerError, "InternalError")
		return
	}
}

func answer(c net.Conn, status int, code string) {
	body := fmt.Sprintf("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code><Message>on purpose</Message></Error>", code)
	_, _ = fmt.Fprintf(c, "HTTP/1.1 %d %s\r\nContent-Type: application/xml\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", status, http.StatusText(status), len(body), body)
}
