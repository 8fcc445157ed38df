package lot

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"
)

// What crypto/tls holds is given back, and what is not read yet is not.
func TestTLSBuffersAreGivenBack(t *testing.T) {
	near, far := net.Pipe()
	server, client := tls.Server(near, testTLS(t)), tls.Client(far, &tls.Config{InsecureSkipVerify: true})
	defer far.Close()
	written := make(chan error, 1)
	go func() {
		_, err := client.Write([]byte(strings.Repeat("x", 10_000)))
		written <- err
	}()
	got := make([]byte, 10_000)
	if _, err := server.Read(got[:1]); err != nil {
		t.Fatal(err)
	}
	if Shrink(server) {
		t.Fatal("what was not read is gone")
	}
	if _, err := io.ReadFull(server, got[1:]); err != nil {
		t.Fatal(err)
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	if !Shrink(server) {
		t.Fatal("crypto/tls is not as it was: look at what it holds while nobody reads")
	}
	go func() {
		_, err := client.Write([]byte("again"))
		written <- err
	}()
	if _, err := io.ReadFull(server, got[:5]); err != nil || string(got[:5]) != "again" || <-written != nil {
		t.Fatalf("%q, %v", got[:5], err)
	}
}

// testTLS is a server with a certificate of its own.
func testTLS(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"server.test"}}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}
