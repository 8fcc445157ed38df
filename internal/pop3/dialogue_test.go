package pop3

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"flag"
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
	"lockstep/internal/mail"
	"lockstep/internal/steady"
	"lockstep/internal/store"
)

var update = flag.Bool("update", false, "rewrite what the server said in testdata")

const (
	login    = "alice@example.test"
	password = "correct horse"
)

var verifier = sync.OnceValue(func() []byte {
	v, err := auth.HashPassword(context.Background(), password)
	if err != nil {
		panic(err)
	}
	return v
})

var certificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"pop.example.test"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
})

func clientTLS() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

// town is a house in which Alice lives.
type town struct {
	*deliverytest.House
	auth  *auth.Service
	alice store.Principal
}

func newTown(t testing.TB) *town {
	h := deliverytest.New(t)
	w := &town{House: h, auth: auth.New(h.Store, h.Store, []byte("salts"), slog.New(slog.DiscardHandler))}
	w.alice = h.Account(login, 0, verifier())
	return w
}

// bodies opens blobs as a Server wants them.
type bodies struct{ *deliverytest.House }

func (b bodies) Open(ctx context.Context, which mail.Blob) (Body, error) {
	r, err := b.Blobs.Open(ctx, which)
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (w *town) server(words ...string) *Server {
	s := &Server{Store: w.Store, Auth: w.auth, Blobs: bodies{w.House}, Hostname: "pop.example.test", Log: slog.New(slog.DiscardHandler)}
	for _, word := range words {
		switch word {
		case "tls", "implicit":
			s.TLS = &tls.Config{Certificates: []tls.Certificate{certificate()}}
		case "plain":
			s.AllowPlainAuth = netip.Addr.IsLoopback
		default:
			w.T.Fatalf("what is %q?", word)
		}
	}
	return s
}

// serve starts a server, which ends with the test, and returns its address.
func (w *town) serve(s *Server, implicit bool) string {
	w.T.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.T.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		if implicit {
			done <- s.ServeTLS(ctx, l)
		} else {
			done <- s.Serve(ctx, l)
		}
	}()
	w.T.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.T.Errorf("Serve: %v", err)
		}
	})
	return l.Addr().String()
}

// put puts a message into the inbox.
func (w *town) put(text string, flags ...string) mail.UID {
	w.T.Helper()
	f, err := mail.NewFlags(flags...)
	if err != nil {
		w.T.Fatal(err)
	}
	a, err := w.Delivery.Ingest(w.T.Context(), strings.NewReader(text))
	if err != nil {
		w.T.Fatal(err)
	}
	a.Flags = f
	var p mail.Placement
	w.change(func(tx store.Tx, inbox mail.MailboxID) error {
		p, err = tx.Append(inbox, a)
		return err
	})
	return p.UID
}

// change changes Alice's inbox as another device does.
func (w *town) change(fn func(tx store.Tx, inbox mail.MailboxID) error) {
	w.T.Helper()
	_, err := w.Store.Update(w.T.Context(), w.alice.Account, deliverytest.By, func(tx store.Tx) error {
		mb, err := tx.MailboxByPath("INBOX")
		if err != nil {
			return err
		}
		return fn(tx, mb.ID)
	})
	if err != nil {
		w.T.Fatal(err)
	}
}

// in counts what is in a mailbox.
func (w *town) in(path string) int {
	w.T.Helper()
	n := 0
	err := w.Store.View(w.T.Context(), w.alice.Account, func(r store.Reader) error {
		mb, err := r.MailboxByPath(path)
		n = int(mb.Counts.Placements)
		return err
	})
	if err != nil {
		w.T.Fatal(err)
	}
	return n
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

func (c *client) startTLS() {
	t := tls.Client(c.nc, clientTLS())
	c.nc, c.in = t, bufio.NewReader(t)
}

func (c *client) send(text string) {
	c.t.Helper()
	if _, err := c.nc.Write([]byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

// line reads one line.
func (c *client) line() string {
	line, err := c.in.ReadString('\n')
	if err != nil {
		if ne, ok := err.(net.Error); ok && ne.Timeout() {
			return "(nothing more)"
		}
		return "(closed)"
	}
	if !strings.HasSuffix(line, "\r\n") {
		c.t.Errorf("a line without CR: %q", line)
	}
	return strings.TrimSuffix(line, "\r\n")
}

var multiline = regexp.MustCompile(`(?i)^(CAPA|LIST|UIDL|LANG|RETR \S+|TOP \S+ \S+)\s*$`)

// answer reads the answer to a command.
func (c *client) answer(command string) []string {
	lines := []string{c.line()}
	if !strings.HasPrefix(lines[0], "+OK") || !multiline.MatchString(command) {
		return lines
	}
	for lines[len(lines)-1] != "." && lines[len(lines)-1] != "(closed)" {
		lines = append(lines, c.line())
	}
	return lines
}

// says sends a line and wants an answer that begins so.
func (c *client) says(command, want string) string {
	c.t.Helper()
	c.send(command + "\r\n")
	got := strings.Join(c.answer(command), "\n")
	if !strings.HasPrefix(got, want) {
		c.t.Fatalf("%s: got %q, want %q", command, got, want)
	}
	return got
}

func (c *client) hears(want string) {
	c.t.Helper()
	if got := c.line(); !strings.HasPrefix(got, want) {
		c.t.Fatalf("got %q, want %q", got, want)
	}
}

func (c *client) signIn() *client {
	c.t.Helper()
	c.hears("+OK")
	c.says("USER "+login, "+OK")
	c.says("PASS "+password, "+OK")
	return c
}

// TestDialogues plays testdata/*.txt. A scene begins with "== name". "server"
// starts one with what follows, "given" puts a message into the inbox whose lines
// follow behind "|", "connects" opens a connection, "TLS" is the handshake; C
// lines are sent, S lines are expected, and rewritten by -update.
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
	scene := &scene{t: t}
	var heard strings.Builder
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "S:") {
			continue // compared as a whole
		}
		if !strings.HasPrefix(line, "  |") {
			scene.putGiven()
		}
		heard.WriteString(line + "\n")
		for _, s := range scene.play(line) {
			heard.WriteString(strings.TrimRight("S: "+s, " ") + "\n")
		}
	}
	if *update {
		if err := os.WriteFile(file, []byte(heard.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if heard.String() != string(text) {
		t.Errorf("the dialogue went\n%s\nand should have gone\n%s", heard.String(), text)
	}
}

type scene struct {
	t        *testing.T
	town     *town
	implicit bool
	addr     string
	c        *client
	given    *string
	flags    []string
}

func (s *scene) putGiven() {
	if s.given != nil {
		s.town.put(*s.given, s.flags...)
		s.given = nil
	}
}

var changing = regexp.MustCompile(`[0-9a-z]+\.[0-9a-z]{10,}$`)

func (s *scene) play(line string) (said []string) {
	word, rest, _ := strings.Cut(line, " ")
	switch {
	case word == "==":
		s.town = newTown(s.t)
	case word == "server":
		s.implicit = rest == "implicit"
		s.addr = s.town.serve(s.town.server(strings.Fields(rest)...), s.implicit)
	case word == "given":
		s.given, s.flags = new(string), strings.Fields(rest)
	case strings.HasPrefix(line, "  |"):
		*s.given += strings.ReplaceAll(line[3:], "␊", "\n") + "\r\n"
	case word == "connects":
		s.c = dial(s.t, s.addr)
		if s.implicit {
			s.c.startTLS()
		}
		said = []string{s.c.line()}
	case word == "TLS":
		s.c.startTLS()
	case word == "C:":
		s.c.send(rest + "\r\n")
		for _, l := range s.c.answer(rest) {
			said = append(said, changing.ReplaceAllString(l, "UNIQUE"))
		}
	}
	return said
}
