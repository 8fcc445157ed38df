package httpd

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func TestWhoIsBelievedOfAClientsAddress(t *testing.T) {
	s := &Server{Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}}
	var seen string
	h := s.forwarded(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		at, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil {
			t.Error(err)
		}
		seen = fmt.Sprint(at.Addr(), " ", r.TLS != nil)
	}))
	for _, c := range []struct {
		from, headers string
		tls           bool
		want          string
	}{
		{"192.0.2.9:1", "X-Forwarded-For: 203.0.113.1", false, "192.0.2.9 false"},
		{"192.0.2.9:1", "X-Forwarded-Proto: https", false, "192.0.2.9 false"},
		{"10.0.0.1:1", "", false, "10.0.0.1 false"},
		{"10.0.0.1:1", "X-Forwarded-For: 203.0.113.1", false, "203.0.113.1 false"},
		{"[::ffff:10.0.0.1]:1", "X-Forwarded-For: 203.0.113.1", false, "203.0.113.1 false"},
		{"10.0.0.1:1", "X-Forwarded-For: 203.0.113.1|X-Forwarded-Proto: https", false, "203.0.113.1 true"},
		{"10.0.0.1:1", "X-Forwarded-For: 203.0.113.1|X-Forwarded-Proto: http", true, "203.0.113.1 false"},
		{"10.0.0.1:1", "X-Forwarded-For: 203.0.113.1", true, "203.0.113.1 true"},
		{"10.0.0.1:1", "X-Forwarded-For: 198.51.100.7, 203.0.113.1", false, "203.0.113.1 false"},
		{"10.0.0.1:1", "X-Forwarded-For: 198.51.100.7, 203.0.113.1, 10.1.1.1, 10.2.2.2", false, "203.0.113.1 false"},
		{"10.0.0.1:1", "X-Forwarded-For: 198.51.100.7|X-Forwarded-For: 203.0.113.1", false, "203.0.113.1 false"},
		{"10.0.0.1:1", "X-Forwarded-For: 203.0.113.1:4711", false, "203.0.113.1 false"},
		{"[fd00::1]:1", "X-Forwarded-For: [2001:db8::1]:4711", false, "2001:db8::1 false"},
		{"10.0.0.1:1", "X-Forwarded-For: 203.0.113.1, nonsense", false, "10.0.0.1 false"},
		{"10.0.0.1:1", "X-Forwarded-For: 203.0.113.1, nonsense, 10.3.3.3", false, "10.3.3.3 false"},
		{"10.0.0.1:1", "X-Forwarded-For: 10.9.9.9", false, "10.9.9.9 false"},
		{"10.0.0.1:1", `Forwarded: for="[2001:db8::1]:4711";proto=https;by=10.0.0.1`, false, "2001:db8::1 true"},
		{"10.0.0.1:1", "Forwarded: for=198.51.100.7, For=203.0.113.1; Proto=HTTPS", false, "203.0.113.1 true"},
		{"10.0.0.1:1", "Forwarded: for=_hidden;proto=https", false, "10.0.0.1 false"},
		{"10.0.0.1:1", "Forwarded: for=unknown", false, "10.0.0.1 false"},
		{"10.0.0.1:1", "X-Forwarded-For: 203.0.113.1|Forwarded: for=203.0.113.1|X-Forwarded-Proto: https", false, "203.0.113.1 true"},
		{"10.0.0.1:1", "X-Forwarded-For: 203.0.113.1|Forwarded: for=198.51.100.7", false, "400"},
		{"192.0.2.9:1", "X-Forwarded-For: 203.0.113.1|Forwarded: for=198.51.100.7", false, "192.0.2.9 false"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr, r.TLS = c.from, nil
		if c.tls {
			r.TLS = &tls.ConnectionState{}
		}
		for line := range strings.SplitSeq(c.headers, "|") {
			if name, value, ok := strings.Cut(line, ": "); ok {
				r.Header.Add(name, value)
			}
		}
		w := httptest.NewRecorder()
		seen = ""
		h.ServeHTTP(w, r)
		if w.Code != 200 {
			seen = fmt.Sprint(w.Code)
		}
		if seen != c.want {
			t.Errorf("from %s with %q: %s, want %s", c.from, c.headers, seen, c.want)
		}
	}
}

func FuzzForwarded(f *testing.F) {
	for _, seed := range []string{"203.0.113.1, 10.1.1.1", `for="[2001:db8::1]:4711";proto=https`, "for=_x, for=unknown;;=,"} {
		f.Add(seed)
	}
	s := &Server{Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	f.Fuzz(func(t *testing.T, line string) {
		for _, name := range []string{"X-Forwarded-For", "Forwarded"} {
			d, ok := s.saidOf(http.Header{name: {line}})
			if !ok {
				t.Error("one header contradicts itself")
			}
			if d.addr.IsValid() && (d.addr.Is4In6() || d.addr.Zone() != "") {
				t.Errorf("%v", d.addr)
			}
		}
	})
}
