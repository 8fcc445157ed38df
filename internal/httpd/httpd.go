// Package httpd is the HTTP side of the server: its health, its metrics, and the
// protocols that are mounted on it. Health and metrics tell numbers, never whose they
// are.
//
// It speaks HTTP/1.1 alone. Requests that wait for an hour give their connection up
// to a lot (package longpoll), and HTTP/2 has no connection of one request to give;
// nor has ActiveSync ever been spoken over it.
package httpd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"lockstep/internal/longpoll"
	"lockstep/internal/lot"
)

// Server answers /livez, /readyz, /healthz, /metrics and what is mounted. Set its fields before
// Serve; zero Limits are safe on the open internet.
type Server struct {
	Healthy func(context.Context) error // nil when mail can be read and written
	// Ready says why nobody should be sent here now, each in a word that strangers may
	// hear; nothing is that they should. Nil asks Healthy.
	Ready   func(context.Context) []string
	Metrics prometheus.Gatherer
	Mounts  []Mount
	TLS     *tls.Config  // of ServeTLS
	Log     *slog.Logger // nil logs nothing
	Limits  Limits
	// Proxies are whom is believed what they say of where a request comes from. The
	// bound on connections from one address is not for them.
	Proxies []netip.Prefix

	Farewell *lot.Farewell // sends those who wait away before the server stops; may be nil

	once    sync.Once
	limits  Limits
	door    lot.Door
	waiting atomic.Int64
	refused atomic.Int64
}

// A Mount is a protocol at the paths that it says are its own.
type Mount struct {
	Serves  func(path string) bool
	Handler http.Handler // bounds how much it reads; how long that takes is bounded here
}

// Stats is what the server counts.
type Stats struct {
	Connections int   // now
	Waiting     int64 // of these, how many have no goroutine
	TurnedAway  int64 // were one too many
}

// Stats returns what was counted since the start.
func (s *Server) Stats() Stats {
	return Stats{s.door.Inside(), s.waiting.Load(), s.refused.Load()}
}

func (s *Server) init() {
	s.once.Do(func() {
		s.limits = s.Limits.orDefault()
		if s.Log == nil {
			s.Log = slog.New(slog.DiscardHandler)
		}
	})
}

// Handler serves what is mounted.
func (s *Server) Handler() http.Handler {
	s.init()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", s.live)
	mux.HandleFunc("GET /readyz", s.ready)
	mux.HandleFunc("GET /healthz", s.health)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.Metrics, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes, Timeout: scrapeTime}))
	own := http.MaxBytesHandler(mux, 0) // nothing there takes a body
	return s.forwarded(s.logged(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = newBody(w, r, s.limits)
		if s.Farewell.Telling() {
			w.Header().Set("Connection", "close") // the next request goes elsewhere
		}
		for _, m := range s.Mounts {
			if m.Serves(r.URL.Path) {
				m.Handler.ServeHTTP(w, r)
				return
			}
		}
		own.ServeHTTP(w, r)
	})))
}

// health is 200 when the store answers, else 503.
func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), healthTime)
	defer cancel()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err := s.Healthy(ctx); err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, "not well") // why stands in the log, not on the network
		return
	}
	fmt.Fprintln(w, "ok")
}

// live is 200 as long as anything is answered at all: nothing that lies elsewhere is
// asked, as starting anew would not mend it.
func (s *Server) live(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintln(w, "ok")
}

// ready is 200 when people should be sent here, else 503 and why.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	if s.Ready == nil {
		s.health(w, r)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), healthTime)
	defer cancel()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if why := s.Ready(ctx); len(why) > 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, "not ready: "+strings.Join(why, ", "))
		return
	}
	fmt.Fprintln(w, "ok")
}

// Serve answers on l until ctx ends; requests under way may end, for a while, and
// those that wait are answered. It closes l.
func (s *Server) Serve(ctx context.Context, l net.Listener) error { return s.serve(ctx, l, nil) }

// ServeTLS is Serve under TLS.
func (s *Server) ServeTLS(ctx context.Context, l net.Listener) error {
	if s.TLS == nil {
		l.Close()
		return errors.New("httpd: no TLS configuration")
	}
	c := s.TLS.Clone()
	c.NextProtos = []string{"http/1.1"}
	return s.serve(ctx, l, c)
}

func (s *Server) serve(ctx context.Context, l net.Listener, secure *tls.Config) error {
	s.init()
	srv := &http.Server{
		Handler: s.Handler(), ReadHeaderTimeout: s.limits.Header, IdleTimeout: s.limits.Idle, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
	}
	return longpoll.Serve(ctx, srv, longpoll.Listen(l, longpoll.Options{
		TLS: secure, Log: s.Log, Enter: s.enter, Waiting: &s.waiting, Idle: s.limits.Idle, Stall: s.limits.Stall, Spread: s.limits.Stop, Farewell: s.Farewell,
	}), s.limits.Stop)
}

// enter lets a connection in if there is room.
func (s *Server) enter(a netip.Addr) (leave func(), ok bool) {
	each := s.limits.PerAddress
	if s.isProxy(a) {
		each = s.limits.Connections
	}
	if !s.door.Enter(a, s.limits.Connections, each) {
		s.refused.Add(1)
		s.Log.Info("connection refused", "proto", "http", "addr", a)
		return nil, false
	}
	return func() { s.door.Leave(a) }, true
}

// logged writes a line for each request at debug: not what was asked for in it,
// which may be nobody else's.
func (s *Server) logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.Log.Enabled(r.Context(), slog.LevelDebug) {
			next.ServeHTTP(w, r)
			return
		}
		began, seen := time.Now(), &witness{ResponseWriter: w}
		next.ServeHTTP(seen, r)
		s.Log.DebugContext(r.Context(), "request", "proto", "http", "method", r.Method, "path", r.URL.Path, "status", seen.status, "bytes", seen.bytes, "addr", r.RemoteAddr, "took", time.Since(began))
	})
}

// witness sees what is answered. A status of 0 is a request that waits.
type witness struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// Unwrap is for http.ResponseController.
func (w *witness) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (w *witness) WriteHeader(code int) {
	w.status = code
	w.ResponseWriter.WriteHeader(code)
}

// Write implements http.ResponseWriter.
func (w *witness) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}
