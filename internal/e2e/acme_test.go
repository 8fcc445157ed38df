package e2e

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"lockstep/internal/certs/acmetest"
)

// handshake is the certificate that a port serves to who asks for a name; those without
// TLS from the first byte are asked for it.
func (s *server) handshake(port, ask string, c *tls.Config) (*x509.Certificate, error) {
	nc, err := net.DialTimeout("tcp", "127.0.0.1:"+s.ports[port], patience)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(patience))
	if ask != "" {
		in := bufio.NewReader(nc)
		_, greeting := in.ReadString('\n')
		_, wrote := fmt.Fprint(nc, ask)
		if err := errors.Join(greeting, wrote); err != nil {
			return nil, err
		}
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return nil, err
			}
			if !strings.HasPrefix(line, "250") { // of EHLO
				break
			}
		}
	}
	t := tls.Client(nc, c)
	if err := t.Handshake(); err != nil {
		return nil, err
	}
	return t.ConnectionState().PeerCertificates[0], nil
}

// configure adds to the file of a server.
func (s *server) configure(format string, args ...any) {
	s.t.Helper()
	f, err := os.OpenFile(s.config, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = fmt.Fprintf(f, format, args...)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// An authority gives the certificate, and every protocol serves it without a restart. As
// long as it does not, mail is served all the same.
func TestCertificatesComeByThemselves(t *testing.T) {
	s := newServer(t, "")
	var ports [2]int
	for i, name := range []string{"http", "https"} {
		n, err := strconv.Atoi(s.ports[name])
		if err != nil {
			t.Fatal(err)
		}
		ports[i] = n
	}
	a := acmetest.Start(t, acmetest.Options{HTTP: ports[0], TLS: ports[1]})
	a.Stop()
	s.configure("[tls]\nacme = true\nacme_terms = true\nacme_names = [\"pop.example.test\"]\nacme_directory = %q\nacme_roots = %q\n", a.Directory, a.RootFile)
	s.start()
	s.addAccount(alice)
	any := &tls.Config{InsecureSkipVerify: true}
	own, err := s.handshake("imaps", "", any)
	if err != nil || own.Issuer.String() != own.Subject.String() {
		t.Fatalf("before there is one: %v, %v", own, err)
	}
	if !eventually(func() bool { return strings.Count(s.log.String(), "certificate not obtained") == 2 }) {
		t.Error("the log does not say that the authority is away")
	}
	if n := s.metric("tls_certificates_missing", ""); n != 2 {
		t.Errorf("%d certificates are missing, want 2", n)
	}
	out, err := lockstep("", "doctor", "--fast", "--config", s.config)
	if _, exited := errors.AsType[*exec.ExitError](err); !exited || !strings.Contains(out, "there is no certificate for mail.example.test yet, and a self-signed one is served in its place: ") {
		t.Errorf("doctor: %v\n%s", err, out)
	}
	s.stop()

	a.Restart()
	roots := a.Roots()
	s.start()
	for port, ask := range map[string]string{
		"imaps": "", "pop3s": "", "submissions": "", "https": "", "imap": "a STARTTLS\r\n", "pop3": "STLS\r\n", "smtp": "EHLO x\r\nSTARTTLS\r\n", "submission": "EHLO x\r\nSTARTTLS\r\n", "lmtp": "LHLO x\r\nSTARTTLS\r\n",
	} {
		for _, name := range []string{"mail.example.test", "pop.example.test"} {
			var last error
			if !eventually(func() bool {
				_, last = s.handshake(port, ask, &tls.Config{ServerName: name, RootCAs: roots})
				return last == nil
			}) {
				t.Fatalf("%s as %s: %v\n%s", port, name, last, s.log)
			}
		}
	}
	if c, err := s.handshake("imaps", "", any); err != nil || c.VerifyHostname("mail.example.test") != nil {
		t.Errorf("who asks for no name: %v, %v", c, err)
	}
	if n := s.metric("tls_certificates_missing", ""); n != 0 {
		t.Errorf("%d certificates are missing", n)
	}
	if at := time.Unix(int64(s.metric("tls_certificate_expiry_timestamp_seconds", "")), 0); time.Until(at) < 80*24*time.Hour || time.Until(at) > 91*24*time.Hour {
		t.Errorf("ends at %v", at)
	}
	if out := s.lockstep("", "doctor", "--fast"); !strings.Contains(out, "Certificate of mail.example.test (ACME): until ") {
		t.Error(out)
	}
	if out := s.lockstep("", "config", "print"); !strings.Contains(out, "acme = true") {
		t.Error(out)
	}
	s.stop()
}
