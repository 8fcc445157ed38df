package pgtest

import (
	"io"
	"net"
	"net/url"
	"os"
	"sync"
	"testing"

	"lockstep/internal/store/sqlstore/pgserver"
)

// Own starts a server that syncs what it commits and that the test may restart. It is
// gone after the test.
func Own(t testing.TB) *pgserver.Server {
	t.Helper()
	server(t) // skips where there is no PostgreSQL
	dir, err := os.MkdirTemp("", "lockstep-postgres-")
	if err == nil {
		err = pgserver.Own(dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		os.RemoveAll(dir)
		os.Remove(dir + ".log")
	})
	return mustStart(t, pgserver.Options{Durable: true, Dir: dir})
}

// Alone starts a server for what is counted within it, which ends with the test: nothing
// is cleaned up by itself, and no transaction of another test, in whatever database, keeps
// rows that went away from being pruned. It returns the URL of an empty database.
func Alone(t testing.TB) string {
	t.Helper()
	server(t) // skips where there is no PostgreSQL
	s := mustStart(t, pgserver.Options{Settings: []string{"autovacuum=off"}})
	return s.Of(create(t, s, "template0"))
}

// A Road leads to a server, and later to another, under one address.
type Road struct {
	URL string

	t  testing.TB
	mu sync.Mutex
	to string
	on map[net.Conn]bool // to be closed when it leads elsewhere
}

// NewRoad makes a road to a server, which ends with the test.
func NewRoad(t testing.TB, to *pgserver.Server) *Road {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	r := &Road{t: t, to: hostOf(t, to), on: map[net.Conn]bool{}}
	u, err := url.Parse(to.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = l.Addr().String()
	r.URL = u.String()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go r.lead(c)
		}
	}()
	return r
}

func hostOf(t testing.TB, s *pgserver.Server) string {
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

func (r *Road) lead(c net.Conn) {
	defer c.Close()
	r.mu.Lock()
	to := r.to
	r.mu.Unlock()
	d, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer d.Close()
	r.mu.Lock()
	if r.to != to {
		r.mu.Unlock()
		return
	}
	r.on[c], r.on[d] = true, true
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.on, c)
		delete(r.on, d)
	}()
	go func() {
		_, _ = io.Copy(d, c)
		d.Close()
	}()
	_, _ = io.Copy(c, d)
}

// LeadTo cuts all connections; new ones lead to another server.
func (r *Road) LeadTo(s *pgserver.Server) {
	to := hostOf(r.t, s)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.to = to
	for c := range r.on {
		c.Close()
	}
}
