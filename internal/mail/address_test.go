package mail

import (
	"net"
	"net/netip"
	"testing"
)

func TestNetwork(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1": "192.0.2.1/32", "::ffff:192.0.2.1": "192.0.2.1/32", "2001:db8::1": "2001:db8::/64", "2001:db8:0:1::9": "2001:db8:0:1::/64",
	} {
		if got := Network(netip.MustParseAddr(addr)).String(); got != want {
			t.Errorf("%s is of %s, want %s", addr, got, want)
		}
	}
	if got := Network(netip.Addr{}); got.IsValid() {
		t.Errorf("no address is of %v", got)
	}
}

func TestAddrOf(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if got := AddrOf(a); !got.IsLoopback() {
		t.Errorf("a pipe comes from %v", got)
	}
	if got := AddrOf(peer{&net.TCPAddr{IP: net.ParseIP("::ffff:192.0.2.1"), Port: 1}}); got != netip.MustParseAddr("192.0.2.1") {
		t.Errorf("got %v", got)
	}
}

type peer struct{ addr net.Addr }

func (p peer) RemoteAddr() net.Addr { return p.addr }

func TestIsASCII(t *testing.T) {
	for s, want := range map[string]bool{"": true, "a\x00\x7f": true, "\x80": false, "ä": false, "a\u0100": false} {
		if IsASCII(s) != want {
			t.Errorf("%q: %v", s, !want)
		}
	}
}
