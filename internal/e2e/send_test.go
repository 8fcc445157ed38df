package e2e

import (
	"net"
	"net/textproto"
	"strings"
	"testing"
)

// lmtp delivers one message and wants it taken.
func (s *server) lmtp(to, text string) {
	s.t.Helper()
	if err := s.tryLMTP(to, text); err != nil {
		s.t.Fatal(err)
	}
}

// tryLMTP delivers one message; nil is an acknowledgement.
func (s *server) tryLMTP(to, text string) error {
	return s.tryLMTPFrom("friend@elsewhere.example", to, text)
}

func (s *server) tryLMTPFrom(from, to, text string) error {
	nc, err := net.Dial("tcp", "127.0.0.1:"+s.ports["lmtp"])
	if err != nil {
		return err
	}
	defer nc.Close()
	c := textproto.NewConn(nc)
	if _, _, err := c.ReadResponse(220); err != nil {
		return err
	}
	for _, step := range []struct {
		line string
		code int
	}{{"LHLO client.example", 250}, {"MAIL FROM:<" + from + ">", 250}, {"RCPT TO:<" + to + ">", 250}, {"DATA", 354}} {
		if err := c.PrintfLine("%s", step.line); err != nil {
			return err
		}
		if _, _, err := c.ReadResponse(step.code); err != nil {
			return err
		}
	}
	w := c.DotWriter()
	if _, err := w.Write([]byte(text)); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	_, _, err = c.ReadResponse(250)
	return err
}

// swaks sends by each door; what has to be refused is.
func TestSwaksSends(t *testing.T) {
	need(t, "swaks")
	s := newServer(t, "")
	s.start()
	s.addAccount(alice)
	s.addAccount("bob@example.test")
	at := func(name string) string { return "127.0.0.1:" + s.ports[name] }
	for _, args := range [][]string{
		{"--server", at("lmtp"), "--protocol", "LMTP", "--from", "x@elsewhere.example", "--to", alice + ",bob@example.test"},
		{"--server", at("smtp"), "--from", "x@elsewhere.example", "--to", alice},
		{"--server", at("smtp"), "--tls", "--from", "x@elsewhere.example", "--to", alice},
		{"--server", at("submission"), "--tls", "--auth", "PLAIN", "--auth-user", alice, "--auth-password", password, "--from", alice, "--to", "bob@example.test"},
		{"--server", at("submissions"), "--tls-on-connect", "--auth", "LOGIN", "--auth-user", alice, "--auth-password", password, "--from", alice, "--to", "bob@example.test"},
	} {
		program(t, t.TempDir(), nil, "swaks", append(args, "--silent", "2", "--timeout", "20")...)
	}
	if n := s.messages("INBOX"); n != "3" {
		t.Errorf("Alice has %s messages", n)
	}
	for want, args := range map[string][]string{
		"550": {"--server", at("smtp"), "--from", "x@elsewhere.example", "--to", "nobody@example.test"},
		"5":   {"--server", at("smtp"), "--from", "x@elsewhere.example", "--to", "x@elsewhere.example"},
		"530": {"--server", at("submission"), "--from", alice, "--to", alice},
		"535": {"--server", at("submission"), "--tls", "--auth", "PLAIN", "--auth-user", alice, "--auth-password", "wrong", "--from", alice, "--to", alice},
	} {
		out, err := programFails(t, "swaks", append(args, "--timeout", "20")...)
		if err == nil || !strings.Contains(out, "<** "+want) && !strings.Contains(out, "<~* "+want) && !strings.Contains(out, "<~  "+want) {
			t.Errorf("swaks %v: %v, want %s\n%s", args, err, want, out)
		}
	}
	s.stop()
}

// messages is how many messages a mailbox of Alice's has, as the command line says.
func (s *server) messages(mailbox string) string {
	s.t.Helper()
	for line := range strings.Lines(s.lockstep("", "mailbox", "list", alice)) {
		if f := strings.Fields(line); len(f) > 2 && f[0] == mailbox {
			for _, w := range f[1:] {
				if w[0] >= '0' && w[0] <= '9' {
					return w
				}
			}
		}
	}
	return ""
}

// curl reads by IMAP, with and without TLS.
func TestCurlReads(t *testing.T) {
	need(t, "curl")
	s := newServer(t, "")
	s.start()
	s.addAccount(alice)
	s.lmtp(alice, "Subject: by curl\r\n\r\nThe body.\r\n")
	for _, args := range [][]string{
		{"imap://127.0.0.1:" + s.ports["imap"] + "/INBOX;UID=1"},
		{"--ssl-reqd", "--cacert", s.dir + "/self-signed.crt", "imap://localhost:" + s.ports["imap"] + "/INBOX;UID=1"},
		{"--cacert", s.dir + "/self-signed.crt", "imaps://localhost:" + s.ports["imaps"] + "/INBOX;UID=1"},
	} {
		out := program(t, t.TempDir(), nil, "curl", append([]string{"-sS", "--fail", "-4", "-u", alice + ":" + password}, args...)...)
		if !strings.Contains(out, "Subject: by curl\r\n\r\nThe body.\r\n") || !strings.Contains(out, "Return-Path: <friend@elsewhere.example>") {
			t.Errorf("curl %v:\n%s", args, out)
		}
	}
	if out, err := programFails(t, "curl", "-sS", "-u", alice+":wrong", "imap://127.0.0.1:"+s.ports["imap"]+"/INBOX"); err == nil {
		t.Error(out)
	}
	s.stop()
}
