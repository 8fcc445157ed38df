package httpd

import (
	"crypto/tls"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// What a proxy of ours says of who asks: X-Forwarded-For and X-Forwarded-Proto, or
// Forwarded (RFC 7239). Of anybody else it is not believed.

// forwarded has what is mounted see clients where proxies stand between. A request
// whose two headers contradict each other is refused: most proxies write one of them and
// hand the other on as the client wrote it.
func (s *Server) forwarded(next http.Handler) http.Handler {
	if len(s.Proxies) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || !s.isProxy(from.Addr()) {
			next.ServeHTTP(w, r)
			return
		}
		said, ok := s.saidOf(r.Header)
		if !ok {
			http.Error(w, "X-Forwarded-For and Forwarded name different clients: the proxy has to remove the one that it does not write", http.StatusBadRequest)
			return
		}
		next.ServeHTTP(w, said.applied(r))
	})
}

func (s *Server) isProxy(a netip.Addr) bool {
	return slices.ContainsFunc(s.Proxies, func(p netip.Prefix) bool { return p.Contains(a.Unmap()) })
}

// said is what proxies say of a request; the zero said is nothing.
type said struct {
	addr  netip.Addr
	proto string
}

// applied is the request as it was made to the first of our proxies.
func (d said) applied(r *http.Request) *http.Request {
	r = r.WithContext(r.Context()) // a copy
	if d.addr.IsValid() {
		r.RemoteAddr = netip.AddrPortFrom(d.addr, 0).String()
	}
	switch {
	case d.proto == "http": // it may have come in the clear before
		r.TLS = nil
	case d.proto == "https" && r.TLS == nil:
		r.TLS = &tls.ConnectionState{}
	}
	return r
}

// saidOf reads the headers; false if they contradict each other.
func (s *Server) saidOf(h http.Header) (said, bool) {
	one := s.nearest(elements(h, "X-Forwarded-For", func(e string) said { return said{addr: address(e)} }))
	other := s.nearest(elements(h, "Forwarded", forwardedElement))
	if one.addr.IsValid() && other.addr.IsValid() && one.addr != other.addr {
		return said{}, false
	}
	if one.addr.IsValid() || !other.addr.IsValid() && h.Get("Forwarded") == "" {
		protos := h.Values("X-Forwarded-Proto")
		if len(protos) > 0 {
			all := strings.Split(protos[len(protos)-1], ",")
			one.proto = strings.ToLower(strings.TrimSpace(all[len(all)-1]))
		}
		return one, true
	}
	return other, true
}

// nearest goes from the proxy that is connected to us back to the first whom none of
// ours stands for. What lies before, anybody may have written.
func (s *Server) nearest(all []said) (d said) {
	for _, e := range slices.Backward(all) {
		if !e.addr.IsValid() {
			return d
		}
		d = e
		if !s.isProxy(e.addr) {
			return d
		}
	}
	return d
}

func elements(h http.Header, name string, read func(string) said) (all []said) {
	for _, line := range h.Values(name) {
		for e := range strings.SplitSeq(line, ",") {
			all = append(all, read(strings.TrimSpace(e)))
		}
	}
	return all
}

// forwardedElement reads one hop of Forwarded: for=192.0.2.1;proto=https.
func forwardedElement(e string) (d said) {
	for pair := range strings.SplitSeq(e, ";") {
		name, value, _ := strings.Cut(pair, "=")
		value = strings.Trim(strings.TrimSpace(value), `"`)
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "for":
			d.addr = address(value)
		case "proto":
			d.proto = strings.ToLower(value)
		}
	}
	return d
}

// address reads an address, also with a port and in brackets; invalid if it is none.
func address(s string) netip.Addr {
	if at, err := netip.ParseAddrPort(s); err == nil {
		return at.Addr().Unmap().WithZone("")
	}
	a, _ := netip.ParseAddr(strings.Trim(s, "[]"))
	return a.Unmap().WithZone("")
}
