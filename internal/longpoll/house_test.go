package longpoll

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lockstep/internal/steady"
)

// house is a server whose requests wait until the test ends them.
type house struct {
	t       testing.TB
	addr    string
	secure  bool
	inside  atomic.Int64 // connections
	waiting atomic.Int64
	stop    context.CancelFunc
	served  chan error

	until time.Duration
	early bool // waits end before they are held

	mu    sync.Mutex
	waits map[string]*Wait // by path, of those that wait
	over  chan string      // "path why"
	tls   map[string]bool  // whether the request came by TLS
	from  map[string]string
}

func newHouse(t testing.TB, secure bool, change func(*Options)) *house {
	t.Helper()
	return newHouseOf(t, secure, true, change, func(h *house) http.Handler { return h })
}

func newHouseOf(t testing.TB, secure, withLot bool, change func(*Options), handler func(*house) http.Handler) *house {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, addr: inner.Addr().String(), secure: secure, until: time.Hour, waits: map[string]*Wait{}, over: make(chan string, 10_000), tls: map[string]bool{}, from: map[string]string{}, served: make(chan error, 1)}
	o := Options{Lateness: 10 * time.Millisecond, Waiting: &h.waiting, Spread: time.Second, Enter: func(netip.Addr) (func(), bool) {
		h.inside.Add(1)
		return func() { h.inside.Add(-1) }, true
	}}
	if secure {
		o.TLS = testTLS(t)
	}
	if change != nil {
		change(&o)
	}
	ctx, cancel := context.WithCancel(context.Background())
	h.stop = cancel
	srv := &http.Server{Handler: handler(h), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	l := Listen(inner, o)
	if !withLot {
		l.lot.Close()
		l.lot = nil
	}
	go func() { h.served <- Serve(ctx, srv, l, steady.Patience) }()
	t.Cleanup(func() {
		cancel()
		if h.served != nil {
			<-h.served
		}
	})
	return h
}

// ServeHTTP holds requests whose path begins with /wait; others are answered.
func (h *house) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	h.mu.Lock()
	h.tls[path], h.from[path] = r.TLS != nil, r.RemoteAddr
	h.mu.Unlock()
	if !strings.HasPrefix(path, "/wait") {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(rw, "%s %d", path, len(body))
		return
	}
	w := &Wait{Until: time.Now().Add(h.until)}
	w.Over = func(why Why, rw http.ResponseWriter) {
		h.mu.Lock()
		delete(h.waits, path)
		h.mu.Unlock()
		h.over <- fmt.Sprint(path, " ", why)
		if strings.Contains(path, "panic") {
			panic("as it should")
		}
		rw.Header().Set("X-Why", fmt.Sprint(why))
		if strings.Contains(path, "short") {
			rw.Header().Set("Content-Length", fmt.Sprint(len(path)+1))
		}
		if strings.Contains(path, "said") {
			rw.Header().Set("Content-Length", fmt.Sprint(len(path)))
		}
		io.WriteString(rw, path)
	}
	h.mu.Lock()
	h.waits[path] = w
	h.mu.Unlock()
	if h.early {
		w.End()
	}
	w.Hold(rw, r)
}

// end ends a wait, once it has begun.
func (h *house) end(path string) {
	h.t.Helper()
	h.await(path+" waits", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		if w := h.waits[path]; w != nil {
			w.End()
			return true
		}
		return false
	})
}

// await returns when something is so.
func (h *house) await(what string, so func() bool) {
	h.t.Helper()
	for end := time.Now().Add(steady.Patience); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			h.t.Fatalf("never: %s", what)
		}
	}
}

func (h *house) awaitLot(n int64) {
	h.t.Helper()
	h.await(fmt.Sprintf("%d in the lot", n), func() bool { return h.waiting.Load() == n })
}

func (h *house) heard(want string) {
	h.t.Helper()
	select {
	case got := <-h.over:
		if got != want {
			h.t.Errorf("%q, want %q", got, want)
		}
	case <-time.After(steady.Patience):
		h.t.Fatalf("never: %q", want)
	}
}

// client is a connection that speaks HTTP by hand.
type client struct {
	net.Conn
	t  testing.TB
	in *bufio.Reader
}

func (h *house) dial() *client {
	h.t.Helper()
	c, err := net.Dial("tcp", h.addr)
	if err != nil {
		h.t.Fatal(err)
	}
	if h.secure {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	}
	c.SetDeadline(time.Now().Add(steady.Patience))
	h.t.Cleanup(func() { c.Close() })
	return &client{c, h.t, bufio.NewReaderSize(c, 512)}
}

func (c *client) ask(path, body string) *client {
	c.t.Helper()
	if _, err := io.WriteString(c, request(path, body)); err != nil {
		c.t.Fatal(err)
	}
	return c
}

func request(path, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
}

// answer reads an answer and returns it with its body.
func (c *client) answer() (*http.Response, string) {
	c.t.Helper()
	r, err := http.ReadResponse(c.in, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return r, string(b)
}

func (c *client) must(body string) {
	c.t.Helper()
	if r, got := c.answer(); got != body || r.StatusCode != 200 {
		c.t.Fatalf("%d %q, want %q", r.StatusCode, got, body)
	}
}

// closed says that the server hung up.
func (c *client) closed() {
	c.t.Helper()
	if b, err := io.ReadAll(c.in); len(b) > 0 || err != nil && isTimeout(err) {
		c.t.Errorf("%q, %v; want the end", b, err)
	}
}

func isTimeout(err error) bool {
	t, ok := err.(net.Error)
	return ok && t.Timeout()
}

var testTLS = func() func(testing.TB) *tls.Config {
	made := sync.OnceValues(func() (*tls.Config, error) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		cert := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"server.test"}}
		der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
		return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, err
	})
	return func(t testing.TB) *tls.Config {
		c, err := made()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
}()

// both runs a test with TLS and without.
func both(t *testing.T, test func(*testing.T, bool)) {
	t.Run("plain", func(t *testing.T) { test(t, false) })
	t.Run("TLS", func(t *testing.T) { test(t, true) })
}
