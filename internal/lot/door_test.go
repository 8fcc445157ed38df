package lot

import (
	"net/netip"
	"testing"
)

func TestTheDoorCountsNetworks(t *testing.T) {
	d := Door{Most: 4, PerAddress: 2}
	for i, c := range []struct {
		addr string
		in   bool
	}{
		{"192.0.2.1", true}, {"192.0.2.1", true}, {"192.0.2.1", false}, {"::ffff:192.0.2.1", false},
		{"2001:db8::1", true}, {"2001:db8::2", true}, {"2001:db8::3", false}, {"198.51.100.1", false}, // four are in
	} {
		if got := d.Enter(netip.MustParseAddr(c.addr)); got != c.in {
			t.Errorf("%d: %s is in: %v", i, c.addr, got)
		}
	}
	d.Leave(netip.MustParseAddr("2001:db8::1"))
	if d.Inside() != 3 || !d.Enter(netip.MustParseAddr("2001:db8::9")) {
		t.Error("who left still counts")
	}
}
