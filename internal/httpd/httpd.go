// Package httpd is the HTTP side of the server: its health and its metrics. Both
// tell numbers, never whose they are.
package httpd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Server answers /healthz and /metrics. Set its fields before Serve.
type Server struct {
	Healthy func(context.Context) error // nil when mail can be read and written
	Metrics prometheus.Gatherer
	Mounts  []Mount // protocols that are spoken over HTTP
}

// Mount is a protocol at the paths that it says are its own.
type Mount struct {
	Serves  func(path string) bool
	Handler http.Handler // bounds what it reads
}

// Bounds on clients.
const (
	headerTime   = 10 * time.Second
	requestTime  = 30 * time.Second
	healthTime   = 5 * time.Second
	stopTime     = 2 * time.Second
	maxHeader    = 16 << 10
	maxScrapes   = 4 // at once
	maxBodyBytes = 0 // nothing but a mount takes a body
)

// Handler serves what is mounted.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.health)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.Metrics, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes, Timeout: requestTime}))
	own := http.MaxBytesHandler(mux, maxBodyBytes)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, m := range s.Mounts {
			if m.Serves(r.URL.Path) {
				m.Handler.ServeHTTP(w, r)
				return
			}
		}
		own.ServeHTTP(w, r)
	})
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

// Serve answers on l until ctx ends; requests under way may end, for a while. It
// closes l.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	srv := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: headerTime, ReadTimeout: requestTime, WriteTimeout: requestTime, IdleTimeout: time.Minute, MaxHeaderBytes: maxHeader}
	stopped := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(stopped)
		bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
		defer cancel()
		if srv.Shutdown(bound) != nil {
			srv.Close()
		}
	})
	err := srv.Serve(l)
	if errors.Is(err, http.ErrServerClosed) || ctx.Err() != nil {
		<-stopped
		return nil
	}
	return err
}
