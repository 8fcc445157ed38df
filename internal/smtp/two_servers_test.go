package smtp

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"lockstep/internal/delivery"
	"lockstep/internal/delivery/deliverytest"
)

// elsewhere is a world in which every domain is served by one address.
type elsewhere struct{ addr string }

func (e elsewhere) LookupMX(_ context.Context, name string) ([]*net.MX, error) {
	return []*net.MX{{Host: "mx." + name, Pref: 10}}, nil
}

func (e elsewhere) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("192.0.2.10")}, nil
}

func (e elsewhere) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, e.addr)
}

// Two servers of ours, one sending to the other: what one side says, the other
// understands.
func TestMailBetweenTwoServers(t *testing.T) {
	here, there := newTown(t), &town{House: deliverytest.New(t)}
	carol := there.Account("käthe@other.test", 0, nil)
	there.Account("stuffed@other.test", 1, nil)
	there.Delivery.Hostname = "mx.other.test"
	for _, w := range []*town{here, there} {
		w.Delivery.CanSend = true
	}
	stop := []func(){}
	defer func() {
		for _, f := range stop {
			f()
		}
	}()
	run := func(w *town, to string) {
		e := elsewhere{to}
		q := &delivery.Sender{Service: w.Delivery, Resolver: e, Dial: e.dial, Schedule: []time.Duration{time.Millisecond}}
		w.Delivery.Wake = q.Wake
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- q.Run(ctx) }()
		stop = append(stop, func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
	withTLS := func(s *Server) { s.TLS = serverTLS() }
	run(here, there.serve(Receiving, withTLS))
	run(there, here.serve(Receiving, withTLS))

	c := dial(t, here.serve(Submission, func(s *Server) { s.AllowPlainAuth = netip.Addr.IsLoopback }))
	c.hears("220")
	c.says("EHLO laptop", "250")
	c.says("AUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdABjb3JyZWN0LWhvcnNl", "235")
	c.says("MAIL FROM:<alice@example.test> SMTPUTF8 BODY=8BITMIME RET=HDRS ENVID=id+2B1", "250")
	c.says("RCPT TO:<käthe@other.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;k+2Bx@old.test", "250")
	c.says("RCPT TO:<stuffed@other.test>", "250")
	c.says("RCPT TO:<nobody@other.test>", "250")
	c.says("DATA", "354")
	body := "From: alice@example.test\r\nSubject: für dich\r\nDate: Fri, 20 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@x>\r\n\r\n..\r\nüber alles\r\n"
	c.says(strings.ReplaceAll(body, "\r\n.", "\r\n..")+".", "250")

	var reports []string
	for deadline := time.Now().Add(patience); len(reports) < 2; time.Sleep(5 * time.Millisecond) {
		reports = here.Inbox(here.alice.Account)
		if time.Now().After(deadline) {
			t.Fatalf("reports so far: %q", reports)
		}
	}
	got := there.Inbox(carol.Account)
	if len(got) != 1 || !strings.HasSuffix(got[0], body) || !strings.HasPrefix(got[0], "Return-Path: <alice@example.test>\r\nReceived: from mx.example.test ([127.0.0.1])\r\n\t(using TLS 1.3 ") || !strings.Contains(got[0], "by mx.other.test with UTF8SMTPS id ") {
		t.Errorf("käthe has %q", got)
	}
	all := strings.Join(reports, "\n")
	for _, want := range []string{
		"Original-Recipient: rfc822;k+x@old.test\r\nFinal-Recipient: utf-8; käthe@other.test\r\nAction: relayed\r\nStatus: 2.0.0\r\n",
		"Final-Recipient: rfc822; nobody@other.test\r\nAction: failed\r\nStatus: 5.1.1\r\nRemote-MTA: dns; mx.other.test\r\n",
		"Final-Recipient: rfc822; stuffed@other.test\r\nAction: failed\r\nStatus: 5.2.2\r\n",
		"Original-Envelope-Id: id+1\r\n",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in\n%s", want, all)
		}
	}
}
