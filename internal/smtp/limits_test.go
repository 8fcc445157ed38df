package smtp

import (
	"net/netip"
	"testing"
)

func TestOneAddressIsAnIPv6Network(t *testing.T) {
	l := Limits{Connections: 100, ConnectionsPerAddress: 1}
	var gate turnstile
	for _, c := range []struct {
		addr string
		want bool
	}{
		{"2001:db8::1", true}, {"2001:db8::2", false}, {"2001:db8:0:1::1", true},
		{"192.0.2.1", true}, {"192.0.2.2", true}, {"::ffff:192.0.2.1", false},
	} {
		if got := gate.enter(netip.MustParseAddr(c.addr), &l); got != c.want {
			t.Errorf("%s: %v, want %v", c.addr, got, c.want)
		}
	}
	gate.leave(netip.MustParseAddr("2001:db8::7"))
	if !gate.enter(netip.MustParseAddr("2001:db8::9"), &l) {
		t.Error("the place was not given back")
	}
}

func TestDefaults(t *testing.T) {
	for _, r := range []Role{LMTP, Receiving, Submission} {
		if got := (Limits{}).withDefaults(r); got != DefaultLimits(r) {
			t.Errorf("%s: %+v", r, got)
		}
		if got := (Limits{Errors: 7}).withDefaults(r); got.Errors != 7 || got.MessageBytes != DefaultLimits(r).MessageBytes {
			t.Errorf("%s: %+v", r, got)
		}
	}
}
