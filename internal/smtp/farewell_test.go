package smtp

import (
	"bufio"
	"crypto/rand"
	"net"
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

// A server that sends its sessions away tells as many as it was told to, and the others
// go on.
func TestSessionsGoInWaves(t *testing.T) {
	for _, role := range []Role{LMTP, Receiving, Submission} {
		w, f := newTown(t), &lot.Farewell{}
		addr := w.serve(role, func(s *Server) { s.Farewell = f })
		var all []*client
		for range 10 {
			c := dial(t, addr)
			c.hears("220")
			all = append(all, c)
		}
		round, stayed := f.Begin(), 0
		for _, left := range []int{7, 4, 0} {
			round.Tell(round.Left() - left)
			awaitInside(t, f, left)
			var stay []*client
			for _, c := range all {
				if c.hasWord() {
					c.hears("421 4.3.2")
					c.hears("(closed)")
					continue
				}
				c.says("NOOP", "250")
				stay = append(stay, c)
			}
			if all = stay; len(all) != left {
				t.Errorf("%s: %d stay, want %d", role, len(all), left)
			}
			stayed += len(all)
		}
		if stayed != 11 {
			t.Errorf("%s: the waves left %d, want 7 and 4", role, stayed)
		}
	}
}

// A message that is on its way is taken, answered and kept; what comes after it is not.
func TestWhatIsUnderWayIsAnsweredBeforeTheSessionGoes(t *testing.T) {
	for role, hello := range map[Role]string{LMTP: "LHLO", Receiving: "EHLO"} {
		w, f := newTown(t), &lot.Farewell{}
		c := begin(t, w.serve(role, func(s *Server) { s.Farewell = f }), hello)
		c.says("DATA", "354")
		c.send("Subject: half")
		round := f.Begin()
		round.Tell(round.Left())
		c.send(" a message\r\n\r\ntext\r\n.\r\nMAIL FROM:<carol@example.org>\r\n")
		c.hears("250")
		c.hears("421 4.3.2")
		awaitInside(t, f, 0)
		if got := w.Inbox(w.bob.Account); len(got) != 1 || !strings.Contains(got[0], "half a message") {
			t.Errorf("%s: what was acknowledged is not there: %q", role, got)
		}
	}
}

// A command of which a part has come is waited for.
func TestHalfACommandIsWaitedFor(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	limits := Limits{}.withDefaults(Receiving)
	c := newConn(near, &limits)
	lines, errs := make(chan string, 1), make(chan error, 1)
	go func() {
		line, err := c.readCommand()
		lines <- line
		if err == nil {
			_, err = c.readCommand()
		}
		errs <- err
	}()
	if _, err := far.Write([]byte("NO")); err != nil {
		t.Fatal(err)
	}
	c.Leave()
	if _, err := far.Write([]byte("OP\r\nNOOP\r\n")); err != nil {
		t.Fatal(err)
	}
	if line := <-lines; line != "NOOP" {
		t.Errorf("read %q", line)
	}
	if err := <-errs; err != errShutdown {
		t.Errorf("the next command: %v", err)
	}
}

// Who comes when the others go is told at once, in place of what it came for.
func TestWhoComesLateIsToldAtOnce(t *testing.T) {
	w, f := newTown(t), &lot.Farewell{}
	addr := w.serve(Receiving, func(s *Server) { s.Farewell = f })
	f.Begin()
	c := &client{t: t}
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	c.nc, c.in = nc, bufio.NewReader(nc)
	c.hears("220")
	c.hears("421 4.3.2")
}

// Mail that comes all the while, as fast as it can, is there exactly as often as it was
// acknowledged, whenever its session is sent away.
func TestNoAcknowledgedMessageIsLostOrDoubled(t *testing.T) {
	for role, hello := range map[Role]string{LMTP: "LHLO", Receiving: "EHLO"} {
		w, f := newTown(t), &lot.Farewell{}
		addr := w.serve(role, func(s *Server) { s.Farewell = f })
		const clients = 6
		acknowledged := make(chan int, clients)
		for range clients {
			c := dial(t, addr)
			c.hears("220")
			go func() {
				n := 0
				for c.deliver(hello) {
					n++
				}
				acknowledged <- n
			}()
		}
		round := f.Begin()
		for round.Left() > 0 {
			time.Sleep(10 * time.Millisecond) // they deliver meanwhile
			round.Tell(1)
		}
		want := 0
		for range clients {
			want += <-acknowledged
		}
		awaitInside(t, f, 0)
		if got := len(w.Inbox(w.bob.Account)); got != want || want == 0 {
			t.Errorf("%s: %d messages, %d were acknowledged", role, got, want)
		}
	}
}

// deliver sends a message to bob, and reports whether it was acknowledged.
func (c *client) deliver(hello string) bool {
	for _, step := range []struct{ say, want string }{
		{hello + " mta.example.org", "250"}, {"MAIL FROM:<carol@example.org>", "250"}, {"RCPT TO:<bob@example.test>", "250"}, {"DATA", "354"}, {"Subject: " + rand.Text() + "\r\n\r\ntext\r\n.", "250"},
	} {
		if _, err := c.nc.Write([]byte(step.say + "\r\n")); err != nil {
			return false
		}
		if !strings.HasPrefix(strings.Join(c.reply(), "\n"), step.want) {
			return false
		}
	}
	return true
}
