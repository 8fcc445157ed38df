// Package acmetest runs a real ACME authority on loopback, for tests: pebble, which asks
// the server whose names it certifies at ports that the test chooses, and finds every
// name on this machine.
package acmetest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"lockstep/internal/freeport"
	"lockstep/internal/steady"
)

// patience bounds the start of the authority, buildTime how long it may take to build.
const (
	patience  = steady.Patience
	buildTime = 9 * time.Minute
)

// An Authority is a running pebble.
type Authority struct {
	Directory string // its URL
	RootFile  string // PEM file of what its URL is known by

	t       testing.TB
	program string
	dir     string
	manage  string
	dns     string
	cmd     *exec.Cmd
	said    bytes.Buffer
}

// Options are how an authority is.
type Options struct {
	HTTP, TLS int           // the ports at which it asks the servers, in place of 80 and 443
	Validity  time.Duration // of its certificates; 0 is 90 days
}

// program is the path of the authority, built once for each process from the module
// internal/tools/acmeserver, which pins its version. Go keeps what was built.
var program = sync.OnceValues(func() (string, error) {
	root, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), buildTime)
	defer cancel()
	build := exec.CommandContext(ctx, "go", "tool", "-n", "pebble")
	build.Dir = filepath.Join(filepath.Dir(strings.TrimSpace(string(root))), "internal", "tools", "acmeserver")
	if os.Getenv("CI") != "true" {
		build.Env = append(os.Environ(), "GOPROXY=off") // go test ./... needs no network
	}
	var said bytes.Buffer
	build.Stderr = &said
	out, err := build.Output()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, strings.TrimSpace(said.String()))
	}
	return strings.TrimSpace(string(out)), nil
})

// Start starts an authority. Where it can't be built the test is skipped, in CI it fails.
func Start(t testing.TB, o Options) *Authority {
	t.Helper()
	path, err := program()
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal("the ACME authority can't be built: ", err)
	}
	if err != nil {
		t.Skip("the ACME authority is not built; make acmeserver does it: ", err)
	}
	if o.Validity == 0 {
		o.Validity = 90 * 24 * time.Hour
	}
	a := &Authority{t: t, program: path, dir: t.TempDir(), dns: names(t)}
	a.RootFile = filepath.Join(a.dir, "cert.pem")
	a.makeCertificate()
	listen := freeAddress(t)
	a.Directory, a.manage = "https://"+listen+"/dir", freeAddress(t)
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": listen, "managementListenAddress": a.manage, "certificate": a.RootFile, "privateKey": filepath.Join(a.dir, "key.pem"),
		"httpPort": o.HTTP, "tlsPort": o.TLS, "keyAlgorithm": "ecdsa",
		"profiles": map[string]any{"default": map[string]any{"description": "the only one", "validityPeriod": int(o.Validity / time.Second)}},
	}})
	if err == nil {
		err = os.WriteFile(filepath.Join(a.dir, "config.json"), config, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Stop)
	a.Restart()
	return a
}

// Restart starts an authority that was stopped; it knows nothing of before.
func (a *Authority) Restart() {
	a.t.Helper()
	a.said.Reset()
	a.cmd = exec.Command(a.program, "-config", filepath.Join(a.dir, "config.json"), "-dnsserver", a.dns, "-strict")
	a.cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0")
	a.cmd.Stdout, a.cmd.Stderr = &a.said, &a.said
	if err := a.cmd.Start(); err != nil {
		a.t.Fatal(err)
	}
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if r, err := a.client().Get(a.Directory); err == nil {
			r.Body.Close()
			return
		}
		if time.Now().After(end) {
			a.Stop()
			a.t.Fatalf("the ACME authority does not answer:\n%s", a.said.String())
		}
	}
}

// Stop ends the authority.
func (a *Authority) Stop() {
	if a.cmd == nil {
		return
	}
	_ = a.cmd.Process.Kill()
	_ = a.cmd.Wait()
	a.cmd = nil
}

// Roots are what the certificates that it makes are known by.
func (a *Authority) Roots() *x509.CertPool {
	a.t.Helper()
	r, err := a.client().Get("https://" + a.manage + "/roots/0")
	if err != nil {
		a.t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(b) {
		a.t.Fatalf("no root: %v", err)
	}
	return pool
}

// OwnRoots are what its URL is known by.
func (a *Authority) OwnRoots() *x509.CertPool {
	a.t.Helper()
	b, err := os.ReadFile(a.RootFile)
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(b) {
		a.t.Fatalf("%s: %v", a.RootFile, err)
	}
	return pool
}

// client asks the authority itself.
func (a *Authority) client() *http.Client {
	return &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: a.OwnRoots()}, DisableKeepAlives: true}}
}

// makeCertificate makes what its own URL is known by.
func (a *Authority) makeCertificate() {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		a.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(a.dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
}

// names serves the DNS, in which every name is this machine's, and returns where.
func names(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") // pebble asks by TCP
	if err != nil {
		t.Fatal(err)
	}
	s := &dns.Server{Listener: l, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		for _, ask := range q.Question {
			if ask.Qtype == dns.TypeA {
				m.Answer = append(m.Answer, &dns.A{Hdr: dns.RR_Header{Name: ask.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}, A: net.IPv4(127, 0, 0, 1)})
			}
		}
		_ = w.WriteMsg(m) // who does not hear it asks again
	})}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.ActivateAndServe() }()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

// freeAddress finds a port that is ours.
func freeAddress(t testing.TB) string {
	t.Helper()
	at, err := freeport.Address()
	if err != nil {
		t.Fatal(err)
	}
	return at
}
