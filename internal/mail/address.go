package mail

import (
	"net"
	"net/netip"
	"unicode/utf8"
)

// AddrOf is where a client connects from. Who comes by anything but TCP is on
// this machine.
func AddrOf(c interface{ RemoteAddr() net.Addr }) netip.Addr {
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap()
	}
	return netip.IPv6Loopback()
}

// Network is what counts as one address where clients are counted: an IPv6
// customer has a whole /64.
func Network(a netip.Addr) netip.Prefix {
	a = a.Unmap()
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}

// IsASCII reports whether protocols that know no UTF-8 can say s.
func IsASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
