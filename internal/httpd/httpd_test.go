package httpd

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
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
	case <-time.After(10 * time.Second):
		t.Fatal("still serving")
	}
}
