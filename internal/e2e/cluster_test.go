package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"lockstep/internal/certs/acmetest"
	"lockstep/internal/store/sqlstore/pgtest"
)

// Two nodes on one database: the authority asks one whether the name is the other's, both
// serve the certificate, and one that is told to stop sends its sessions to the other.
func TestNodesShareACertificateAndTakeEachOthersSessions(t *testing.T) {
	database := pgtest.Database(t)
	one, two := newServer(t, ""), newServer(t, "")
	port := func(name string) int {
		n, err := strconv.Atoi(two.ports[name])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	a := acmetest.Start(t, acmetest.Options{HTTP: port("http"), TLS: port("https")})
	for name, s := range map[string]*server{"one": one, "two": two} {
		s.configure("[tls]\nacme = true\nacme_terms = true\nacme_directory = %q\nacme_roots = %q\n[cluster]\nnode = %q\ndatabase = %q\ndrain_notice = \"100ms\"\ndrain_time = \"200ms\"\n", a.Directory, a.RootFile, name, database)
	}
	one.start()
	one.addAccount(alice)
	key, err := os.ReadFile(filepath.Join(one.dir, "key"))
	if err == nil {
		err = os.MkdirAll(two.dir, 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(two.dir, "key"), key, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	two.start()
	roots := a.Roots()
	var served []*x509.Certificate
	for name, s := range map[string]*server{"one": one, "two": two} {
		var last error
		if !eventually(func() bool {
			c, err := s.handshake("imaps", "", &tls.Config{ServerName: "mail.example.test", RootCAs: roots})
			if last = err; err == nil {
				served = append(served, c)
			}
			return err == nil
		}) {
			t.Fatalf("%s: %v\n%s", name, last, s.log)
		}
	}
	if !served[0].Equal(served[1]) {
		t.Error("each got one of its own")
	}

	c, err := one.dial(alice, password)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if _, err := c.do("SELECT INBOX"); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(c.c, "i IDLE\r\n")
	if l, err := c.line(); err != nil || !strings.HasPrefix(l, "+") {
		t.Fatal(l, err)
	}
	one.stop()
	if got := rest(c.r); !strings.HasPrefix(got, "* BYE [UNAVAILABLE]") {
		t.Errorf("a session of a node that stops heard %q", got)
	}
	if !strings.Contains(one.log.String(), "phase=leaving") {
		t.Errorf("it did not drain:\n%s", one.log)
	}
	again, err := two.dial(alice, password)
	if err != nil {
		t.Fatal(err)
	}
	again.close()
	two.stop()
}
