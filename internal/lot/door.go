package lot

import (
	"net/netip"
	"sync"

	"lockstep/internal/mail"
)

// A Door counts who is in, of all and of each address. The zero Door is ready.
type Door struct {
	mu    sync.Mutex
	total int
	from  map[netip.Prefix]int
}

// Enter lets somebody in if there is room: for most at once, and for perAddress from
// one address, an IPv6 /64 counting as one.
func (d *Door) Enter(a netip.Addr, most, perAddress int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := mail.Network(a)
	if d.total >= most || d.from[n] >= perAddress {
		return false
	}
	if d.from == nil {
		d.from = map[netip.Prefix]int{}
	}
	d.total++
	d.from[n]++
	return true
}

// Leave lets out who came in.
func (d *Door) Leave(a netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := mail.Network(a)
	d.total--
	if d.from[n]--; d.from[n] == 0 {
		delete(d.from, n)
	}
}

// Inside is how many are in.
func (d *Door) Inside() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.total
}
