package natsbus

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"lockstep/internal/notify"
	"lockstep/internal/notify/natsbus/natstest"
	"lockstep/internal/notify/notifytest"
	"lockstep/internal/steady"
)

// authority makes certificates for tests.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // its certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, file: filepath.Join(t.TempDir(), "ca.pem")}
	der := a.sign(&x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, &a.key)
	var err error
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.write(a.file, "CERTIFICATE", der)
	return a
}

func (a *authority) sign(c *x509.Certificate, key **ecdsa.PrivateKey) []byte {
	a.t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	*key = k
	by, with := a.cert, a.key
	if by == nil {
		by = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by, &k.PublicKey, with)
	if err != nil {
		a.t.Fatal(err)
	}
	return der
}

func (a *authority) write(file, kind string, der []byte) {
	a.t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// certify makes files of a certificate and its key.
func (a *authority) certify(name string) (cert, key string) {
	a.t.Helper()
	var k *ecdsa.PrivateKey
	der := a.sign(&x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}, &k)
	dir := a.t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	a.write(cert, "CERTIFICATE", der)
	pk, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(key, "PRIVATE KEY", pk)
	return cert, key
}

func TestOverTLSWithCertificatesOfOurOwn(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	cert, key := ours.certify("server")
	config, err := server.GenTLSConfig(&server.TLSConfigOpts{CertFile: cert, KeyFile: key, CaFile: ours.file, Verify: true})
	if err != nil {
		t.Fatal(err)
	}
	s := natstest.Start(t, &server.Options{TLS: true, TLSVerify: true, TLSConfig: config})
	at := strings.Replace(s.URL, "nats://", "tls://", 1)
	cert, key = ours.certify("node")
	a := open(t, at+"?ca="+ours.file+"&cert="+cert+"&key="+key)
	connected(t, a)
	log := slog.New(slog.DiscardHandler)
	if b, err := Open(at+"?ca="+theirs.file+"&cert="+cert+"&key="+key, "test", log); err == nil {
		b.Close()
		t.Error("a server is believed that another authority vouches for")
	}
	for _, missing := range []string{at + "?ca=" + cert + "x", at + "?ca=" + key, at + "?cert=" + cert + "&key=" + ours.file, at + "?creds=/nowhere/nats.creds"} {
		if b, err := Open(missing, "test", log); err == nil {
			b.Close()
			t.Errorf("%s can be opened", missing)
		}
	}
}

// By a file of credentials, as a user who may do what the documentation says, and no
// more.
func TestByCredentialsWithTheLeastPermissions(t *testing.T) {
	operator, account, user := pair(t, nkeys.CreateOperator), pair(t, nkeys.CreateAccount), pair(t, nkeys.CreateUser)
	accountJWT := signed(t, operator, jwt.NewAccountClaims(public(t, account)))
	claims := jwt.NewUserClaims(public(t, user))
	claims.Pub.Allow.Add("lockstep.>")
	claims.Sub.Allow.Add("lockstep.>")
	seed, err := user.Seed()
	if err != nil {
		t.Fatal(err)
	}
	creds, err := jwt.FormatUserConfig(signed(t, account, claims), seed)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "nats.creds")
	if err := os.WriteFile(file, creds, 0o600); err != nil {
		t.Fatal(err)
	}
	resolver := &server.MemAccResolver{}
	if err := resolver.Store(public(t, account), accountJWT); err != nil {
		t.Fatal(err)
	}
	s := natstest.Start(t, &server.Options{TrustedKeys: []string{public(t, operator)}, AccountResolver: resolver})
	notifytest.Run(t, func(t *testing.T) func() notify.Bus {
		return func() notify.Bus {
			b := open(t, s.URL+"?creds="+file)
			connected(t, b)
			return b
		}
	})
	if b, err := Open(s.URL, "test", slog.New(slog.DiscardHandler)); err == nil {
		b.Close()
		t.Error("nobody is let in")
	}
	var said syncBuffer
	b, err := Open(s.URL+"?prefix=other&creds="+file, "test", slog.New(slog.NewTextHandler(&said, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for late := time.Now().Add(steady.Patience); !strings.Contains(said.String(), "subscribe to other.>"); time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("the log does not say which permission is missing:\n%s", said.String())
		}
	}
}

func pair(t *testing.T, create func() (nkeys.KeyPair, error)) nkeys.KeyPair {
	t.Helper()
	k, err := create()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func public(t *testing.T, k nkeys.KeyPair) string {
	t.Helper()
	p, err := k.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func signed(t *testing.T, by nkeys.KeyPair, claims interface {
	Encode(nkeys.KeyPair) (string, error)
}) string {
	t.Helper()
	s, err := claims.Encode(by)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// syncBuffer may be read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
