package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// Behind a balancer people are who they are, and not the balancer: their addresses
// decide what they may, and are shown.
func TestBehindABalancerAddressesAreTheClients(t *testing.T) {
	s := newServer(t, "proxies = [\"127.0.0.1\"]\n")
	s.start() // asks for its health by HTTP, without a header
	s.addAccount(alice)
	for from, want := range map[string]string{"192.0.2.7": "NO [PRIVACYREQUIRED]", "127.0.0.2": "OK"} {
		c, in := s.connect("imap", false)
		fmt.Fprintf(c, "PROXY TCP4 %s 192.0.2.9 4711 143\r\na LOGIN %s \"%s\"\r\nb IDLE\r\n", from, alice, password)
		var heard strings.Builder
		for !strings.Contains(heard.String(), "\r\na ") || !strings.HasSuffix(heard.String(), "\n") {
			line, err := in.ReadString('\n')
			if heard.WriteString(line); err != nil {
				t.Fatalf("%s: %v after %q", from, err, heard.String())
			}
		}
		if !strings.Contains(heard.String(), "\r\na "+want) {
			t.Errorf("from %s: %q, want %s", from, heard.String(), want)
		}
	}
	c, in := s.connect("imap", false)
	fmt.Fprintf(c, "a NOOP\r\n")
	if got := rest(in); got != "" {
		t.Errorf("a balancer that does not say for whom heard %q", got)
	}
	if out := s.lockstep("", "doctor", "--fast"); !strings.Contains(out, "All is well") {
		t.Error(out)
	}
	s.stop()
}
