package proxied

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	proxyproto "github.com/pires/go-proxyproto"

	"lockstep/internal/steady"
)

const patience = steady.Patience

// house takes connections, and says of each who it is and what it said.
func house(t *testing.T, o Options) (dial func() net.Conn, heard chan string) {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := Listen(inner, o)
	heard = make(chan string, 10)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if _, ok := c.(syscall.Conn); !ok {
				heard <- "it is no descriptor any more"
			}
			c.SetDeadline(time.Now().Add(patience))
			line, _ := bufio.NewReader(c).ReadString('\n')
			host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
			heard <- host + " " + strings.TrimSpace(line)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return func() net.Conn {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(patience))
		return c
	}, heard
}

func loopback() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }

func version2(command proxyproto.ProtocolVersionAndCommand, from string) string {
	h := &proxyproto.Header{Version: 2, Command: command, TransportProtocol: proxyproto.TCPv4,
		SourceAddr: &net.TCPAddr{IP: net.ParseIP(from), Port: 1234}, DestinationAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 9), Port: 993}}
	if strings.Contains(from, ":") {
		h.TransportProtocol, h.DestinationAddr = proxyproto.TCPv6, &net.TCPAddr{IP: net.ParseIP("2001:db8::9"), Port: 993}
	}
	b, err := h.Format()
	if err != nil {
		panic(err)
	}
	return string(b)
}

func TestWhoConnectsIsWhomTheProxyNames(t *testing.T) {
	for name, c := range map[string]struct {
		from     []netip.Prefix
		optional bool
		said     string
		want     string // "" is refused
	}{
		"version 1":              {loopback(), false, "PROXY TCP4 192.0.2.7 192.0.2.9 1234 993\r\nhello\n", "192.0.2.7 hello"},
		"version 1, IPv6":        {loopback(), false, "PROXY TCP6 2001:db8::7 2001:db8::9 1234 993\r\nhello\n", "2001:db8::7 hello"},
		"version 1, unknown":     {loopback(), false, "PROXY UNKNOWN\r\nhello\n", "127.0.0.1 hello"},
		"version 2":              {loopback(), false, version2(proxyproto.PROXY, "192.0.2.7") + "hello\n", "192.0.2.7 hello"},
		"version 2, IPv6":        {loopback(), false, version2(proxyproto.PROXY, "2001:db8::7") + "hello\n", "2001:db8::7 hello"},
		"a probe of the proxy":   {loopback(), false, version2(proxyproto.LOCAL, "192.0.2.7") + "hello\n", "127.0.0.1 hello"},
		"no header":              {loopback(), false, "hello\n", ""},
		"no header, optional":    {loopback(), true, "POST / HTTP/1.1\n", "127.0.0.1 POST / HTTP/1.1"},
		"TLS, optional":          {loopback(), true, "\x16\x03\x01\n", "127.0.0.1 \x16\x03\x01"},
		"nothing, optional":      {loopback(), true, "", "127.0.0.1 "},
		"header, optional":       {loopback(), true, "PROXY TCP4 192.0.2.7 192.0.2.9 1234 993\r\nhello\n", "192.0.2.7 hello"},
		"half a sign, optional":  {loopback(), true, "PROP\n", "127.0.0.1 PROP"},
		"no address":             {loopback(), false, "PROXY TCP4 nobody 192.0.2.9 1234 993\r\nhello\n", ""},
		"a line without end":     {loopback(), false, "PROXY TCP4 " + strings.Repeat("1", 200) + "\r\n", ""},
		"a header too large":     {loopback(), false, string(proxyproto.SIGV2) + "\x21\x11\xff\xff" + strings.Repeat("x", 1<<16), ""},
		"somebody else":          {[]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, false, "PROXY TCP4 192.0.2.7 192.0.2.9 1234 993\r\nhello\n", "127.0.0.1 PROXY TCP4 192.0.2.7 192.0.2.9 1234 993"},
		"nobody is believed":     {nil, false, "PROXY TCP4 192.0.2.7 192.0.2.9 1234 993\r\nhello\n", "127.0.0.1 PROXY TCP4 192.0.2.7 192.0.2.9 1234 993"},
		"somebody else, honest":  {[]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, false, "hello\n", "127.0.0.1 hello"},
		"a proxy's UDP":          {loopback(), false, string(proxyproto.SIGV2) + "\x21\x12\x00\x0c" + strings.Repeat("\x01", 12) + "hello\n", ""},
		"a version that is none": {loopback(), false, string(proxyproto.SIGV2) + "\x31\x11\x00\x0c" + strings.Repeat("\x01", 12) + "hello\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			dial, heard := house(t, Options{From: c.from, Optional: c.optional})
			conn := dial()
			io.WriteString(conn, c.said)
			conn.(*net.TCPConn).CloseWrite()
			if c.want == "" {
				if n, err := conn.Read(make([]byte, 1)); n > 0 || err == nil {
					t.Errorf("answered: %v", err)
				}
				select {
				case got := <-heard:
					t.Errorf("let in as %q", got)
				default:
				}
				return
			}
			select {
			case got := <-heard:
				if got != c.want {
					t.Errorf("%q, want %q", got, c.want)
				}
			case <-time.After(patience):
				t.Fatal("never")
			}
		})
	}
}

// A header may come in pieces, and who is slow with it keeps nobody out.
func TestHeadersInPieces(t *testing.T) {
	dial, heard := house(t, Options{From: loopback()})
	slow := dial()
	for _, header := range []string{"PROXY TCP4 192.0.2.7 192.0.2.9 1234 993\r\n", version2(proxyproto.PROXY, "192.0.2.7")} {
		io.WriteString(slow, "P")
		c := dial()
		for i := range len(header) {
			io.WriteString(c, header[i:i+1])
		}
		io.WriteString(c, "hello\n")
		if got := <-heard; got != "192.0.2.7 hello" {
			t.Error(got)
		}
		slow = dial()
	}
}

func TestALotOfProxiesThatSayNothingIsBounded(t *testing.T) {
	dial, heard := house(t, Options{From: loopback()})
	_ = heard
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := Listen(inner, Options{From: loopback()}).(*listener)
	defer l.Close()
	for range maxWaiting {
		l.room <- struct{}{} // as many wait
	}
	c, err := net.Dial("tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("one too many was let in")
	}
	for range maxWaiting {
		<-l.room
	}
	dial().Close()
}

// What is read is the header and nothing beyond, whatever it is.
func FuzzReadHeader(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.7 192.0.2.9 1234 993\r\nhello\n"))
	f.Add([]byte(version2(proxyproto.PROXY, "2001:db8::7") + "hello\n"))
	f.Add([]byte(version2(proxyproto.LOCAL, "192.0.2.7")))
	f.Add([]byte("\r\n\r\n\x00\r\nQUIT\n!"))
	f.Fuzz(func(t *testing.T, said []byte) {
		r := bytes.NewReader(said)
		text, err := readHeader(r)
		if err != nil && !errors.Is(err, errNoHeader) {
			return
		}
		if !bytes.HasPrefix(said, text) || len(text)+r.Len() != len(said) || len(text) > maxHeader+16 {
			t.Fatalf("read %d bytes, %d are left of %d", len(text), r.Len(), len(said))
		}
		if err != nil {
			return
		}
		h, err := proxyproto.Read(bufio.NewReader(bytes.NewReader(text)))
		if err != nil {
			return
		}
		near, far := net.Pipe()
		defer near.Close()
		defer far.Close()
		if c, err := by(near, h); err == nil {
			_ = fmt.Sprint(c.RemoteAddr())
		}
	})
}
