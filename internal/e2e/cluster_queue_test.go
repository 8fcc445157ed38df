package e2e

import (
	"fmt"
	"net"
	"net/smtp"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep/internal/steady"
)

// relay is a server elsewhere that takes messages, and counts them by their subjects. Of
// those that it is to keep waiting it says nothing once it has them.
type relay struct {
	addr    string
	mu      sync.Mutex
	waits   bool
	waiting int
	got     map[string]int
}

func startRelay(t *testing.T) *relay {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	r := &relay{addr: l.Addr().String(), got: map[string]int{}}
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go r.serve(textproto.NewConn(nc))
		}
	}()
	return r
}

// serve speaks as much SMTP as it takes.
func (r *relay) serve(c *textproto.Conn) {
	defer c.Close()
	c.PrintfLine("220 relay.test")
	for {
		line, err := c.ReadLine()
		if err != nil {
			return
		}
		switch verb, _, _ := strings.Cut(strings.ToUpper(line), " "); verb {
		case "EHLO":
			c.PrintfLine("250-relay.test\r\n250-8BITMIME\r\n250 SMTPUTF8")
			continue
		case "DATA":
		default:
			c.PrintfLine("250 OK")
			continue
		}
		c.PrintfLine("354 go on")
		lines, err := c.ReadDotLines()
		if err != nil {
			return
		}
		if !r.take(lines) {
			_, _ = c.ReadLine() // until who sends is gone
			return
		}
		c.PrintfLine("250 OK")
	}
}

func (r *relay) take(lines []string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waits {
		r.waiting++
		return false
	}
	for _, l := range lines {
		if strings.HasPrefix(l, "Subject: ") {
			r.got[l]++
		}
	}
	return true
}

func (r *relay) counts() (waiting, got, most int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.got {
		most = max(most, n)
	}
	return r.waiting, len(r.got), most
}

// submit hands a message to somebody elsewhere in.
func (s *server) submit(subject string) {
	s.t.Helper()
	c, err := smtp.Dial("127.0.0.1:" + s.ports["submission"])
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	if err := c.Auth(smtp.PlainAuth("", alice, password, "127.0.0.1")); err != nil {
		s.t.Fatal(err)
	}
	if err := c.Mail(alice); err != nil {
		s.t.Fatal(err)
	}
	if err := c.Rcpt("friend@elsewhere.example"); err != nil {
		s.t.Fatal(err)
	}
	w, err := c.Data()
	if err == nil {
		_, err = fmt.Fprintf(w, "From: %s\r\nTo: friend@elsewhere.example\r\nSubject: %s\r\n\r\nHello.\r\n", alice, subject)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// What a node had in hand when it was killed is sent by another, once, and within a
// minute; what comes meanwhile is sent at once.
func TestMailOfANodeThatWasKilledIsSentByAnother(t *testing.T) {
	t.Parallel()
	r := startRelay(t)
	all := nodesWith(t, 2, "", fmt.Sprintf("[outgoing]\nvia = \"relay\"\nrelay = %q\nrelay_tls = \"none\"\n", r.addr))
	all[0].addAccount(alice)
	const letters = 5
	r.waits = true
	all[1].stop()
	for i := range letters {
		all[0].submit(fmt.Sprintf("%d", i))
	}
	if !eventually(func() bool { waiting, _, _ := r.counts(); return waiting == letters }) {
		waiting, _, _ := r.counts()
		t.Fatalf("%d of %d are under way\n%s", waiting, letters, all[0].log)
	}
	all[1].start()
	all[0].kill()
	r.mu.Lock()
	r.waits = false
	r.mu.Unlock()
	all[1].submit("meanwhile")
	if !eventually(func() bool { _, got, _ := r.counts(); return got == 1 }) {
		t.Fatal("what comes meanwhile is not sent")
	}
	began := time.Now()
	for deadline := began.Add(steady.Patience); ; time.Sleep(100 * time.Millisecond) {
		if _, got, most := r.counts(); got == letters+1 && most == 1 {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("%d of %d came, one of them %d times\n%s", got, letters+1, most, all[1].log)
		}
	}
	t.Logf("sent by another after %v", time.Since(began).Round(time.Second))
	all[1].stop()
	if _, got, most := r.counts(); got != letters+1 || most != 1 {
		t.Errorf("%d came, one of them %d times", got, most)
	}
}
