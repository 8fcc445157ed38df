package httpd

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lockstep/internal/longpoll"
	"lockstep/internal/lot"
	"lockstep/internal/steady"
)

func newServer(healthy error) *Server {
	reg := prometheus.NewRegistry()
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: "part_thing_total", Help: "What it counts."})
	reg.MustRegister(c)
	c.Inc()
	return &Server{Healthy: func(context.Context) error { return healthy }, Metrics: reg}
}

func TestHealthTellsWhetherButNotWhy(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		body   string
	}{{nil, 200, "ok\n"}, {errors.New("secret reason"), 503, "not well\n"}} {
		w := httptest.NewRecorder()
		newServer(c.err).Handler().ServeHTTP(w, httptest.NewRequest("GET", "/healthz", nil))
		if w.Code != c.status || w.Body.String() != c.body {
			t.Errorf("%v: %d %q", c.err, w.Code, w.Body)
		}
	}
}

func TestMetricsAreServed(t *testing.T) {
	w := httptest.NewRecorder()
	newServer(nil).Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 || !strings.Contains(w.Body.String(), "part_thing_total 1") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestOnlyWhatIsThereIsServed(t *testing.T) {
	for _, c := range []struct {
		method, path string
		status       int
	}{{"GET", "/", 404}, {"POST", "/metrics", 405}, {"GET", "/debug/pprof/", 404}} {
		w := httptest.NewRecorder()
		newServer(nil).Handler().ServeHTTP(w, httptest.NewRequest(c.method, c.path, nil))
		if w.Code != c.status {
			t.Errorf("%s %s: %d", c.method, c.path, w.Code)
		}
	}
}

func TestServeEndsWithItsContext(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- newServer(nil).Serve(ctx, l) }()
	resp, err := http.Get("http://" + l.Addr().String() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(steady.Patience):
		t.Fatal("still serving")
	}
}

// serve runs a server for the test and returns its address.
func serve(t *testing.T, s *Server) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// echo answers with how many bytes it was sent, or with what was wrong.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		http.Error(w, err.Error(), 400)
		return
	}
	fmt.Fprint(w, n)
})

func at(path string) func(string) bool {
	return func(p string) bool { return strings.EqualFold(p, path) }
}

func TestMountsServeTheirPaths(t *testing.T) {
	s := newServer(nil)
	s.Mounts = []Mount{{at("/one"), echo}, {at("/two"), http.MaxBytesHandler(echo, 10)}}
	url := "http://" + serve(t, s)
	for _, c := range []struct {
		path   string
		size   int
		status int
	}{{"/One", 1000, 200}, {"/one", 100_000, 200}, {"/two", 10, 200}, {"/two", 11, 400}, {"/three", 0, 404}, {"/metrics", 3, 405}} {
		r, err := http.Post(url+c.path, "text/plain", strings.NewReader(strings.Repeat("x", c.size)))
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(r.Body)
		r.Body.Close()
		if r.StatusCode != c.status || c.status == 200 && string(b) != fmt.Sprint(c.size) {
			t.Errorf("%s with %d bytes: %d %q, want %d", c.path, c.size, r.StatusCode, b, c.status)
		}
	}
}

// inBubble runs a server and a test of what it does in time, which costs nothing.
func inBubble(t *testing.T, s *Server, test func(dial func() net.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := steady.NewWire()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Serve(ctx, l) }()
		test(func() net.Conn {
			c, err := l.Dial()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			return c
		})
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A body has to keep coming; one that does may take longer than a stall.
func TestSlowBodiesAreBounded(t *testing.T) {
	for name, c := range map[string]struct {
		pieces int
		bytes  int
		pause  time.Duration
		status int
	}{
		"steady":  {12, 100, 100 * time.Millisecond, 200},
		"stalled": {2, 40, 10 * time.Second, 400},
		"trickle": {80, 1, 100 * time.Millisecond, 400},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(nil)
			s.Mounts = []Mount{{at("/one"), echo}}
			s.Limits = Limits{Stall: time.Second, BodyRate: 20}
			inBubble(t, s, func(dial func() net.Conn) {
				conn := dial()
				var sender sync.WaitGroup
				defer sender.Wait()
				sender.Go(func() {
					fmt.Fprintf(conn, "POST /one HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n", c.pieces*c.bytes)
					for range c.pieces {
						conn.Write(bytes.Repeat([]byte{'x'}, c.bytes))
						time.Sleep(c.pause)
					}
				})
				r, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					t.Fatal(err)
				}
				if r.StatusCode != c.status {
					t.Errorf("%d, want %d", r.StatusCode, c.status)
				}
				conn.Close()
			})
		})
	}
}

// An answer may take longer than any bound on the client.
func TestAnAnswerMayTakeItsTime(t *testing.T) {
	s := newServer(nil)
	s.Limits = Limits{Stall: 30 * time.Millisecond, Header: 30 * time.Millisecond}
	s.Mounts = []Mount{{at("/one"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		select {
		case <-r.Context().Done():
		case <-time.After(200 * time.Millisecond):
			fmt.Fprint(w, "done")
		}
	})}}
	inBubble(t, s, func(dial func() net.Conn) {
		conn := dial()
		go fmt.Fprint(conn, "POST /one HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
		r, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(r.Body); string(b) != "done" {
			t.Errorf("%q, %v", b, err)
		}
		conn.Close()
	})
}

func TestOneConnectionTooManyIsTurnedAway(t *testing.T) {
	s := newServer(nil)
	s.Limits = Limits{PerAddress: 2}
	addr := serve(t, s)
	dial := func() net.Conn {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(steady.Patience))
		return c
	}
	ask := func(c net.Conn) error {
		fmt.Fprint(c, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
		_, err := http.ReadResponse(bufio.NewReader(c), nil)
		return err
	}
	one, two := dial(), dial()
	if err := errors.Join(ask(one), ask(two)); err != nil {
		t.Fatal(err)
	}
	if ask(dial()) == nil {
		t.Error("a third was let in")
	}
	if got := s.Stats(); got.Connections != 2 || got.TurnedAway != 1 {
		t.Errorf("%+v", got)
	}
	one.Close()
	for end := time.Now().Add(steady.Patience); s.Stats().Connections > 1; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("who hung up still counts")
		}
	}
	if err := ask(dial()); err != nil {
		t.Error("there is room again, but", err)
	}
	two.Close()
}

// What waits is logged as such, and nothing that is in a query.
func TestTheLogHasNoQueries(t *testing.T) {
	var log bytes.Buffer
	s := newServer(nil)
	s.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s.Mounts = []Mount{{at("/wait"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l := &longpoll.Wait{Until: time.Now(), Over: func(_ longpoll.Why, w http.ResponseWriter) { io.WriteString(w, "late") }}
		l.Hold(w, r)
	})}}
	t.Run("asked", func(t *testing.T) {
		url := "http://" + serve(t, s)
		for path, want := range map[string]string{"/wait?User=alice": "late", "/healthz?token=secret": "ok\n"} {
			req, _ := http.NewRequest("GET", url+path, nil)
			req.SetBasicAuth("alice", "password")
			r, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			b, _ := io.ReadAll(r.Body)
			r.Body.Close()
			if string(b) != want {
				t.Errorf("%s: %q", path, b)
			}
		}
		http.DefaultClient.CloseIdleConnections()
	})
	said := log.String()
	if !strings.Contains(said, "path=/wait status=0") || !strings.Contains(said, "path=/healthz status=200 bytes=3") {
		t.Error(said)
	}
	for _, secret := range []string{"alice", "secret", "password"} {
		if strings.Contains(said, secret) {
			t.Errorf("%q is in the log:\n%s", secret, said)
		}
	}
}

func TestUnderTLSOnlyHTTP1IsSpoken(t *testing.T) {
	if err := newServer(nil).ServeTLS(t.Context(), closedListener(t)); err == nil {
		t.Error("served without a certificate")
	}
	s := newServer(nil)
	s.TLS = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return httptestCertificate(t), nil }}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.ServeTLS(ctx, l) }()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}}
	r, err := client.Get("https://" + l.Addr().String() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.Proto != "HTTP/1.1" || r.TLS.NegotiatedProtocol != "http/1.1" {
		t.Errorf("%s, %q", r.Proto, r.TLS.NegotiatedProtocol)
	}
	client.CloseIdleConnections()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func closedListener(t *testing.T) net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	return l
}

// httptestCertificate borrows the one that httptest has.
func httptestCertificate(t *testing.T) *tls.Certificate {
	srv := httptest.NewTLSServer(http.NotFoundHandler())
	defer srv.Close()
	return &srv.TLS.Certificates[0]
}

// Alive is whoever answers; ready is who has what it needs, and says what it lacks.
func TestLivenessAsksNobodyAndReadinessSaysWhy(t *testing.T) {
	s := newServer(errors.New("secret reason"))
	ask := func(path string) (int, string) {
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		return w.Code, w.Body.String()
	}
	if code, body := ask("/livez"); code != 200 || body != "ok\n" {
		t.Errorf("alive: %d %q", code, body)
	}
	if code, body := ask("/readyz"); code != 503 || body != "not well\n" {
		t.Errorf("without a look of its own: %d %q", code, body)
	}
	var lacks []string
	s.Ready = func(context.Context) []string { return lacks }
	if code, body := ask("/readyz"); code != 200 || body != "ok\n" {
		t.Errorf("ready: %d %q", code, body)
	}
	lacks = []string{"database", "blobs"}
	if code, body := ask("/readyz"); code != 503 || body != "not ready: database, blobs\n" {
		t.Errorf("not ready: %d %q", code, body)
	}
}

// While people are sent away, each answer is the last one of its connection.
func TestConnectionsEndWithTheirAnswerWhilePeopleGo(t *testing.T) {
	s := newServer(nil)
	s.Farewell = &lot.Farewell{}
	url := "http://" + serve(t, s) + "/livez"
	for _, goes := range []bool{false, true} {
		if goes {
			s.Farewell.Begin()
		}
		r, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, r.Body)
		r.Body.Close()
		if r.Close != goes {
			t.Errorf("going %v, and the connection's end is %v", goes, r.Close)
		}
	}
}
