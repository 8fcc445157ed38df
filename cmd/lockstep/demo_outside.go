package main

import (
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"lockstep/internal/config"
)

// demoOutside plays all other mail servers: it takes what the demo sends out, says so,
// and keeps nothing. So that mail can be answered in a demo, and nobody is written to.
type demoOutside struct {
	out *demoOutput
}

// listen plays on a port of this machine that is free, and has the demo send there.
func (d demoOutside) listen(o *config.Outgoing) (stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := gosmtp.NewServer(d)
	s.Domain, s.MaxMessageBytes, s.ReadTimeout, s.WriteTimeout = "outside.example", 1<<30, time.Minute, time.Minute
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l) // ends with Close
	}()
	*o = config.Outgoing{Via: config.ViaRelay, Relay: l.Addr().String(), RelayTLS: config.RelayPlain, GiveUpAfter: o.GiveUpAfter}
	return func() { s.Close(); <-done }, nil
}

// NewSession implements gosmtp.Backend.
func (d demoOutside) NewSession(*gosmtp.Conn) (gosmtp.Session, error) {
	return &outsideSession{out: d.out}, nil
}

// outsideSession is one conversation.
type outsideSession struct {
	out *demoOutput
	to  []string
}

// Mail implements gosmtp.Session.
func (s *outsideSession) Mail(string, *gosmtp.MailOptions) error { s.Reset(); return nil }

// Rcpt implements gosmtp.Session.
func (s *outsideSession) Rcpt(to string, _ *gosmtp.RcptOptions) error {
	s.to = append(s.to, to)
	return nil
}

// Data implements gosmtp.Session.
func (s *outsideSession) Data(r io.Reader) error {
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	s.out.left(s.to)
	return nil
}

// Reset implements gosmtp.Session.
func (s *outsideSession) Reset() { s.to = nil }

// Logout implements gosmtp.Session.
func (s *outsideSession) Logout() error { return nil }

// left says that mail went to others.
func (o *demoOutput) left(to []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	fmt.Fprintf(o.w, "%s mail went out to %s · the demo only plays the outside, nobody gets it\n", o.paint("2", time.Now().Local().Format(time.TimeOnly)), strings.Map(printable, strings.Join(to, ", ")))
}
