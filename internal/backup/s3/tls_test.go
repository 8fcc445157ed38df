package s3_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"lockstep/internal/backup/s3/s3test"
	"lockstep/internal/backup/targettest"
)

// selfSigned writes a certificate for loopback and its key into one file.
func selfSigned(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, about, about, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	for _, b := range []*pem.Block{{Type: "CERTIFICATE", Bytes: cert}, {Type: "PRIVATE KEY", Bytes: private}} {
		if err := pem.Encode(&text, b); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "cert.pem")
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// trustVariable is what Go reads once for each process, so the test runs in one of
// its own, that trusts what an operator can have it trust.
const trustVariable = "SSL_CERT_FILE"

// Over TLS a target keeps its promises too: what is signed there is not the same.
func TestBucketOverTLSKeepsThePromisesOfATarget(t *testing.T) {
	if cert := os.Getenv(trustVariable + "_OF_TEST"); cert != "" {
		targettest.Run(t, partSize, apart(s3test.StartTLS(t, cert)))
		return
	}
	s3test.Start(t) // or skip here, where it is seen
	cert := selfSigned(t)
	cmd := exec.Command(os.Args[0], "-test.run", "^TestBucketOverTLSKeepsThePromisesOfATarget$")
	cmd.Env = append(os.Environ(), trustVariable+"="+cert, trustVariable+"_OF_TEST="+cert)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
