// Package natstest gives tests NATS servers, in their own process.
package natstest

import (
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// startTime bounds how long a server may take to start.
const startTime = 10 * time.Second

// A Server is a NATS server on a loopback port, which it keeps.
type Server struct {
	URL string

	t       testing.TB
	options server.Options
	is      *server.Server
}

// Start starts a server that ends with the test. Options may be nil.
func Start(t testing.TB, o *server.Options) *Server {
	t.Helper()
	s := &Server{t: t}
	if o != nil {
		s.options = *o
	}
	s.options.Host, s.options.Port, s.options.NoSigs, s.options.NoLog = "127.0.0.1", server.RANDOM_PORT, true, true
	s.Again()
	s.URL = s.is.ClientURL()
	s.options.Port = s.is.Addr().(*net.TCPAddr).Port
	t.Cleanup(s.Stop)
	return s
}

// Stop ends the server: connections break, and nobody answers.
func (s *Server) Stop() {
	s.is.Shutdown()
	s.is.WaitForShutdown()
}

// Again starts a server that was stopped, where it was.
func (s *Server) Again() {
	s.t.Helper()
	o := s.options // the server keeps it
	is, err := server.NewServer(&o)
	if err != nil {
		s.t.Fatal(err)
	}
	is.Start()
	if !is.ReadyForConnections(startTime) {
		s.t.Fatal("the NATS server does not start")
	}
	s.is = is
}

// Subscriptions is how many the server keeps.
func (s *Server) Subscriptions() int { return int(s.is.NumSubscriptions()) }
