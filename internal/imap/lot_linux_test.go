package imap

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"lockstep/internal/auth/authtest"
	"lockstep/internal/mail"
	"lockstep/internal/steady"
)

// Whoever waits in the lot is answered as any other, plain, under TLS and
// compressed.
func TestSessionsInTheLotAreAnswered(t *testing.T) {
	h := newHouse(t, func(s *Server) { s.TLS = testTLS(t) })
	h.put("INBOX", "Subject: x\r\n\r\n", mail.Flags{}, 1, 0)
	plain := dial(t, h.addr).ready().login()
	secure := dial(t, h.addr).ready()
	secure.must("STARTTLS")
	secure.startTLS()
	secure.login()
	for round := range 20 {
		h.awaitLot(t, 2)
		for _, c := range []*testClient{plain, secure} {
			switch round % 3 {
			case 0:
				c.must("SELECT INBOX")
			case 1:
				c.must("FETCH 1 (UID FLAGS ENVELOPE)")
			default: // in two pieces
				h.awaitLot(t, 2)
				c.tag = "half"
				io.WriteString(c.conn, "half NO")
				h.awaitLot(t, 1)
				io.WriteString(c.conn, "OP\r\n")
				if got := c.answer(); !strings.HasPrefix(got[len(got)-1], "half OK") {
					t.Errorf("%q", got)
				}
			}
		}
	}
}

func TestSessionsInTheLotHearOfChangesAndTheEnd(t *testing.T) {
	h := newHouse(t, nil)
	there := authtest.Beside(t, h.store, h.auth)
	h.put("INBOX", "Subject: x\r\n\r\n", mail.Flags{}, 1, 0)
	const n = 20
	var conns []net.Conn
	for range n {
		conns = append(conns, h.idle(t, false))
	}
	h.awaitLot(t, n)
	h.put("INBOX", "Subject: y\r\n\r\n", mail.Flags{}, 0, 0)
	var readers []*bufio.Reader
	for _, c := range conns {
		c.SetReadDeadline(time.Now().Add(steady.Patience))
		readers = append(readers, bufio.NewReader(c))
		if line, err := readers[len(readers)-1].ReadString('\n'); err != nil || !strings.Contains(line, "EXISTS") {
			t.Fatalf("%q, %v", line, err)
		}
	}
	if got := h.server.napping.Load(); got != n {
		t.Errorf("%d of %d wait without a goroutine", got, n)
	}
	if err := there.SetPassword(t.Context(), h.user, "another horse"); err != nil {
		t.Fatal(err)
	}
	for _, r := range readers {
		line := ""
		for err := error(nil); err == nil && !strings.HasPrefix(line, "* BYE"); line, err = r.ReadString('\n') {
		}
		if !strings.HasPrefix(line, "* BYE") {
			t.Errorf("%q", line)
		}
	}
}

func TestSessionsInTheLotEndInTime(t *testing.T) {
	h := newHouse(t, func(s *Server) { s.Limits.Idle = 300 * time.Millisecond })
	ended := false // while it was in the lot; on a machine that stands still it may have ended before
	for end := time.Now().Add(steady.Patience); !ended && time.Now().Before(end); {
		c := dial(t, h.addr)
		var said []string
		go c.conn.Write([]byte("a LOGIN " + testLogin + ` "` + testPassword + "\"\r\n"))
		for l, err := c.read(); err == nil; l, err = c.read() {
			if said = append(said, l); strings.HasPrefix(l, "a OK") {
				for h.server.napping.Load() == 0 && h.server.door.Inside() > 0 {
					time.Sleep(time.Millisecond)
				}
				ended = h.server.napping.Load() == 1
			}
		}
		if last := said[len(said)-1]; !strings.HasPrefix(last, "* BYE") || !strings.Contains(last, "too long without a word") {
			t.Fatalf("%q", said)
		}
	}
	if !ended {
		t.Error("no session ended in the lot")
	}
}

func TestWhoHangsUpLeavesTheLot(t *testing.T) {
	h := newHouse(t, nil)
	gone := dial(t, h.addr).ready().login()
	h.awaitLot(t, 1)
	gone.conn.Close()
	h.awaitLot(t, 0)
}

// A server that ends says goodbye to those in the lot, and leaves nothing behind.
func TestLotEndsWithItsServer(t *testing.T) {
	h := newHouse(t, nil)
	s := &Server{Store: h.store, Auth: h.auth, Blobs: h.blobs, Ingest: h.blobs.ingest, AllowPlainAuth: netip.Addr.IsLoopback, Limits: Limits{Nap: time.Millisecond}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	c := dial(t, l.Addr().String()).ready().login()
	other := &house{server: s}
	other.awaitLot(t, 1)
	cancel()
	c.closedWith("shutting down")
	if err := <-done; err != nil || s.napping.Load() != 0 {
		t.Errorf("%v, %d in the lot", err, s.napping.Load())
	}
}
