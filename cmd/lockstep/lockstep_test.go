package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"log/slog"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep/internal/blob"
	"lockstep/internal/config"
	"lockstep/internal/mail"
	"lockstep/internal/smtp"
	"lockstep/internal/steady"
	"lockstep/internal/store"
)

func testConfig(t *testing.T) config.Config {
	t.Helper()
	c := config.Default()
	c.Data = filepath.Join(t.TempDir(), "data")
	c.Hostname = "mail.example.test"
	return c
}

func openTestHouse(t *testing.T, c config.Config) *house {
	t.Helper()
	h, err := openHouse(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

func TestOperationsListsEveryMetric(t *testing.T) {
	doc, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	h := openTestHouse(t, testConfig(t))
	m := newMetrics(h)
	h.protocols(nil, m)
	m.Command("NOOP", "OK", time.Millisecond)
	m.SessionBegan()
	m.SessionEnded(1, 2)
	m.connections.WithLabelValues("imap").Inc()
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "go_") || strings.HasPrefix(f.GetName(), "process_") {
			continue
		}
		n++
		if !strings.Contains(string(doc), "`"+f.GetName()) {
			t.Errorf("docs/operations.md does not say what %s is good for", f.GetName())
		}
	}
	if n < 15 {
		t.Errorf("only %d metrics", n)
	}
}

func TestUpkeepRunsOnAnEmptyAndAFullHouse(t *testing.T) {
	h := openTestHouse(t, testConfig(t))
	if err := h.upkeep(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	s := demoState{Seed: 1, Made: time.Now(), Devices: map[string]string{}}
	if err := h.fillDemo(t.Context(), &s); err != nil {
		t.Fatal(err)
	}
	if err := h.upkeep(t.Context(), true); err != nil {
		t.Fatal(err)
	}
}

func TestTheHouseIsHeldOnce(t *testing.T) {
	c := testConfig(t)
	openTestHouse(t, c)
	if _, err := openHouse(t.Context(), c, slog.New(slog.DiscardHandler)); !errors.Is(err, errInUse) || !strings.Contains(err.Error(), "--data") {
		t.Error(err)
	}
}

func TestSpoolsOfAKilledServerAreSwept(t *testing.T) {
	c := testConfig(t)
	left := filepath.Join(c.Data, spoolDir, "arriving-1.tmp")
	if err := os.MkdirAll(filepath.Dir(left), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(left, []byte("half a message"), 0o600); err != nil {
		t.Fatal(err)
	}
	openTestHouse(t, c)
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the spool of a killed server is still there: %v", err)
	}
}

func TestADirectoryOpenToOthersIsRefused(t *testing.T) {
	c := testConfig(t)
	if err := os.MkdirAll(c.Data, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(c.Data, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := openHouse(t.Context(), c, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "chmod 700") {
		t.Error(err)
	}
}

func TestADirectoryOfAnotherUserIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a directory away")
	}
	c := testConfig(t)
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(c.Data, 65532, 65532); err != nil {
		t.Fatal(err)
	}
	if _, err := openHouse(t.Context(), c, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "sudo -u") {
		t.Error(err)
	}
}

func TestSelfSignedIsMadeOnceAndReadAgainWhenItChanges(t *testing.T) {
	c := testConfig(t)
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		t.Fatal(err)
	}
	cert, key := filepath.Join(c.Data, selfSignedCert), filepath.Join(c.Data, selfSignedKey)
	if _, made, err := tlsConfig(c, slog.New(slog.DiscardHandler)); err != nil || !made {
		t.Fatalf("%v, %v", made, err)
	}
	if _, made, err := tlsConfig(c, slog.New(slog.DiscardHandler)); err != nil || made {
		t.Errorf("made again: %v, %v", made, err)
	}
	if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	var logged strings.Builder
	files := &certificates{cert: cert, key: key, log: slog.New(slog.NewTextHandler(&logged, nil))}
	first := leaf(t, files)
	for _, f := range []string{cert, key} {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		files.checked = time.Time{}
		if leaf(t, files) != first {
			t.Error("half a renewal does not leave the old certificate in force")
		}
	}
	if got := logged.String(); strings.Count(got, "can't be read again") != 1 {
		t.Errorf("logged %q, want one warning", got)
	}
	if _, err := makeSelfSigned(cert, key, "mail.example.test"); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(cert, later, later); err != nil {
		t.Fatal(err)
	}
	files.checked = time.Time{}
	if leaf(t, files) == first {
		t.Error("the new certificate is not served")
	}
}

// Who trusts the self-signed certificate trusts it for its names, and nothing that
// its key signs.
func TestSelfSignedIsNoAuthority(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, selfSignedCert), filepath.Join(dir, selfSignedKey)
	if _, err := makeSelfSigned(cert, key, "mail.example.test"); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(pair.Leaf)
	for _, name := range []string{"mail.example.test", "localhost", "127.0.0.1"} {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	forged := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"bank.example"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, forged, pair.Leaf, pair.Leaf.PublicKey, pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	other, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Verify(x509.VerifyOptions{DNSName: "bank.example", Roots: roots}); err == nil {
		t.Error("it vouches for another")
	}
}

// What a power cut leaves of a pair that was being made keeps nobody from starting.
func TestDamagedSelfSignedIsMadeAgain(t *testing.T) {
	c := testConfig(t)
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{selfSignedCert, selfSignedKey} {
		if _, _, err := tlsConfig(c, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(filepath.Join(c.Data, file), 0); err != nil {
			t.Fatal(err)
		}
		if _, made, err := tlsConfig(c, slog.New(slog.DiscardHandler)); err != nil || !made {
			t.Errorf("%s: %v, %v", file, made, err)
		}
	}
}

func leaf(t *testing.T, c *certificates) string {
	t.Helper()
	pair, err := c.get(&tls.ClientHelloInfo{})
	if err != nil {
		t.Fatal(err)
	}
	return pair.Leaf.SerialNumber.String()
}

func TestRelayIsReadFromTheConfiguration(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("secret word\nsecond line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := config.Outgoing{Via: config.ViaRelay, Relay: "relay.example.test:587", RelayTLS: config.RelayStartTLS, RelayUser: "us", RelayPasswordFile: file}
	r, err := relayOf(o)
	if err != nil || r.Host != "relay.example.test" || r.Port != 587 || r.Secret != "secret word" || r.Login != "us" {
		t.Errorf("%+v, %v", r, err)
	}
	o.RelayPasswordFile = file + ".not"
	if _, err := relayOf(o); err == nil || !strings.Contains(err.Error(), "relay_password_file") {
		t.Error(err)
	}
}

// What is queued for people here is brought to them although no mail leaves.
func TestTheQueueIsEmptiedWithoutAWayOut(t *testing.T) {
	h := openTestHouse(t, testConfig(t))
	by := mail.NewOrigin("test", 0, mail.Local, mail.BySetup)
	s, err := h.sender()
	if err != nil || h.delivery.CanSend || h.delivery.Wake == nil {
		t.Fatalf("%v, %v", err, h.delivery.CanSend)
	}
	p, err := h.db.CreateAccount(t.Context(), by, store.NewAccount{Login: "alice@example.test"})
	if err != nil {
		t.Fatal(err)
	}
	b, _, err := h.blobs.Put(t.Context(), strings.NewReader("Subject: late\r\n\r\nHello\r\n"), blob.PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	err = h.db.Enqueue(t.Context(), []store.Outgoing{{Delivery: "d", Account: p.Account, Blob: b, Recipient: p.Login, Arrived: now, Next: now}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	news := make(chan struct{}, 1)
	defer h.db.Watch(p.Account, func(mail.News) { news <- struct{}{} })()
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	select {
	case <-news:
	case <-time.After(steady.Patience):
		t.Error("it is still queued")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestPlaintextMeansTheSameForReadingAndSending(t *testing.T) {
	here, far := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.0.2.1")
	for plaintext, want := range map[config.Plaintext][2]bool{config.PlaintextLoopback: {true, false}, config.PlaintextNever: {}, config.PlaintextAlways: {true, true}} {
		c := testConfig(t)
		c.Auth.Plaintext = plaintext
		h := openTestHouse(t, c)
		for i, addr := range []netip.Addr{here, far} {
			imap, smtp := h.imapServer(nil, nil).AllowPlainAuth(addr), h.smtpServer(smtp.Submission, nil, false).AllowPlainAuth(addr)
			if imap != want[i] || smtp != want[i] {
				t.Errorf("%s, from %v: IMAP %v, SMTP %v, want %v", plaintext, addr, imap, smtp, want[i])
			}
		}
	}
}

func TestPasswordsAreOneLine(t *testing.T) {
	for in, want := range map[string]string{"secret\n": "secret", "secret\r\nmore\n": "secret", "no end": "no end", " spaces stay \n": " spaces stay "} {
		if got, err := readPasswordLine(strings.NewReader(in)); err != nil || got != want {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	if _, err := readPasswordLine(strings.NewReader("")); err == nil || !strings.Contains(err.Error(), "standard input") {
		t.Error(err)
	}
}

func TestNoMailboxLeadsOutOfAnExport(t *testing.T) {
	for path, want := range map[string]string{"INBOX": "INBOX.mbox", "a/b": "a/b.mbox", "..": "%2E..mbox", "../../etc/passwd": "%2E./%2E./etc/passwd.mbox", ".hidden": "%2Ehidden.mbox"} {
		if got := mboxName(path); got != want || !filepath.IsLocal(got) {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
}

func TestNamesThatOthersChoseCannotMoveTheCursor(t *testing.T) {
	var b strings.Builder
	tb := newTable("NAME", "N")
	tb.row("evil\x1b[2J\nname\t", 1)
	if err := tb.print(&b); err != nil || strings.ContainsAny(b.String(), "\x1b\t") || strings.Count(b.String(), "\n") != 2 {
		t.Errorf("%q, %v", b.String(), err)
	}
}

func TestSizesForPeople(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1536: "1.5 KiB", 200 << 20: "200 MiB", 5 << 30: "5.0 GiB", 999 << 10: "999 KiB", 1023 << 20: "1.0 GiB"} {
		if got := bytesText(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

func TestPortsShiftOrAreRefused(t *testing.T) {
	l := config.Default().Listen
	if err := shiftPorts(&l, 1000); err != nil || l.IMAP[0] != "127.0.0.1:2143" {
		t.Errorf("%v, %v", l.IMAP, err)
	}
	if err := shiftPorts(&l, 60_000); err == nil || !strings.Contains(err.Error(), "--port-offset") {
		t.Error(err)
	}
}

func TestARunEndsWithItsContextAndAnswersBefore(t *testing.T) {
	c := testConfig(t)
	for _, a := range []*config.Addresses{&c.Listen.IMAP, &c.Listen.IMAPS, &c.Listen.POP3, &c.Listen.POP3S, &c.Listen.LMTP, &c.Listen.SMTP, &c.Listen.Submission, &c.Listen.Submissions, &c.Listen.HTTP, &c.Listen.HTTPS} {
		*a = config.Addresses{"127.0.0.1:0"}
	}
	h := openTestHouse(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	names := 0
	err := h.run(ctx, func(services []service) {
		names = len(services)
		cancel()
	})
	if err != nil || names != 11 {
		t.Errorf("%d services, %v", names, err)
	}
}
