// Package natsserver runs a NATS server inside this process, for tests and for who wants
// to see a cluster on one machine. It adds some ten megabytes to a program.
package natsserver

import (
	"errors"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"lockstep/internal/freeport"
)

// startTime bounds how long a server may take to start.
const startTime = time.Minute

// A Server is a NATS server on a loopback port, which it keeps.
type Server struct {
	URL string

	options server.Options
	is      *server.Server
}

// Start starts a server. Options may be nil; without a port it takes one that is free.
func Start(o *server.Options) (*Server, error) {
	s := &Server{}
	if o != nil {
		s.options = *o
	}
	s.options.Host, s.options.NoSigs, s.options.NoLog = "127.0.0.1", true, true
	if s.options.Port == 0 {
		ports, err := freeport.Take(1)
		if err != nil {
			return nil, err
		}
		s.options.Port = ports[0]
	}
	if err := s.Again(); err != nil {
		return nil, err
	}
	s.URL = s.is.ClientURL()
	return s, nil
}

// Stop ends the server: connections break, and nobody answers.
func (s *Server) Stop() {
	s.is.Shutdown()
	s.is.WaitForShutdown()
}

// Again starts a server that was stopped, where it was.
func (s *Server) Again() error {
	o := s.options // the server keeps it
	is, err := server.NewServer(&o)
	if err != nil {
		return err
	}
	is.Start()
	if !is.ReadyForConnections(startTime) {
		is.Shutdown()
		return errors.New("the NATS server does not start: is its port taken?")
	}
	s.is = is
	return nil
}

// Subscriptions is how many the server keeps.
func (s *Server) Subscriptions() int { return int(s.is.NumSubscriptions()) }
