package eas

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"lockstep/internal/eas/wbxml"
)

// Statuses of ValidateCert (MS-ASCMD §2.2.3.177.18), those that can be found out
// here.
const (
	certOK          = 1
	certProtocol    = 2
	certSignature   = 3 // can't be validated; also of what is no certificate
	certUntrusted   = 4
	certChain       = 5 // not formed as it must be
	certNotForMail  = 6
	certExpired     = 7
	certTimes       = 8 // of the chain: one of it is not valid now
	certMisused     = 9 // one of the chain is used for what it may not be
	certInformation = 10
	certRevocation  = 16 // unknown, and it was asked for
	certUnknown     = 17
)

// maxCertificates bounds those in one command (MS-ASCMD §3.1.5.9).
const maxCertificates = 100

// validateCert says whether certificates may sign and encrypt mail (MS-ASCMD
// §2.2.1.22). Each has to lead to a root that this machine trusts. Whether one was
// revoked is not looked up: a server that fetches what strangers' certificates name
// can be made to knock anywhere. Who asks for it is told that it is not known.
func (q *request) validateCert() (*answer, error) {
	root := wbxml.New(wbxml.CertValidateCert)
	list := q.in.Child(wbxml.CertCertificates)
	chain := certificates(q.in.Child(wbxml.CertCertificateChain))
	all := certificates(list)
	check := q.in.Get(wbxml.CertCheckCRL)
	if len(all) == 0 || len(all)+len(chain) > maxCertificates || check != "" && check != "0" && check != "1" {
		return &answer{root: root.Add(wbxml.Int(wbxml.CertStatus, certProtocol))}, nil
	}
	between, intact := x509.NewCertPool(), true
	for _, text := range chain {
		c, err := parseCertificate(text)
		if err != nil {
			intact = false
			continue
		}
		between.AddCert(c)
	}
	root.Add(wbxml.Int(wbxml.CertStatus, certOK))
	now := time.Now()
	for _, text := range all {
		status := certStatus(text, q.srv.Roots, between, now)
		switch {
		case status == certUntrusted && !intact:
			status = certChain
		case status == certOK && check == "1":
			status = certRevocation
		}
		root.Add(wbxml.New(wbxml.CertCertificate, wbxml.Int(wbxml.CertStatus, status)))
	}
	return &answer{root: root}, nil
}

func certificates(list *wbxml.Element) (all []string) {
	if list == nil {
		return nil
	}
	for c := range list.All(wbxml.CertCertificate) {
		all = append(all, c.Text)
	}
	return all
}

// parseCertificate reads a certificate: base64, also twice, or as it is.
func parseCertificate(text string) (*x509.Certificate, error) {
	der := []byte(text)
	c, err := x509.ParseCertificate(der)
	for range 2 {
		if err == nil {
			return c, nil
		}
		plain, errText := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(der)), ""))
		if errText != nil {
			return nil, err
		}
		der = plain
		c, err = x509.ParseCertificate(der)
	}
	return c, err
}

// certStatus validates one certificate.
func certStatus(text string, roots, between *x509.CertPool, now time.Time) int {
	c, err := parseCertificate(text)
	if err != nil {
		return certSignature
	}
	_, err = c.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}})
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	var critical x509.UnhandledCriticalExtension
	var constraint x509.ConstraintViolationError
	switch {
	case err == nil:
		return certOK
	case errors.As(err, &invalid):
		return invalidStatus(invalid, c)
	case errors.As(err, &unknown):
		return certUntrusted
	case errors.As(err, &critical):
		return certInformation
	case errors.As(err, &constraint):
		return certMisused
	}
	return certUnknown
}

func invalidStatus(err x509.CertificateInvalidError, leaf *x509.Certificate) int {
	switch err.Reason {
	case x509.Expired:
		if err.Cert != nil && !err.Cert.Equal(leaf) {
			return certTimes
		}
		return certExpired
	case x509.IncompatibleUsage:
		return certNotForMail
	case x509.NotAuthorizedToSign, x509.CANotAuthorizedForThisName, x509.CANotAuthorizedForExtKeyUsage, x509.UnconstrainedName:
		return certMisused
	case x509.TooManyIntermediates, x509.NameMismatch, x509.NameConstraintsWithoutSANs, x509.NoValidChains:
		return certChain
	}
	return certUnknown
}
