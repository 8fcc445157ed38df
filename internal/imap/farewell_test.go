package imap

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"lockstep/internal/lot"
	"lockstep/internal/steady"
)

// awaitInside waits until so many sessions are left.
func awaitInside(t testing.TB, f *lot.Farewell, n int) {
	t.Helper()
	for end := time.Now().Add(steady.Patience); f.Inside() != n; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d are in, want %d", f.Inside(), n)
		}
	}
}

// hasWord reports whether the server has said something.
func (c *testClient) hasWord() bool {
	c.conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	_, err := c.in.Peek(1)
	return err == nil
}

// write sends bytes as they are, and reports whether it could.
func (c *testClient) write(text string) bool {
	_, err := c.conn.Write([]byte(text))
	return err == nil
}

// Sessions that wait between commands, in IDLE, before they signed in, and without a
// goroutine: as many go as are asked to.
func TestSessionsGoInWaves(t *testing.T) {
	f := &lot.Farewell{}
	h := newHouse(t, func(s *Server) { s.Farewell = f })
	var all []*testClient
	for i := range 12 {
		c := dial(t, h.addr).ready()
		if i%3 > 0 {
			c.login()
		}
		if i%3 > 1 {
			c.must("SELECT INBOX")
			c.write("i IDLE\r\n")
			c.line()
		}
		all = append(all, c)
	}
	round := f.Begin()
	for _, left := range []int{9, 4, 3, 0} {
		round.Tell(round.Left() - left)
		awaitInside(t, f, left)
		var stay []*testClient
		for _, c := range all {
			if c.hasWord() {
				c.closedWith("[UNAVAILABLE] Goodbye: " + leaving)
				continue
			}
			stay = append(stay, c)
		}
		if all = stay; len(all) != left {
			t.Errorf("%d stay, want %d", len(all), left)
		}
	}
}

// Who is not asked goes on, in the middle of whatever it is.
func TestOthersGoOnMeanwhile(t *testing.T) {
	f := &lot.Farewell{}
	h := newHouse(t, func(s *Server) { s.Farewell = f })
	c := dial(t, h.addr).ready().login()
	f.Begin()
	c.must("SELECT INBOX")
	c.must("NOOP")
	late := dial(t, h.addr)
	late.ready()
	late.closedWith(leaving)
}

// The command under way is done, answered and kept; the next one is not begun.
func TestWhatIsUnderWayIsDoneBeforeTheSessionGoes(t *testing.T) {
	for range 20 {
		f := &lot.Farewell{}
		h := newHouse(t, func(s *Server) { s.Farewell = f })
		c := dial(t, h.addr).ready().login()
		const text = "Subject: kept\r\n\r\ntext\r\n"
		c.write(fmt.Sprintf("a APPEND INBOX {%d}\r\n", len(text)))
		if l := c.line(); !strings.HasPrefix(l, "+") {
			t.Fatal(l)
		}
		round := f.Begin()
		round.Tell(round.Left())
		c.write(text + "\r\nb CREATE Begun\r\n")
		if l := c.line(); !strings.HasPrefix(l, "* ") && !strings.HasPrefix(l, "a OK [APPENDUID") {
			t.Fatal(l)
		}
		c.closedWith(leaving)
		awaitInside(t, f, 0)
		again := &Server{Store: h.store, Auth: h.auth, Blobs: h.blobs, Ingest: h.blobs.ingest, AllowPlainAuth: h.server.AllowPlainAuth}
		d := dial(t, h.listen(again.Serve)).ready().login()
		if got := strings.Join(d.must("STATUS INBOX (MESSAGES)"), "\n"); !strings.Contains(got, "MESSAGES 1") {
			t.Error(got)
		}
		d.refused("SELECT Begun", "NO")
	}
}

// Commands that come as fast as they can are each answered, or not done at all.
func TestNoAcknowledgedCommandIsLostWhenSessionsGo(t *testing.T) {
	f := &lot.Farewell{}
	h := newHouse(t, func(s *Server) { s.Farewell = f })
	type result struct {
		said, acknowledged int
	}
	const clients = 8
	results := make(chan result, clients)
	for i := range clients {
		c := dial(t, h.addr).ready().login()
		go func() {
			var r result
			for {
				if !c.write(fmt.Sprintf("x%d CREATE box-%d-%d\r\n", r.said, i, r.said)) {
					break
				}
				r.said++
				l, err := c.read()
				if err != nil || strings.HasPrefix(l, "* BYE") {
					break
				}
				r.acknowledged++
			}
			results <- r
		}()
	}
	round := f.Begin()
	for round.Left() > 0 {
		time.Sleep(5 * time.Millisecond) // they work meanwhile
		round.Tell(1)
	}
	var want, sent int
	for range clients {
		r := <-results
		want, sent = want+r.acknowledged, sent+r.said
	}
	d := &Server{Store: h.store, Auth: h.auth, Blobs: h.blobs, AllowPlainAuth: h.server.AllowPlainAuth}
	got := 0
	for _, l := range dial(t, h.listen(d.Serve)).ready().login().must(`LIST "" "box-*"`) {
		if strings.HasPrefix(l, "* LIST") {
			got++
		}
	}
	if got != want {
		t.Errorf("%d mailboxes, of %d that were acknowledged and %d asked for", got, want, sent)
	}
}
