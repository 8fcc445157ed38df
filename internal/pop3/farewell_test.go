package pop3

import (
	"strings"
	"testing"
	"time"

	"lockstep/internal/lot"
)

// awaitInside waits until so many sessions are left.
func awaitInside(t testing.TB, f *lot.Farewell, n int) {
	t.Helper()
	for end := time.Now().Add(patience); f.Inside() != n; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d are in, want %d", f.Inside(), n)
		}
	}
}

// hasWord reports whether the server has said something.
func (c *client) hasWord() bool {
	c.nc.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	defer c.nc.SetReadDeadline(time.Now().Add(patience))
	_, err := c.in.Peek(1)
	return err == nil
}

func TestSessionsGoInWaves(t *testing.T) {
	w, f := newTown(t), &lot.Farewell{}
	srv := w.server("plain")
	srv.Farewell = f
	addr := w.serve(srv, false)
	var all []*client
	for range 6 {
		all = append(all, dial(t, addr).signIn())
	}
	round := f.Begin()
	for _, left := range []int{4, 1, 0} {
		round.Tell(round.Left() - left)
		awaitInside(t, f, left)
		var stay []*client
		for _, c := range all {
			if c.hasWord() {
				c.hears("-ERR [SYS/TEMP] The server is stopping")
				c.hears("(closed)")
				continue
			}
			c.says("NOOP", "+OK")
			stay = append(stay, c)
		}
		if all = stay; len(all) != left {
			t.Errorf("%d stay, want %d", len(all), left)
		}
	}
}

// What was deleted and not confirmed by QUIT is there for the next session; what was
// retrieved came whole.
func TestASessionThatIsSentAwayDeletesNothing(t *testing.T) {
	w, f := newTown(t), &lot.Farewell{}
	text := "Subject: long\r\n\r\n" + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 200_000)
	w.put(text)
	srv := w.server("plain")
	srv.Farewell = f
	c := dial(t, w.serve(srv, false)).signIn()
	c.says("DELE 1", "+OK")
	c.says("RSET", "+OK")
	c.send("RETR 1\r\n")
	if first := c.line(); !strings.HasPrefix(first, "+OK") {
		t.Fatal(first)
	}
	round := f.Begin()
	round.Tell(round.Left()) // more is to be sent than the buffers between us hold
	size := 0
	for line := c.line(); line != "."; line = c.line() {
		if line == "(closed)" || line == "(nothing more)" {
			t.Fatalf("cut off after %d bytes: %s", size, line)
		}
		size += len(line) + 2
	}
	if size != len(text) {
		t.Errorf("%d bytes came, want %d", size, len(text))
	}
	c.hears("-ERR [SYS/TEMP]")
	awaitInside(t, f, 0)
	if n := w.in("INBOX"); n != 1 {
		t.Errorf("%d messages, want 1", n)
	}
}
