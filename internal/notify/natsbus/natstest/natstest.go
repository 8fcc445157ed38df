// Package natstest gives tests NATS servers, in their own process.
package natstest

import (
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"lockstep/internal/notify/natsbus/natsserver"
)

// A Server is a NATS server that ends with a test.
type Server struct {
	*natsserver.Server
	t testing.TB
}

// Start starts a server. Options may be nil.
func Start(t testing.TB, o *server.Options) *Server {
	t.Helper()
	s, err := natsserver.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return &Server{s, t}
}

// Again starts a server that was stopped, where it was.
func (s *Server) Again() {
	s.t.Helper()
	if err := s.Server.Again(); err != nil {
		s.t.Fatal(err)
	}
}
