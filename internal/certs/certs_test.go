package certs

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"lockstep/internal/certs/acmetest"
	"lockstep/internal/freeport"
	"lockstep/internal/steady"
)

// ports finds free ones on loopback.
func ports(t *testing.T, n int) (addrs []string, numbers []int) {
	t.Helper()
	numbers, err := freeport.Take(n)
	if err != nil {
		t.Fatal(err)
	}
	for _, port := range numbers {
		addrs = append(addrs, net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	}
	return addrs, numbers
}

// One node gets the certificate, the authority asks another one whether the name is ours,
// and both serve it; what is stored is enough for one that starts later, and the one that
// got it may be gone.
func TestNodesShareCertificatesAndChallenges(t *testing.T) {
	for _, by := range []string{"HTTP-01", "TLS-ALPN-01"} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			at, number := ports(t, 4)
			a := acmetest.Start(t, acmetest.Options{HTTP: number[0], TLS: number[1]})
			m := newMemory()
			answers := nodeConfig{Socket: share(t, m), Node: "answers", Directory: a.Directory, RootFile: a.RootFile, HTTP: at[0], TLS: at[1], Every: 200 * time.Millisecond}
			other := startNode(t, answers)
			asks := answers
			asks.Node, asks.HTTP, asks.TLS, asks.Names = "asks", at[2], at[3], []string{"mail.example.test", "other.example.test"}
			if by == "TLS-ALPN-01" {
				asks.HTTP = ""
			} else {
				other.stop()
				answers.TLS = ""
				other = startNode(t, answers) // it can't answer by TLS
			}
			first := startNode(t, asks)
			roots := a.Roots()
			got := first.serves("mail.example.test", roots, nil)
			first.serves("other.example.test", roots, nil)
			first.stop()
			other.stop()

			answers.Names, answers.TLS = asks.Names, at[1]
			a.Stop()
			late := startNode(t, answers)
			late.serves("mail.example.test", roots, func(c *x509.Certificate) bool { return c.Equal(got) })
			late.stop()
			for name, f := range m.files {
				if bytes.Contains(f.Data, []byte("BEGIN")) || bytes.Contains(f.Data, []byte("example.test")) {
					t.Errorf("%s lies in clear", name)
				}
				if strings.Contains(name, "challenge_tokens") {
					t.Errorf("%s is left of the challenge", name)
				}
			}
			if len(m.leases) != 0 {
				t.Errorf("leases are left: %v", m.leases)
			}
		})
	}
}

// A certificate is renewed before it ends, by one node, and every node serves the new one
// without a restart.
func TestEveryNodeServesWhatOneRenewed(t *testing.T) {
	t.Parallel()
	at, number := ports(t, 4)
	a := acmetest.Start(t, acmetest.Options{HTTP: number[0], TLS: number[1], Validity: time.Minute})
	m := newMemory()
	c := nodeConfig{Socket: share(t, m), Node: "one", Directory: a.Directory, RootFile: a.RootFile, HTTP: at[0], TLS: at[1], Names: []string{"mail.example.test"}, Every: 200 * time.Millisecond, Renew: 0.8}
	one := startNode(t, c)
	c.Node, c.HTTP, c.TLS = "two", at[2], at[3]
	two := startNode(t, c)
	roots := a.Roots()
	was := one.serves("mail.example.test", roots, nil)
	is := two.serves("mail.example.test", roots, func(c *x509.Certificate) bool { return c.NotAfter.After(was.NotAfter) })
	if is.NotBefore.After(was.NotAfter) {
		t.Errorf("renewed at %v, from %v to %v", is.NotBefore, was.NotAfter, is.NotAfter)
	}
	one.serves("mail.example.test", roots, func(c *x509.Certificate) bool { return !c.NotAfter.Before(is.NotAfter) })
	one.stop()
	two.stop()
}

// manager is one in this process, which is reached at an address of its own.
func manager(t *testing.T, m *memory, a *acmetest.Authority, f front, names ...string) *Manager {
	t.Helper()
	roots := x509.NewCertPool()
	o := Options{Files: m, Leases: m, Key: testKey, Node: "here", Log: slog.New(slog.DiscardHandler), Directory: "https://127.0.0.1:1/dir", Roots: roots,
		Names: func(context.Context) ([]string, error) { return names, nil }}
	if a != nil {
		o.Directory, o.Roots = a.Directory, a.OwnRoots()
	}
	if f.http != nil {
		o.HTTP = f.http.Addr()
	}
	if f.tls != nil {
		o.TLS = f.tls.Addr()
	}
	mgr, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return mgr
}

func (m *Manager) runFor(t *testing.T, until func() bool) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	for end := time.Now().Add(steady.Patience); !until(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never")
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// An authority that is not there stops nothing: it is said, and tried again.
func TestAnAuthorityThatIsAwayIsSaidAndWaitedFor(t *testing.T) {
	f := front{http: listen(t)}
	a := acmetest.Start(t, acmetest.Options{HTTP: f.http.Addr().(*net.TCPAddr).Port, TLS: 1})
	a.Stop()
	store := newMemory()
	m := manager(t, store, a, f, "mail.example.test")
	defer f.serve(m)()
	failed := func() bool {
		states, err := m.States(t.Context())
		return err == nil && len(states) == 1 && states[0].Failed != nil && !states[0].At.IsZero() && states[0].Expires.IsZero()
	}
	m.runFor(t, failed)
	if m.Certificate(&tls.ClientHelloInfo{ServerName: "mail.example.test"}) != nil {
		t.Error("a certificate came from nowhere")
	}
	if first, missing := m.Expiry(time.Now()); !first.IsZero() || missing != 1 {
		t.Errorf("%v, %d are missing", first, missing)
	}
	if len(store.leases) != 0 {
		t.Errorf("who stopped holds on to %v", store.leases)
	}

	a.Restart()
	f2 := front{http: f.http}
	again := manager(t, store, a, f2, "mail.example.test")
	f2.http = nil
	hello := &tls.ClientHelloInfo{ServerName: "MAIL.example.test", SupportedVersions: []uint16{tls.VersionTLS13}, CipherSuites: []uint16{tls.TLS_AES_128_GCM_SHA256}, SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256}, SupportedCurves: []tls.CurveID{tls.CurveP256}}
	var states []State
	var err error
	again.runFor(t, func() bool {
		states, err = again.States(t.Context())
		return again.Certificate(hello) != nil
	})
	if err != nil || len(states) != 1 || states[0].Failed != nil || time.Until(states[0].Expires) < 80*24*time.Hour {
		t.Errorf("%+v, %v", states, err)
	}
	if first, missing := again.Expiry(time.Now()); !first.Equal(states[0].Expires) || missing != 0 {
		t.Errorf("%v, %d are missing", first, missing)
	}
	hello.ServerName = ""
	unknown := *hello
	unknown.ServerName = "unknown.example.test"
	if again.Certificate(hello) == nil || again.Certificate(&unknown) == nil {
		t.Error("who asks for no name, or an unknown one, gets the first")
	}
	if _, missing := again.Expiry(time.Now().Add(100 * 24 * time.Hour)); missing != 1 {
		t.Error("one that ended counts as missing")
	}
}

// What ended long ago goes, with its key; what is in force stays.
func TestCertificatesThatEndedLongAgoAreRemoved(t *testing.T) {
	store := newMemory()
	m := manager(t, store, nil, front{http: listen(t)}, "mail.example.test")
	defer m.cache.Stop()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, ended := range map[string]time.Duration{"old.test": keepEnded + time.Hour, "late.test": keepEnded - time.Hour, "good.test": -time.Hour} {
		template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(-ended)}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		for end, text := range map[string][]byte{".crt": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), ".key": []byte("key"), ".json": []byte("{}")} {
			if err := m.storage.Store(t.Context(), "certificates/ca/"+name+"/"+name+end, text); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 2 {
		if err := m.clean(t.Context(), time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]bool{"old.test": false, "late.test": true, "good.test": true} {
		if m.storage.Exists(t.Context(), "certificates/ca/"+name) != want {
			t.Errorf("%s is there: %v, want %v", name, !want, want)
		}
	}
	if len(store.leases) > 0 {
		t.Errorf("leases are left: %v", store.leases)
	}
}

func TestOnlyChallengesAreAnswered(t *testing.T) {
	m := manager(t, newMemory(), nil, front{http: listen(t), tls: listen(t)}, "mail.example.test")
	defer m.cache.Stop()
	for _, protos := range [][]string{nil, {"http/1.1"}, {"acme-tls/1", "http/1.1"}} {
		if m.Challenge(&tls.ClientHelloInfo{ServerName: "mail.example.test", SupportedProtos: protos}) != nil {
			t.Errorf("%v is taken for a challenge", protos)
		}
	}
	if m.Challenge(&tls.ClientHelloInfo{ServerName: "mail.example.test", SupportedProtos: []string{"acme-tls/1"}}) == nil {
		t.Error("a challenge is not answered")
	}
	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequest("GET", "http://mail.example.test"+ChallengePath+"none", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("an unknown challenge: %d", w.Code)
	}
}

func TestWhoCanNotBeAskedGetsNone(t *testing.T) {
	if _, err := New(Options{Key: testKey, Log: slog.New(slog.DiscardHandler)}); err == nil || !strings.Contains(err.Error(), "listens for neither") {
		t.Error(err)
	}
	if _, err := New(Options{Key: testKey[:5]}); err == nil {
		t.Error("a key that is too short is taken")
	}
}

// Names come as they are asked for, up to a bound.
func TestNamesAreBounded(t *testing.T) {
	names := make([]string, MaxNames+1)
	for i := range names {
		names[i] = "x"
	}
	m := manager(t, newMemory(), nil, front{http: listen(t)}, names...)
	defer m.cache.Stop()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if states, err := m.States(ctx); err != nil || len(states) != MaxNames {
		t.Errorf("%d, %v", len(states), err)
	}
}
