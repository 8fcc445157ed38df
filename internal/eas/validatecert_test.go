package eas

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"
	"time"

	"lockstep/internal/eas/wbxml"
)

// An authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// issue makes a certificate; without an authority it signs itself.
func (a *authority) issue(t *testing.T, name string, set func(*x509.Certificate)) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}, BasicConstraintsValid: true,
	}
	set(c)
	parent, by := c, key
	if a != nil {
		parent, by = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key}
}

func mayIssue(c *x509.Certificate) {
	c.IsCA, c.KeyUsage, c.ExtKeyUsage = true, x509.KeyUsageCertSign, nil
}

func (a *authority) text() string { return base64.StdEncoding.EncodeToString(a.cert.Raw) }

func (p *phone) validate(check string, chain []string, certs ...string) string {
	p.w.T.Helper()
	in := wbxml.New(wbxml.CertValidateCert)
	if chain != nil {
		list := wbxml.New(wbxml.CertCertificateChain)
		for _, c := range chain {
			list.Add(wbxml.Text(wbxml.CertCertificate, c))
		}
		in.Add(list)
	}
	list := wbxml.New(wbxml.CertCertificates)
	for _, c := range certs {
		list.Add(wbxml.Text(wbxml.CertCertificate, c))
	}
	in.Add(list)
	if check != "" {
		in.Add(wbxml.Text(wbxml.CertCheckCRL, check))
	}
	return short(p.call("ValidateCert", in))
}

func TestCertificatesAreValidated(t *testing.T) {
	none := func(*x509.Certificate) {}
	var nobody *authority
	root := nobody.issue(t, "root", mayIssue)
	between := root.issue(t, "between", mayIssue)
	old := root.issue(t, "old", func(c *x509.Certificate) {
		mayIssue(c)
		c.NotAfter = time.Now().Add(-time.Minute)
	})
	good := root.issue(t, "good", none)
	far := between.issue(t, "far", none)
	below := good.issue(t, "below", none)
	w := newTown(t)
	w.server.Roots = x509.NewCertPool()
	w.server.Roots.AddCert(root.cert)
	broken := good.cert.Raw[:len(good.cert.Raw)-1]
	for name, c := range map[string]struct {
		check string
		chain []string
		cert  string
		want  string
	}{
		"good":                {"0", nil, good.text(), "1"},
		"twice in base64":     {"0", nil, base64.StdEncoding.EncodeToString([]byte(good.text())), "1"},
		"with lines":          {"0", nil, good.text()[:40] + "\r\n" + good.text()[40:], "1"},
		"revocation asked":    {"1", nil, good.text(), "16"},
		"with its chain":      {"", []string{between.text()}, far.text(), "1"},
		"without its chain":   {"", nil, far.text(), "4"},
		"with a broken chain": {"", []string{"x"}, far.text(), "5"},
		"by a stranger":       {"1", nil, nobody.issue(t, "x", none).text(), "4"},
		"expired":             {"", nil, root.issue(t, "x", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }).text(), "7"},
		"not yet":             {"", nil, root.issue(t, "x", func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }).text(), "7"},
		"chain expired":       {"", []string{old.text()}, old.issue(t, "x", none).text(), "8"},
		"for web servers":     {"", nil, root.issue(t, "x", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }).text(), "6"},
		"by no authority":     {"", []string{good.text()}, below.text(), "4"},
		"cut":                 {"", nil, base64.StdEncoding.EncodeToString(broken), "3"},
		"words":               {"1", nil, "certificate", "3"},
		"empty":               {"", nil, "", "3"},
	} {
		if got := w.phone(v161).validate(c.check, c.chain, c.cert); got != "ValidateCert(Status=1 Certificate(Status="+c.want+"))" {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	if got := w.phone(v121).validate("", nil, good.text(), "x"); got != "ValidateCert(Status=1 Certificate(Status=1) Certificate(Status=3))" {
		t.Error(got)
	}
}

func TestValidateCertRefusesWhatCanNotBe(t *testing.T) {
	w := newTown(t)
	for name, c := range map[string]struct {
		check string
		chain []string
		certs []string
	}{
		"none":      {"", nil, nil},
		"too many":  {"", nil, strings.Fields(strings.Repeat("x ", maxCertificates+1))},
		"with them": {"", []string{"x"}, strings.Fields(strings.Repeat("x ", maxCertificates))},
		"check":     {"2", nil, []string{"x"}},
	} {
		if got := w.phone(v161).validate(c.check, c.chain, c.certs...); got != "ValidateCert(Status=2)" {
			t.Errorf("%s: %s", name, got)
		}
	}
}
