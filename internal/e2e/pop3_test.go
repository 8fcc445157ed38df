package e2e

import (
	"fmt"
	"net"
	"net/textproto"
	"path/filepath"
	"strings"
	"testing"
)

// Python's poplib fetches and deletes, with STLS and under TLS.
func TestPoplib(t *testing.T) {
	need(t, "python3")
	s := newServer(t, "")
	s.start()
	s.addAccount(alice)
	for i := range 3 {
		s.lmtp(alice, fmt.Sprintf("Subject: message %d\r\n\r\nfirst line\r\n.\r\nend %d\r\n", i+1, i+1))
	}
	script, err := filepath.Abs("testdata/poplib_test.py")
	if err != nil {
		t.Fatal(err)
	}
	if out := program(t, t.TempDir(), nil, "python3", script, s.ports["pop3"], s.ports["pop3s"], alice, password); !strings.Contains(out, "all well") {
		t.Error(out)
	}
	if n := s.metric("pop3_deleted_total", ""); n != 1 {
		t.Errorf("%d deleted, want 1", n)
	}
	if out := s.lockstep("", "device", "list", alice); !strings.Contains(out, "download only") {
		t.Errorf("the device is not shown as download only:\n%s", out)
	}
	if out := s.lockstep("", "history", alice); !strings.Contains(out, "(pop3) moved 1 message from INBOX to Trash") {
		t.Errorf("the history does not say who deleted:\n%s", out)
	}
}

// curl lists, fetches and deletes by URL, and signs in by SASL.
func TestCurlFetchesByPOP3(t *testing.T) {
	need(t, "curl")
	s := newServer(t, "")
	s.start()
	s.addAccount(alice)
	secret := s.addDevice("curl")
	for i := range 3 {
		s.lmtp(alice, fmt.Sprintf("Subject: message %d\r\n\r\nBody %d.\r\n", i+1, i+1))
	}
	curl := func(url, user string, args ...string) string {
		t.Helper()
		return program(t, t.TempDir(), nil, "curl", append([]string{"-sS", "-k", "--max-time", "20", "--user", user, url}, args...)...)
	}
	for _, base := range []string{"pop3://127.0.0.1:" + s.ports["pop3"], "pop3s://127.0.0.1:" + s.ports["pop3s"]} {
		for _, c := range []struct{ user, mech string }{{alice + ":" + password, "PLAIN"}, {alice + ":" + secret, "LOGIN"}} {
			options := []string{"--ssl-reqd", "--login-options", "AUTH=" + c.mech}
			if out := curl(base, c.user, options...); !strings.HasPrefix(out, "1 ") || strings.Count(out, "\n") != 3 {
				t.Errorf("%s by %s lists %q", base, c.mech, out)
			}
			if out := curl(base+"/2", c.user, options...); !strings.HasSuffix(out, "Subject: message 2\r\n\r\nBody 2.\r\n") {
				t.Errorf("%s by %s fetches %q", base, c.mech, out)
			}
		}
	}
	curl("pop3://127.0.0.1:"+s.ports["pop3"]+"/1", alice+":"+password, "-X", "DELE", "--list-only")
	if out := curl("pop3://127.0.0.1:"+s.ports["pop3"], alice+":"+password); strings.Count(out, "\n") != 2 {
		t.Errorf("after DELE it lists %q", out)
	}
}

// One device expunges by IMAP while another has the maildrop open by POP3: it still
// gets what it saw, and its own deletions are seen in IMAP at once.
func TestPOP3BesideIMAP(t *testing.T) {
	s := newServer(t, "")
	s.start()
	s.addAccount(alice)
	for i := range 3 {
		s.lmtp(alice, fmt.Sprintf("Subject: message %d\r\n\r\nBody %d.\r\n", i+1, i+1))
	}
	pop := s.pop3(t)
	im, err := s.dial(alice, password)
	if err != nil {
		t.Fatal(err)
	}
	defer im.close()
	must := func(command string) string {
		t.Helper()
		said, err := im.do("%s", command)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(said, "")
	}
	must("SELECT INBOX")
	must(`STORE 2 +FLAGS (\Deleted)`)
	must("EXPUNGE")
	pop.say(t, "RETR 2")
	text, err := pop.ReadDotLines()
	if err != nil || text[len(text)-1] != "Body 2." {
		t.Fatalf("%q, %v", text, err)
	}
	pop.say(t, "DELE 1")
	pop.say(t, "DELE 2")
	pop.say(t, "QUIT")
	if out := must("NOOP"); !strings.Contains(out, "* 1 EXPUNGE") {
		t.Errorf("IMAP was not told: %q", out)
	}
	if out := must("STATUS Trash (MESSAGES)"); !strings.Contains(out, "MESSAGES 1") {
		t.Errorf("the trash has %q", out)
	}
	if out := must("FETCH 1 FLAGS"); strings.Contains(out, `\Seen`) {
		t.Errorf("fetching marked as read: %q", out)
	}
}

// popClient is a POP3 client that does one thing after the other.
type popClient struct{ *textproto.Conn }

// pop3 connects and signs in.
func (s *server) pop3(t *testing.T) popClient {
	t.Helper()
	nc, err := net.Dial("tcp", "127.0.0.1:"+s.ports["pop3"])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	c := popClient{textproto.NewConn(nc)}
	if _, err := c.ReadLine(); err != nil {
		t.Fatal(err)
	}
	c.say(t, "USER "+alice)
	c.say(t, "PASS "+password)
	return c
}

// say runs a command that succeeds.
func (c popClient) say(t *testing.T, command string) {
	t.Helper()
	if err := c.PrintfLine("%s", command); err != nil {
		t.Fatal(err)
	}
	if line, err := c.ReadLine(); err != nil || !strings.HasPrefix(line, "+OK") {
		t.Fatalf("%s: %q, %v", command, line, err)
	}
}
