package smtp

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"flag"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep/internal/auth"
	"lockstep/internal/delivery/deliverytest"
	"lockstep/internal/steady"
	"lockstep/internal/store"
)

var update = flag.Bool("update", false, "rewrite what the servers said in testdata")

const password = "correct-horse"

// town is a house with people in it, and servers at its door.
type town struct {
	*deliverytest.House
	auth       *auth.Service
	alice, bob store.Principal
	full       store.Principal
}

var verifier = sync.OnceValue(func() []byte {
	v, err := auth.HashPassword(context.Background(), password)
	if err != nil {
		panic(err)
	}
	return v
})

func newTown(t testing.TB) *town {
	h := deliverytest.New(t)
	w := &town{House: h, auth: auth.New(h.Store, h.Store, []byte("salts"), slog.New(slog.DiscardHandler))}
	w.alice = h.Account("alice@example.test", 0, verifier())
	w.bob = h.Account("bob@example.test", 0, nil)
	w.full = h.Account("full@example.test", 1, nil)
	h.Address("sales@example.test", w.alice.Account)
	h.Address("@caught.test", w.bob.Account)
	h.Delivery.Postmaster = "alice@example.test"
	return w
}

var certificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mx.example.test"}, DNSNames: []string{"mx.example.test"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
})

func serverTLS() *tls.Config { return &tls.Config{Certificates: []tls.Certificate{certificate()}} }

func clientTLS() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

// serve starts a server of the role and returns its address. It ends with the
// test.
func (w *town) serve(role Role, set func(*Server)) string {
	t := w.T
	t.Helper()
	srv := &Server{Role: role, Hostname: "mx.example.test", Delivery: w.Delivery, Auth: w.auth, Log: slog.New(slog.DiscardHandler)}
	if set != nil {
		set(srv)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return l.Addr().String()
}

// client speaks as a test says.
type client struct {
	t  testing.TB
	nc net.Conn
	in *bufio.Reader
}

const patience = steady.Patience

func dial(t testing.TB, addr string) *client {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(patience))
	return &client{t, nc, bufio.NewReader(nc)}
}

func (c *client) send(text string) {
	c.t.Helper()
	if _, err := c.nc.Write([]byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

// reply reads one reply, all its lines.
func (c *client) reply() []string {
	c.t.Helper()
	var lines []string
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			return append(lines, "("+errorWord(err)+")")
		}
		lines = append(lines, strings.TrimSuffix(line, "\r\n"))
		if len(line) < 4 || line[3] != '-' {
			return lines
		}
	}
}

func errorWord(err error) string {
	if ne, ok := err.(net.Error); ok && ne.Timeout() {
		return "nothing more"
	}
	return "closed"
}

// says sends a line and wants a reply that begins so.
func (c *client) says(line, want string) string {
	c.t.Helper()
	c.send(line + "\r\n")
	return c.hears(want)
}

func (c *client) hears(want string) string {
	c.t.Helper()
	got := strings.Join(c.reply(), "\n")
	if !strings.HasPrefix(got, want) {
		c.t.Fatalf("got %q, want %q", got, want)
	}
	return got
}

func (c *client) startTLS() {
	t := tls.Client(c.nc, clientTLS())
	c.nc, c.in = t, bufio.NewReader(t)
}

var changing = regexp.MustCompile(`kept as [0-9A-Z]+`)

// TestDialogues plays testdata/*.txt: the first line that is no comment says who
// serves, C lines are sent, S lines are expected.
func TestDialogues(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no dialogues", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) { playDialogue(t, f) })
	}
}

func playDialogue(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var c *client
	var heard bytes.Buffer
	var pending []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		said, isClient := strings.CutPrefix(line, "C: ")
		_, isServer := strings.CutPrefix(line, "S:")
		switch {
		case isServer && len(pending) > 0: // of a reply with more lines
			fmt.Fprintln(&heard, "S: "+pending[0])
			pending = pending[1:]
			continue
		case isServer:
			got := c.reply()
			fmt.Fprintln(&heard, "S: "+changing.ReplaceAllString(got[0], "kept as ID"))
			pending = got[1:]
			continue
		}
		for _, more := range pending { // the file had fewer
			fmt.Fprintln(&heard, "S: "+more)
		}
		pending = nil
		fmt.Fprintln(&heard, line)
		switch role, isRole := strings.CutPrefix(line, "server "); {
		case isRole:
			c = openDialogue(t, role)
		case line == "TLS":
			c.startTLS()
		case isClient:
			c.send(said + "\r\n")
		case line == "C:":
			c.send("\r\n")
		}
	}
	for _, more := range pending {
		fmt.Fprintln(&heard, "S: "+more)
	}
	if *update {
		if err := os.WriteFile(file, heard.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if heard.String() != string(text) {
		t.Errorf("the dialogue went\n%s\nand should have gone\n%s", heard.String(), text)
	}
}

func openDialogue(t *testing.T, words string) *client {
	w := newTown(t)
	fields := strings.Fields(words)
	implicit := false
	addr := w.serve(Role(fields[0]), func(s *Server) {
		for _, f := range fields[1:] {
			switch f {
			case "tls":
				s.TLS = serverTLS()
			case "implicit":
				s.TLS, s.Implicit, implicit = serverTLS(), true, true
			case "plain":
				s.AllowPlainAuth = netip.Addr.IsLoopback
			case "sends":
				w.Delivery.CanSend = true
			default:
				t.Fatalf("what is %q?", f)
			}
		}
	})
	c := dial(t, addr)
	if implicit {
		c.startTLS()
	}
	return c
}
