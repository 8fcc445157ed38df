package eas

import (
	"context"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"lockstep/internal/delivery"
	"lockstep/internal/steady"
)

// A relay takes all mail, and counts the recipients.
type relay struct{ taken atomic.Int64 }

type relaySession struct {
	*relay
	to int64
}

func (r *relay) NewSession(*gosmtp.Conn) (gosmtp.Session, error) { return &relaySession{relay: r}, nil }

func (s *relaySession) Mail(string, *gosmtp.MailOptions) error { s.to = 0; return nil }
func (s *relaySession) Rcpt(string, *gosmtp.RcptOptions) error { s.to++; return nil }
func (s *relaySession) Reset()                                 {}
func (s *relaySession) Logout() error                          { return nil }
func (s *relaySession) Data(r io.Reader) error {
	s.taken.Add(s.to)
	_, err := io.Copy(io.Discard, r)
	return err
}

// sendQueue sends what is queued, and returns how many recipients got it.
func (w *town) sendQueue(t *testing.T) int {
	t.Helper()
	r := &relay{}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := gosmtp.NewServer(r)
	go func() { _ = srv.Serve(l) }()
	defer srv.Close()
	send := &delivery.Sender{Service: w.Delivery, Relay: &delivery.Relay{Host: "relay.test", Port: 25, TLS: delivery.RelayPlain}, Schedule: []time.Duration{0},
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", l.Addr().String())
		}}
	ctx, stop := context.WithTimeout(t.Context(), steady.Patience)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- send.Run(ctx) }()
	for {
		left, err := w.Store.Pending(ctx, 1)
		if err != nil {
			t.Fatal(err)
		}
		if len(left) == 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	stop()
	<-done
	return int(r.taken.Load())
}
