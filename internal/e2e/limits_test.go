package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What the configuration bounds is bounded, by whatever protocol: at the bound it
// goes, one past it is refused.
func TestConfiguredLimitsHold(t *testing.T) {
	s := newServer(t, "[limits]\nmessage = \"10kB\"\nconnections_per_address = 3\nrecipients = 1\n[accounts]\nquota = \"25kB\"\n[auth]\nplaintext = \"never\"\n")
	s.addAccount(alice)
	s.start()
	count := 0
	sized := func(n int) string { // no two alike: the same again would be taken for a retry
		count++
		head := fmt.Sprintf("Subject: %d\r\n\r\n", count)
		return head + strings.Repeat("x", n-len(head)-2) + "\r\n"
	}
	if err := s.tryLMTP(alice, sized(10_000)); err != nil {
		t.Errorf("a message of just limits.message: %v", err)
	}
	if err := s.tryLMTP(alice, sized(10_001)); err == nil || !strings.Contains(err.Error(), "552") {
		t.Errorf("a message past limits.message: %v", err)
	}
	file := filepath.Join(t.TempDir(), "in.mbox")
	text := "From x@y.example Mon Jan  5 10:00:00 2026\n" + sized(20_000) + "\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := s.lockstep("", "import", alice, file); !strings.Contains(out, "could not be taken: 1") || !strings.Contains(out, "limits.message") {
		t.Error(out)
	}
	if err := s.tryLMTP(alice, sized(10_000)); err != nil {
		t.Error(err)
	}
	if err := s.tryLMTP(alice, sized(9_000)); err == nil || !strings.Contains(err.Error(), "452") && !strings.Contains(err.Error(), "552") {
		t.Errorf("past the quota: %v", err)
	}
	if _, err := s.dial(alice, password); err == nil || !strings.Contains(err.Error(), "PRIVACYREQUIRED") {
		t.Errorf("a password in clear: %v", err)
	}
	s.holdConnections(t, 3)
	s.stop()
}

// holdConnections wants so many IMAP connections to be greeted, and no more.
func (s *server) holdConnections(t *testing.T, want int) {
	t.Helper()
	for i := range want + 1 {
		var greeting string
		eventually(func() bool { // what was closed just now may still count
			c, err := net.Dial("tcp", "127.0.0.1:"+s.ports["imap"])
			if err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 1000)
			_ = c.SetReadDeadline(time.Now().Add(patience))
			n, _ := c.Read(buf)
			greeting = string(buf[:n])
			if strings.HasPrefix(greeting, "* OK") {
				t.Cleanup(func() { c.Close() })
				return true
			}
			c.Close()
			return i == want
		})
		if ok := strings.HasPrefix(greeting, "* OK"); ok != (i < want) {
			t.Errorf("connection %d: %q", i+1, greeting)
		}
	}
}

// A client that says nonsense gets its protocol's word for it and a bound.
func TestNonsenseIsAnswered(t *testing.T) {
	s := newServer(t, "")
	s.start()
	for name, want := range map[string]string{"imap": "BAD", "smtp": "50", "submission": "50", "lmtp": "50", "http": "400 Bad Request"} {
		c, err := net.Dial("tcp", "127.0.0.1:"+s.ports[name])
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(patience))
		garbage := bytes.Repeat([]byte("\x00\xff{99999999999}\r\n nonsense \x80\r\n"), 200)
		go func() {
			_, _ = c.Write(garbage) // it may hang up before the end
			_ = c.(*net.TCPConn).CloseWrite()
		}()
		said, _ := io.ReadAll(io.LimitReader(c, 1<<20)) // until it hangs up
		if !strings.Contains(string(said), want) {
			t.Errorf("%s: want %s in %.300q", name, want, said)
		}
		c.Close()
	}
	if s.get("/healthz") != "ok\n" {
		t.Error("the server is not well")
	}
	s.stop()
	if strings.Contains(fmt.Sprint(s.log), "panic") {
		t.Error(s.log)
	}
}
