package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/rpc"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/steady"
	"lockstep/internal/store"
)

// Nodes are processes of their own, as certmagic keeps some of what it knows for the whole
// process; they share the memory of the test.

const nodeVariable = "LOCKSTEP_TEST_CERTS_NODE"

func TestMain(m *testing.M) {
	if text := os.Getenv(nodeVariable); text != "" {
		if err := runNode(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// nodeConfig is what a node is told.
type nodeConfig struct {
	Socket, Node, Directory, RootFile string
	HTTP, TLS                         string // where it listens; "" is nowhere
	Names                             []string
	Every                             time.Duration
	Renew                             float64
}

// A Call is a question to the memory, and its answer.
type Call struct {
	Verb   string
	Name   string
	Holder string
	Life   time.Duration
	Limit  int
	File   store.File
	Files  []store.File
	Lease  store.Lease
	Kind   mail.Kind
	Detail string
	Failed bool
}

// Shared serves the memory to nodes.
type Shared struct{ *memory }

// Ask is a net/rpc method.
func (s *Shared) Ask(q Call, a *Call) (err error) {
	ctx := context.Background()
	switch q.Verb {
	case "put":
		err = s.PutFile(ctx, q.File)
	case "get":
		a.File, err = s.FileNamed(ctx, q.Name)
	case "drop":
		err = s.DropFile(ctx, q.Name)
	case "below":
		a.Files, err = s.FilesBelow(ctx, q.Name, q.Limit)
	case "take":
		a.Lease, err = s.Take(ctx, q.Name, q.Holder, q.Life)
	case "release":
		err = s.Yield(ctx, q.Lease)
	}
	if err != nil {
		a.Failed, a.Kind, a.Detail = true, mail.KindOf(err), err.Error()
	}
	return nil
}

// remote is the memory as a node sees it.
type remote struct{ c *rpc.Client }

func (r remote) ask(q Call) (a Call, err error) {
	if err := r.c.Call("Shared.Ask", q, &a); err != nil {
		return a, err
	}
	if a.Failed {
		return a, mail.Errorf(a.Kind, "%s", a.Detail)
	}
	return a, nil
}

func (r remote) PutFile(_ context.Context, f store.File) error {
	_, err := r.ask(Call{Verb: "put", File: f})
	return err
}

func (r remote) FileNamed(_ context.Context, name string) (store.File, error) {
	a, err := r.ask(Call{Verb: "get", Name: name})
	return a.File, err
}

func (r remote) DropFile(_ context.Context, name string) error {
	_, err := r.ask(Call{Verb: "drop", Name: name})
	return err
}

func (r remote) FilesBelow(_ context.Context, prefix string, limit int) ([]store.File, error) {
	a, err := r.ask(Call{Verb: "below", Name: prefix, Limit: limit})
	return a.Files, err
}

func (r remote) Take(_ context.Context, name, holder string, life time.Duration) (store.Lease, error) {
	a, err := r.ask(Call{Verb: "take", Name: name, Holder: holder, Life: life})
	return a.Lease, err
}

func (r remote) Holds(context.Context, store.Lease) error { return errors.New("nobody asks for it") }

func (r remote) Yield(_ context.Context, l store.Lease) error {
	_, err := r.ask(Call{Verb: "release", Lease: l})
	return err
}

func (r remote) AllLeases(context.Context) ([]store.Lease, error) {
	return nil, errors.New("nobody asks for it")
}

// runNode is a node: it serves until its standard input ends.
func runNode(text string) error {
	var c nodeConfig
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return err
	}
	client, err := rpc.Dial("unix", c.Socket)
	if err != nil {
		return err
	}
	shared := remote{client}
	roots := x509.NewCertPool()
	pemText, err := os.ReadFile(c.RootFile)
	if err != nil || !roots.AppendCertsFromPEM(pemText) {
		return fmt.Errorf("%s: %w", c.RootFile, err)
	}
	o := Options{Files: shared, Leases: shared, Key: testKey, Node: c.Node, Log: slog.New(slog.NewTextHandler(os.Stderr, nil)), Directory: c.Directory, Roots: roots, Every: c.Every, Renew: c.Renew,
		Names: func(context.Context) ([]string, error) { return c.Names, nil }}
	web, o, err := listenFor(c, o)
	if err != nil {
		return err
	}
	m, err := New(o)
	if err != nil {
		return err
	}
	defer web.serve(m)()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	_, _ = io.Copy(io.Discard, os.Stdin)
	stop()
	return <-done
}

// front is where a node is reached.
type front struct{ http, tls net.Listener }

func listenFor(c nodeConfig, o Options) (f front, _ Options, err error) {
	if c.HTTP != "" {
		if f.http, err = net.Listen("tcp", c.HTTP); err != nil {
			return f, o, err
		}
		o.HTTP = f.http.Addr()
	}
	if c.TLS != "" {
		if f.tls, err = net.Listen("tcp", c.TLS); err != nil {
			return f, o, err
		}
		o.TLS = f.tls.Addr()
	}
	return f, o, nil
}

func (f front) serve(m *Manager) (stop func()) {
	var servers []*http.Server
	begin := func(s *http.Server, serve func() error) {
		servers = append(servers, s)
		go func() { _ = serve() }()
	}
	if f.http != nil {
		s := &http.Server{Handler: m}
		begin(s, func() error { return s.Serve(f.http) })
	}
	if f.tls != nil {
		s := &http.Server{ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), TLSConfig: &tls.Config{
			GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) { return m.Challenge(h), nil },
			GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
				if c := m.Certificate(h); c != nil {
					return c, nil
				}
				return nil, errors.New("there is none yet")
			}}}
		begin(s, func() error { return s.ServeTLS(f.tls, "", "") })
	}
	return func() {
		for _, s := range servers {
			s.Close()
		}
	}
}

// share serves a memory to nodes, and returns its socket.
func share(t *testing.T, m *memory) string {
	t.Helper()
	server := rpc.NewServer()
	if err := server.Register(&Shared{m}); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go server.ServeConn(c)
		}
	}()
	return socket
}

// node is a running node.
type node struct {
	t    *testing.T
	cmd  *exec.Cmd
	in   io.Closer
	said lockedBuffer
	tls  string
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func startNode(t *testing.T, c nodeConfig) *node {
	t.Helper()
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, cmd: exec.Command(os.Args[0]), tls: c.TLS}
	n.cmd.Env = append(os.Environ(), nodeVariable+"="+string(text))
	n.cmd.Stderr = &n.said
	if n.in, err = n.cmd.StdinPipe(); err == nil {
		err = n.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.kill)
	return n
}

// stop ends a node well, kill does not.
func (n *node) stop() {
	n.t.Helper()
	n.in.Close()
	if err := n.cmd.Wait(); err != nil {
		n.t.Errorf("node: %v\n%s", err, n.said.String())
	}
	n.cmd = nil
}

func (n *node) kill() {
	if n.cmd != nil {
		_ = n.cmd.Process.Kill()
		_ = n.cmd.Wait()
	}
}

// serves waits until the node has a certificate for a name that is as wanted.
func (n *node) serves(name string, roots *x509.CertPool, wanted func(*x509.Certificate) bool) *x509.Certificate {
	n.t.Helper()
	var last error
	for end := time.Now().Add(steady.Patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		c, err := tls.Dial("tcp", n.tls, &tls.Config{ServerName: name, RootCAs: roots})
		if last = err; err != nil {
			continue
		}
		cert := c.ConnectionState().PeerCertificates[0]
		c.Close()
		if wanted == nil || wanted(cert) {
			return cert
		}
		last = errors.New("it is another one than wanted")
	}
	n.t.Fatalf("no certificate for %s: %v\n%s", name, last, n.said.String())
	return nil
}
