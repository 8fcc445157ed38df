package lot

import (
	"net/netip"
	"testing"
)

func TestADoorCountsOfAllAndOfEachAddress(t *testing.T) {
	var d Door
	for i, c := range []struct {
		addr string
		want bool
	}{
		{"2001:db8::1", true}, {"2001:db8::2", true},
		{"2001:db8::3", false}, // the same customer
		{"2001:db8:0:1::1", true}, {"192.0.2.1", true}, {"::ffff:192.0.2.1", true}, {"192.0.2.1", false},
		{"192.0.2.2", false}, // the house is full
	} {
		if got := d.Enter(netip.MustParseAddr(c.addr), 5, 2); got != c.want {
			t.Errorf("%d, %s: %v, want %v", i, c.addr, got, c.want)
		}
	}
	d.Leave(netip.MustParseAddr("2001:db8::7"))
	if d.Inside() != 4 || !d.Enter(netip.MustParseAddr("2001:db8::9"), 5, 2) {
		t.Error("the place was not given back")
	}
}
