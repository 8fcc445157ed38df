package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"lockstep/internal/config"
)

// The self-signed certificate in the data directory.
const (
	selfSignedCert = "self-signed.crt"
	selfSignedKey  = "self-signed.key"
	selfSignedLife = 825 * 24 * time.Hour // more is refused by some clients
)

// readCertificate reads the configured pair; nil when none is configured.
func readCertificate(c config.TLS) (*tls.Certificate, error) {
	if c.Cert == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
	if err != nil {
		return nil, fmt.Errorf("tls.cert %s and tls.key %s: %w", c.Cert, c.Key, err)
	}
	return &pair, nil
}

// certificates serves the pair of two files, and reads them again when they
// change, so that a renewal needs no restart.
type certificates struct {
	cert, key string
	log       *slog.Logger

	mu      sync.Mutex
	checked time.Time
	changed time.Time
	pair    *tls.Certificate
	failed  string // why the files could not be read last
}

// recheckFiles is how often a handshake may look whether the files changed.
const recheckFiles = 10 * time.Second

func (c *certificates) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pair != nil && time.Since(c.checked) < recheckFiles {
		return c.pair, nil
	}
	c.checked = time.Now()
	info, err := os.Stat(c.cert)
	if err == nil && (c.pair == nil || info.ModTime() != c.changed) {
		var pair tls.Certificate
		if pair, err = tls.LoadX509KeyPair(c.cert, c.key); err == nil {
			c.pair, c.changed = &pair, info.ModTime()
		}
	}
	if c.pair != nil {
		c.complain(err)
		return c.pair, nil // half a renewal: the old one serves until the new one is whole
	}
	return nil, err
}

// complain says once that the files can't be read: the certificate in force will
// not last.
func (c *certificates) complain(err error) {
	was := c.failed
	if c.failed = ""; err != nil {
		c.failed = err.Error()
	}
	if err != nil && c.failed != was {
		c.log.Warn("the certificate can't be read again, the one in force serves on", "file", c.cert, "until", c.pair.Leaf.NotAfter, "err", err)
	}
}

// tlsConfig is what all listeners use. made says that a certificate was made just
// now.
func tlsConfig(cfg config.Config, log *slog.Logger) (c *tls.Config, made bool, err error) {
	files := &certificates{cert: cfg.TLS.Cert, key: cfg.TLS.Key, log: log}
	if files.cert == "" {
		files.cert, files.key = filepath.Join(cfg.Data, selfSignedCert), filepath.Join(cfg.Data, selfSignedKey)
		if made, err = makeSelfSigned(files.cert, files.key, hostname(cfg)); err != nil {
			return nil, false, err
		}
	}
	if _, err := files.get(nil); err != nil {
		return nil, false, fmt.Errorf("certificate %s: %w", files.cert, err)
	}
	return &tls.Config{GetCertificate: files.get, MinVersion: tls.VersionTLS12}, made, nil
}

// makeSelfSigned makes a pair unless there is one that still holds. What can't be
// used of an earlier one is replaced; what can't be read is not. It is no authority:
// who trusts it trusts it for its own names.
func makeSelfSigned(certFile, keyFile, host string) (made bool, err error) {
	var unreadable *fs.PathError
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	switch {
	case err == nil && time.Now().Before(pair.Leaf.NotAfter.Add(-30*24*time.Hour)):
		return false, nil
	case errors.As(err, &unreadable) && !errors.Is(err, fs.ErrNotExist):
		return false, fmt.Errorf("self-signed certificate: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return false, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return false, err
	}
	names := []string{host, "localhost"}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: host, Organization: []string{"Lockstep, self-signed"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(selfSignedLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, DNSNames: slices.Compact(names), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return false, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return false, err
	}
	if err := os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600); err != nil {
		return false, err
	}
	return true, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o644)
}

// hostname is what the server calls itself.
func hostname(cfg config.Config) string {
	if cfg.Hostname != "" {
		return cfg.Hostname
	}
	if name, err := os.Hostname(); err == nil && name != "" {
		return name
	}
	return "localhost"
}
