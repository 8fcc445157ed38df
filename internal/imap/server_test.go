package imap

import (
	"bufio"
	"compress/flate"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xdg-go/scram"

	"lockstep/internal/auth/authtest"
	"lockstep/internal/imap/wire"
	"lockstep/internal/mail"
	"lockstep/internal/message/threads"
	"lockstep/internal/notify"
	"lockstep/internal/steady"
	"lockstep/internal/store"
)

func testTLS(t testing.TB) *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"mail.example.test"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

func withTLS(t testing.TB) func(*Server) {
	return func(s *Server) {
		s.TLS = testTLS(t)
		s.AllowPlainAuth = nil
	}
}

// startTLS makes the client's connection one of TLS.
func (c *testClient) startTLS() *tls.Conn {
	c.t.Helper()
	tc := tls.Client(c.conn, &tls.Config{InsecureSkipVerify: true})
	if err := tc.Handshake(); err != nil {
		c.t.Fatal(err)
	}
	c.conn, c.in = tc, bufio.NewReader(tc)
	return tc
}

// ready reads the greeting.
func (c *testClient) ready() *testClient {
	c.t.Helper()
	c.line()
	return c
}

func (c *testClient) login() *testClient {
	c.t.Helper()
	c.must("LOGIN " + testLogin + ` "` + testPassword + `"`)
	return c
}

// refused runs a command that fails with the beginning of an answer.
func (c *testClient) refused(command, want string) {
	c.t.Helper()
	lines := c.run(command)
	if last := lines[len(lines)-1]; !strings.HasPrefix(last, c.tag+" "+want) {
		c.t.Errorf("%s\n got %s\nwant %s", command, last, want)
	}
}

// closedWith reads up to the end of the connection and looks for BYE.
func (c *testClient) closedWith(want string) {
	c.t.Helper()
	for {
		l, err := c.read()
		if err != nil {
			c.t.Fatalf("closed without %q: %v", want, err)
		}
		if strings.HasPrefix(l, "* BYE") {
			if !strings.Contains(l, want) {
				c.t.Errorf("got %q, want %q", l, want)
			}
			return
		}
	}
}

func TestCapabilities(t *testing.T) {
	h := newHouse(t, func(s *Server) {
		withTLS(t)(s)
		s.JMAP = testJMAP
	})
	var got []string
	say := func(when string, c *testClient) {
		got = append(got, when)
		got = append(got, strings.Fields(strings.TrimPrefix(c.must("CAPABILITY")[0], "* CAPABILITY "))...)
		got = append(got, "")
	}
	c := dial(t, h.addr).ready()
	say("before TLS", c)
	c.must("STARTTLS")
	c.startTLS()
	say("under TLS", c)
	c.login()
	say("after login", c)
	open := dial(t, newHouse(t, nil).addr).ready()
	say("without TLS where that is allowed", open)
	text := strings.Join(got, "\n")
	const golden = "testdata/capability.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, _ := os.ReadFile(golden); string(want) != text {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
}

const testJMAP = "https://mail.example.test/jmap/session"

// JMAP is told of to who may use it with what was said here (RFC 9698).
func TestJMAPAccess(t *testing.T) {
	h := newHouse(t, func(s *Server) { s.JMAP = testJMAP })
	c := dial(t, h.addr).ready()
	c.refused("GETJMAPACCESS", "BAD")
	if caps := c.must("CAPABILITY")[0]; strings.Contains(caps, "JMAPACCESS") {
		t.Error("before login:", caps)
	}
	c.login()
	if caps := c.must("CAPABILITY")[0]; !strings.Contains(caps, " JMAPACCESS") {
		t.Error(caps)
	}
	c.says("GETJMAPACCESS", `* JMAPACCESS "`+testJMAP+`"`, "OK GETJMAPACCESS completed")

	p, err := h.server.Auth.Principal(t.Context(), testLogin)
	if err != nil {
		t.Fatal(err)
	}
	_, secret, err := h.server.Auth.AddDevice(t.Context(), p, "only IMAP", []mail.Protocol{mail.IMAP})
	if err != nil {
		t.Fatal(err)
	}
	only := dial(t, h.addr).ready()
	only.must("LOGIN " + testLogin + " " + secret)
	if caps := only.must("CAPABILITY")[0]; strings.Contains(caps, "JMAPACCESS") {
		t.Error("with an app password for IMAP alone:", caps)
	}
	only.refused("GETJMAPACCESS", "BAD")

	none := dial(t, newHouse(t, nil).addr).ready().login()
	none.refused("GETJMAPACCESS", "BAD")
}

func TestEveryCommandOfTheGrammarIsServed(t *testing.T) {
	for _, name := range wire.Names() {
		if _, ok := handlers[name]; !ok {
			t.Errorf("%s is parsed and not served", name)
		}
	}
}

func TestEveryKindHasAResponseCode(t *testing.T) {
	for _, k := range mail.Kinds() {
		status, code, text := answer(mail.Errorf(k, "words"))
		if status != "NO" || code == "" || text == "" {
			t.Errorf("%v: %s [%s] %q", k, status, code, text)
		}
	}
	if _, code, text := answer(io.ErrUnexpectedEOF); code != "SERVERBUG" || strings.Contains(text, "EOF") {
		t.Errorf("an unknown error is told as [%s] %q", code, text)
	}
}

func TestPasswordsNeedTLS(t *testing.T) {
	h := newHouse(t, withTLS(t))
	c := dial(t, h.addr).ready()
	c.refused("LOGIN "+testLogin+` "`+testPassword+`"`, "NO [PRIVACYREQUIRED]")
	c.refused("AUTHENTICATE PLAIN AA==", "NO [PRIVACYREQUIRED]")
	c.refused("AUTHENTICATE LOGIN", "NO [PRIVACYREQUIRED]")
	c.refused("AUTHENTICATE SCRAM-SHA-256-PLUS", "NO [CANNOT]")
}

func TestImplicitTLS(t *testing.T) {
	h := newHouse(t, withTLS(t))
	c := dial(t, h.listen(h.server.ServeTLS))
	c.startTLS()
	c.ready().login()
	c.must("SELECT INBOX")
	c.refused("STARTTLS", "BAD")
}

func TestWhatCameInClearIsForgottenByStartTLS(t *testing.T) {
	h := newHouse(t, withTLS(t))
	c := dial(t, h.addr).ready()
	fmt.Fprintf(c.conn, "a1 STARTTLS\r\na2 NOOP\r\n")
	c.tag = "a1"
	c.answer()
	c.startTLS()
	if got := c.must("NOOP"); len(got) != 1 {
		t.Errorf("the injected command was answered: %q", got)
	}
}

// pipelined commands under TLS come in one record or many; none is left lying
// while the session waits for the socket.
func TestPipelinedCommandsUnderTLS(t *testing.T) {
	h := newHouse(t, withTLS(t))
	c := dial(t, h.addr).ready()
	c.must("STARTTLS")
	c.startTLS()
	c.login()
	var all strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&all, "p%d NOOP\r\n", i)
	}
	go io.WriteString(c.conn, all.String())
	c.tag = "p2999"
	c.answer()
	io.WriteString(c.conn, "q1 NO")
	io.WriteString(c.conn, "OP\r\nq2 NOOP\r\n")
	c.tag = "q2"
	c.answer()
}

func TestSASLMechanisms(t *testing.T) {
	h := newHouse(t, nil)
	b64 := base64.StdEncoding.EncodeToString
	plain := b64([]byte("\x00" + testLogin + "\x00" + testPassword))
	dial(t, h.addr).ready().must("AUTHENTICATE PLAIN " + plain)

	c := dial(t, h.addr).ready()
	if got := c.run("AUTHENTICATE PLAIN"); got[0] != "+ " {
		t.Fatalf("%q", got)
	}
	tag := c.tag
	c.send(plain)
	if c.tag = tag; !strings.Contains(c.answer()[0], "OK") {
		t.Error("PLAIN without initial response failed")
	}

	c = dial(t, h.addr).ready()
	c.run("AUTHENTICATE LOGIN")
	tag = c.tag
	c.send(b64([]byte(testLogin)))
	c.answer()
	c.send(b64([]byte(testPassword)))
	if got := c.answer(); !strings.HasPrefix(got[0], tag+" OK") {
		t.Errorf("LOGIN: %q", got)
	}

	c = dial(t, h.addr).ready()
	c.run("AUTHENTICATE LOGIN")
	tag = c.tag
	c.send("*")
	if got := c.answer(); !strings.HasPrefix(got[0], tag+" BAD") {
		t.Errorf("cancelled: %q", got)
	}
	c.refused("AUTHENTICATE PLAIN "+b64([]byte("bob\x00"+testLogin+"\x00"+testPassword)), "NO [AUTHORIZATIONFAILED]")
	c.refused("AUTHENTICATE XYZZY", "NO [CANNOT]")
	c.refused("AUTHENTICATE PLAIN %%%", "BAD")
}

// A token alone says whose mail it opens (RFC 7628).
func TestBearerTokens(t *testing.T) {
	h := newHouse(t, withTLS(t))
	_, secret, err := h.auth.AddDevice(context.Background(), h.user, "laptop", nil)
	if err != nil {
		t.Fatal(err)
	}
	message := func(header, token string) string {
		return base64.StdEncoding.EncodeToString([]byte(header + "\x01host=mail.example.test\x01auth=Bearer " + token + "\x01\x01"))
	}
	c := dial(t, h.addr).ready()
	c.refused("AUTHENTICATE OAUTHBEARER "+message("n,,", secret), "NO [PRIVACYREQUIRED]")
	c.must("STARTTLS")
	c.startTLS()
	for _, bad := range []string{message("n,a=bob@example.test,", secret), message("n,,", "wrong"), message("n,,", testPassword)} {
		got := c.run("AUTHENTICATE OAUTHBEARER " + bad)
		told, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(got[0], "+ "))
		if err != nil || !strings.Contains(string(told), "invalid_token") {
			t.Errorf("%q: %q, %v", bad, got, err)
		}
		tag := c.tag
		c.send("AQ==")
		if c.tag = tag; !strings.Contains(c.answer()[0], "NO [AUTHENTICATIONFAILED]") {
			t.Errorf("%q is let in", bad)
		}
	}
	c.refused("AUTHENTICATE OAUTHBEARER "+base64.StdEncoding.EncodeToString([]byte("n,,\x01\x01")), "NO [CANNOT]")
	c.must("AUTHENTICATE OAUTHBEARER " + message("n,,", secret))
}

func TestScram(t *testing.T) {
	h := newHouse(t, withTLS(t))
	_, secret, err := h.auth.AddDevice(context.Background(), h.user, "laptop", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		mechanism string
		tls       bool
		secret    string
		ok        bool
	}{{"SCRAM-SHA-256", false, secret, true}, {"SCRAM-SHA-256", true, secret, true}, {"SCRAM-SHA-256-PLUS", true, secret, true},
		{"SCRAM-SHA-256", false, "wrong", false}, {"SCRAM-SHA-256-PLUS", true, "wrong", false}} {
		c := dial(t, h.addr).ready()
		var conv *scram.ClientConversation
		client, err := scram.SHA256.NewClient(testLogin, test.secret, "")
		if err != nil {
			t.Fatal(err)
		}
		conv = client.NewConversation()
		if test.tls {
			c.must("STARTTLS")
			state := c.startTLS().ConnectionState()
			cb, err := scram.NewTLSExporterBinding(&state)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(test.mechanism, "-PLUS") {
				conv = client.NewConversationWithChannelBinding(cb)
			}
		}
		first, _ := conv.Step("")
		got := c.run("AUTHENTICATE " + test.mechanism + " " + base64.StdEncoding.EncodeToString([]byte(first)))
		tag := c.tag
		for strings.HasPrefix(got[0], "+ ") {
			challenge, _ := base64.StdEncoding.DecodeString(got[0][2:])
			answer, err := conv.Step(string(challenge))
			if err != nil {
				t.Fatal(err)
			}
			c.send(base64.StdEncoding.EncodeToString([]byte(answer)))
			c.tag = tag
			got = c.answer()
		}
		if ok := strings.HasPrefix(got[len(got)-1], tag+" OK"); ok != test.ok || ok && !conv.Valid() {
			t.Errorf("%s, tls %v: %q", test.mechanism, test.tls, got)
		}
		if !test.ok && !strings.Contains(got[len(got)-1], "NO [AUTHENTICATIONFAILED] wrong login or app password: SCRAM needs an app password (lockstep device add)") {
			t.Errorf("the refusal does not help: %q", got)
		}
	}
}

func TestCompression(t *testing.T) {
	h := newHouse(t, nil)
	h.put("INBOX", "Subject: squeezed\r\n\r\n"+strings.Repeat("again and ", 9999), mail.Flags{}, 1, 0)
	c := dial(t, h.addr).ready()
	c.refused("COMPRESS DEFLATE", "BAD")
	c.login()
	c.refused("COMPRESS GZIP", "NO [CANNOT]")
	c.must("COMPRESS DEFLATE")
	w, err := flate.NewWriter(c.conn, flate.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	c.in = bufio.NewReader(flate.NewReader(c.conn))
	c.conn = flushed{c.conn, w}
	c.refused("COMPRESS DEFLATE", "NO [COMPRESSIONACTIVE]")
	c.must("SELECT INBOX")
	if got := c.must("FETCH 1 BODY.PEEK[]"); len(got[3]) < 99990 {
		t.Errorf("got %d bytes", len(got[3]))
	}
	c.run("IDLE")
	h.put("INBOX", "Subject: more\r\n\r\n", mail.Flags{}, 2, 0)
	if got := c.line(); got != "* 2 EXISTS" {
		t.Errorf("%q", got)
	}
	c.line() // RECENT
	tag := c.tag
	c.send("DONE")
	c.tag = tag
	c.answer()
	c.send("z1 APPEND INBOX {12}")
	if got := c.answer(); got[0] != "+ OK" {
		t.Errorf("%q", got)
	}
	c.send("Subject: x")
	if c.send(""); !strings.HasPrefix(c.answer()[2], "z1 OK") {
		t.Error("APPEND under compression failed")
	}
}

type flushed struct {
	net.Conn
	w *flate.Writer
}

func (f flushed) Write(b []byte) (int, error) {
	n, err := f.w.Write(b)
	if err == nil {
		err = f.w.Flush()
	}
	return n, err
}

func TestServeSaysGoodbye(t *testing.T) {
	h := newHouse(t, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.server.Serve(ctx, l) }()
	idle := dial(t, l.Addr().String()).ready().login()
	idle.must("SELECT INBOX")
	idle.run("IDLE")
	fresh := dial(t, l.Addr().String()).ready()
	cancel()
	idle.closedWith("shutting down")
	fresh.closedWith("shutting down")
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestSignedOutDeviceHearsIt(t *testing.T) {
	h := newHouse(t, nil)
	c := dial(t, h.addr).ready().login()
	c.must("SELECT INBOX")
	c.run("IDLE")
	h.auth.EndAll(h.account, "signed out")
	c.closedWith("signed out")
}

// Who is signed out at another node hears it, in IDLE, in the lot and between commands.
func TestSignedOutAtAnotherNodeHearsIt(t *testing.T) {
	h := newHouse(t, nil)
	there := authtest.Beside(t, h.store, h.auth)
	idle, quiet := dial(t, h.addr).ready().login(), dial(t, h.addr).ready().login()
	idle.must("SELECT INBOX")
	idle.run("IDLE")
	if err := there.SetDisabled(t.Context(), h.account, true); err != nil {
		t.Fatal(err)
	}
	idle.closedWith("account disabled")
	quiet.closedWith("account disabled")
}

func TestDeviceIsNamedByID(t *testing.T) {
	h := newHouse(t, nil)
	c := dial(t, h.addr).ready()
	c.must(`ID ("name" "Thunderbird" "version" "128")`)
	c.login()
	d := dial(t, h.addr).ready().login()
	d.must(`ID ("name" "mutt")`)
	n := h.auth.Connected(h.account)
	if len(n) != 2 {
		t.Errorf("%d devices, want 2", len(n))
	}
}

func TestLimits(t *testing.T) {
	small := Limits{Wire: wire.Limits{Line: 200, Literal: 50, Literals: 2, Depth: 4}, Message: 100, Messages: 2, Connections: 3, PerAddress: 3,
		BeforeLogin: 4, BadLogins: 2, BadCommands: 3, SearchBytes: 300}
	open := func(t *testing.T) *house {
		return newHouse(t, func(s *Server) { s.Limits = small })
	}
	t.Run("commands before login", func(t *testing.T) {
		c := dial(t, open(t).addr).ready()
		for range small.BeforeLogin {
			c.must("NOOP")
		}
		c.send("x NOOP")
		c.closedWith("[LIMIT]")
	})
	t.Run("failed logins", func(t *testing.T) {
		c := dial(t, open(t).addr).ready()
		c.refused("LOGIN "+testLogin+" wrong", "NO [AUTHENTICATIONFAILED]")
		c.send("x LOGIN " + testLogin + " wrong")
		c.closedWith("[LIMIT]")
	})
	t.Run("bad commands", func(t *testing.T) {
		c := dial(t, open(t).addr).ready().login()
		for range small.BadCommands {
			c.refused("XYZZY", "BAD")
		}
		c.send("x XYZZY")
		c.closedWith("[LIMIT]")
	})
	t.Run("connections", func(t *testing.T) {
		h := open(t)
		for range small.PerAddress {
			dial(t, h.addr).ready()
		}
		dial(t, h.addr).closedWith("[LIMIT]")
	})
	t.Run("line", func(t *testing.T) {
		c := dial(t, open(t).addr).ready().login()
		c.must("NOOP")
		c.refused("STATUS "+strings.Repeat("a", small.Wire.Line)+" (MESSAGES)", "BAD [TOOBIG]")
		c.must("NOOP")
	})
	t.Run("literal", func(t *testing.T) {
		c := dial(t, open(t).addr).ready().login()
		c.refused("STATUS {51}", "BAD [TOOBIG]")
		c.must("NOOP")
	})
	t.Run("message", func(t *testing.T) {
		h := open(t)
		c := dial(t, h.addr).ready().login()
		c.refused("APPEND INBOX {101}", "NO [TOOBIG]")
		c.must("NOOP")
		for i, want := range []string{"OK", "NO [MESSAGELIMIT 2]"} {
			text := strings.Repeat(" {1+}\r\nx", small.Messages+i)
			c.refused("APPEND INBOX"+text, want)
		}
	})
	t.Run("messages together", func(t *testing.T) {
		h := newHouse(t, func(s *Server) { s.Limits.AllMessages = 10 })
		c := dial(t, h.addr).ready().login()
		c.must("APPEND INBOX {5+}\r\n12345 {5+}\r\n12345")
		c.refused("APPEND INBOX {5+}\r\n12345 {6+}\r\n123456", "NO [LIMIT")
	})
	t.Run("sections", func(t *testing.T) {
		h := newHouse(t, nil)
		h.put("INBOX", "x", mail.Flags{}, 1, 0)
		c := dial(t, h.addr).ready().login()
		c.must("SELECT INBOX")
		c.must("FETCH 1 (" + strings.TrimSpace(strings.Repeat("BODY.PEEK[] ", maxSections)) + ")")
		c.refused("FETCH 1 ("+strings.TrimSpace(strings.Repeat("BODY.PEEK[] ", maxSections+1))+")", "NO [LIMIT]")
	})
	t.Run("patterns", func(t *testing.T) {
		c := dial(t, newHouse(t, nil).addr).ready().login()
		c.must(`LIST "" ` + strings.Repeat("%", maxPatternBytes))
		c.refused(`LIST "" `+strings.Repeat("%", maxPatternBytes+1), "NO [LIMIT]")
		c.refused(`LSUB "" `+strings.Repeat("%", maxPatternBytes+1), "NO [LIMIT]")
	})
	t.Run("nesting", func(t *testing.T) {
		c := dial(t, open(t).addr).ready().login()
		c.must("SELECT INBOX")
		c.must("SEARCH NOT NOT NOT ALL")
		c.refused("SEARCH NOT NOT NOT NOT ALL", "BAD [TOOBIG]")
	})
	t.Run("messages of a SORT and a THREAD", func(t *testing.T) {
		key := int64(keyBytes + len("A\x00") + 8)
		for command, each := range map[string]int64{"SORT (SUBJECT DATE) UTF-8 ALL": key, "THREAD REFERENCES UTF-8 ALL": threads.NodeBytes} {
			h := newHouse(t, func(s *Server) { s.Limits.SortBytes = 2 * each })
			c := dial(t, h.addr).ready().login()
			h.put("INBOX", "Subject: a\r\n\r\n", mail.Flags{}, 1, 0)
			h.put("INBOX", "Subject: b\r\n\r\n", mail.Flags{}, 2, 0)
			c.must("SELECT INBOX")
			c.must(command)
			h.put("INBOX", "Subject: c\r\n\r\n", mail.Flags{}, 3, 0)
			c.refused(command, "NO [LIMIT]")
			if n := h.server.sorting.Load(); n != 0 {
				t.Errorf("%s: %d bytes were not given back", command, n)
			}
			h.server.sorting.Store(2*sortsAtOnce*each - each)
			c.refused(command, "NO [LIMIT]") // others are at it
			h.server.sorting.Store(0)
		}
	})
	t.Run("searches that are updated", func(t *testing.T) {
		h := newHouse(t, func(s *Server) { s.Limits.Contexts = 2 })
		c := dial(t, h.addr).ready().login()
		c.must("SELECT INBOX")
		c.must("SEARCH RETURN (UPDATE) ALL")
		first := c.tag
		c.must("SORT RETURN (UPDATE COUNT) (DATE) UTF-8 ALL")
		lines := c.must("SEARCH RETURN (UPDATE COUNT) ALL")
		if want := `* NO [NOUPDATE "` + c.tag + `"] Too many searches are being updated`; !slices.Contains(lines, want) {
			t.Errorf("one past the bound: %q", lines)
		}
		c.must(`CANCELUPDATE "` + first + `"`)
		if lines := c.must("SEARCH RETURN (UPDATE COUNT) ALL"); len(lines) != 2 {
			t.Errorf("after CANCELUPDATE: %q", lines)
		}
	})
	t.Run("size of what is updated", func(t *testing.T) {
		h := newHouse(t, func(s *Server) { s.Limits.ContextBytes = 2*(keyBytes+2) + 2*rangeBytes })
		h.put("INBOX", "Subject: a\r\n\r\n", mail.Flags{}, 1, 0)
		h.put("INBOX", "Subject: b\r\n\r\n", mail.Flags{}, 3, 0)
		c := dial(t, h.addr).ready().login()
		c.must("SELECT INBOX")
		if lines := c.must("SORT RETURN (UPDATE COUNT) (SUBJECT) UTF-8 ALL"); len(lines) != 2 {
			t.Errorf("at the bound: %q", lines)
		}
		want := `* NO [NOUPDATE "` + c.tag + `"] The results are too large to be updated`
		h.put("INBOX", "Subject: c\r\n\r\n", mail.Flags{}, 5, 0)
		if lines := c.must("NOOP"); !slices.Contains(lines, want) {
			t.Errorf("grown past the bound: %q", lines)
		}
		h.put("INBOX", "Subject: d\r\n\r\n", mail.Flags{}, 6, 0)
		if lines := c.must("NOOP"); len(lines) != 3 {
			t.Errorf("it is still updated: %q", lines)
		}
	})
	t.Run("mail read for what is updated", func(t *testing.T) {
		h := newHouse(t, func(s *Server) { s.Limits.SearchBytes = 100 })
		c := dial(t, h.addr).ready().login()
		c.must("SELECT INBOX")
		c.must("SEARCH RETURN (UPDATE) BODY x")
		h.put("INBOX", strings.Repeat("x", 101), mail.Flags{}, 1, 0)
		if lines := c.must("NOOP"); !strings.HasPrefix(lines[2], "* NO [NOUPDATE ") {
			t.Errorf("one past the bound: %q", lines)
		}
	})
	t.Run("data items of what is updated", func(t *testing.T) {
		c := dial(t, newHouse(t, nil).addr).ready().login()
		c.must("SELECT INBOX")
		items := strings.Repeat("BODY.PEEK[] ", maxSections-1) + "BODY.PEEK[]"
		c.must("SEARCH RETURN (UPDATE (" + items + ")) ALL")
		if lines := c.must("SEARCH RETURN (UPDATE (FLAGS " + items + ")) ALL"); !strings.HasPrefix(lines[1], "* NO [NOUPDATE ") {
			t.Errorf("one past the bound: %q", lines)
		}
	})
	t.Run("search", func(t *testing.T) {
		h := open(t)
		c := dial(t, h.addr).ready().login()
		h.put("INBOX", strings.Repeat("x", 150), mail.Flags{}, 1, 0)
		h.put("INBOX", strings.Repeat("x", 150), mail.Flags{}, 2, 0)
		c.must("SELECT INBOX")
		c.must("SEARCH BODY x")
		h.put("INBOX", "x", mail.Flags{}, 3, 0)
		c.refused("SEARCH BODY x", "NO [LIMIT]")
		c.must("SEARCH 3 BODY x")
	})
}

// inBubble serves and tests what the server does in time, which costs nothing.
func inBubble(t *testing.T, change func(*Server), test func(h *house, c *testClient)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(testClock)) // what the store takes for now
		h := quietHouse(t, change)
		l := steady.NewWire()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- h.server.Serve(ctx, l) }()
		nc, err := l.Dial()
		if err != nil {
			t.Fatal(err)
		}
		test(h, newTestClient(t, nc))
		nc.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestTimeBeforeLogin(t *testing.T) {
	inBubble(t, func(s *Server) { s.Limits.LoginTime = 50 * time.Millisecond }, func(h *house, c *testClient) {
		c.ready().closedWith("too long")
	})
}

func TestAutologout(t *testing.T) {
	inBubble(t, func(s *Server) { s.Limits.Idle = 50 * time.Millisecond }, func(h *house, c *testClient) {
		c.ready().login()
		c.must("SELECT INBOX")
		c.closedWith("too long")
	})
}

func TestSlowReaderIsLeft(t *testing.T) {
	inBubble(t, func(s *Server) { s.Limits.Stall = 50 * time.Millisecond }, func(h *house, c *testClient) {
		h.put("INBOX", "\r\n"+strings.Repeat("x", 32<<20), mail.Flags{}, 1, 0)
		c.ready().login()
		c.must("SELECT INBOX")
		c.send("a FETCH 1 BODY.PEEK[]")
		h.waitForSessions(0)
	})
}

func TestPanicEndsOneSession(t *testing.T) {
	h := newHouse(t, func(s *Server) {
		s.Ingest = func(context.Context, io.Reader, int64) (mail.Arrival, error) { panic("a bug") }
	})
	c := dial(t, h.addr).ready().login()
	other := dial(t, h.addr).ready().login()
	c.send("a APPEND INBOX {1+}")
	c.send("x")
	c.closedWith("SERVERBUG")
	other.must("NOOP")
}

func TestDamagedMessageDoesNotBlockOthers(t *testing.T) {
	h := newHouse(t, nil)
	for uid := range mail.UID(3) {
		h.put("INBOX", fmt.Sprintf("Subject: %d\r\n\r\nbody\r\n", uid), mail.Flags{}, uid+1, 0)
	}
	var bad mail.BlobName
	for name, b := range h.blobs.m {
		if strings.HasPrefix(string(b), "Subject: 1\r\n") {
			bad = name
		}
	}
	delete(h.blobs.m, bad)
	c := dial(t, h.addr).ready().login()
	c.must("SELECT INBOX")
	got := c.run("FETCH 1:3 BODY.PEEK[TEXT]")
	if last := got[len(got)-1]; !strings.Contains(last, "NO [CORRUPTION]") || strings.Count(strings.Join(got, "\n"), "body") != 2 {
		t.Errorf("%q", got)
	}
	if got := c.must("SEARCH BODY body"); got[0] != "* SEARCH 1 3" {
		t.Errorf("%q", got)
	}
}

func TestOnlyAllowedAddressesSendPasswordsInClear(t *testing.T) {
	h := newHouse(t, func(s *Server) { s.AllowPlainAuth = func(a netip.Addr) bool { return !a.IsLoopback() } })
	c := dial(t, h.addr).ready()
	c.refused("LOGIN "+testLogin+` "`+testPassword+`"`, "NO [PRIVACYREQUIRED]")
	if got := c.must("CAPABILITY")[0]; !strings.Contains(got, "LOGINDISABLED") {
		t.Error(got)
	}
}

type countingMetrics struct {
	mu       sync.Mutex
	commands map[string]int
	began    int
	ended    int
	received int64
	sent     int64
}

func (m *countingMetrics) Command(name, result string, _ time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.commands[name+" "+result]++
}

func (m *countingMetrics) SessionBegan() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.began++
}

func (m *countingMetrics) SessionEnded(received, sent int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ended++
	m.received += received
	m.sent += sent
}

func TestMetricsHearOfEverything(t *testing.T) {
	m := &countingMetrics{commands: map[string]int{}}
	h := newHouse(t, func(s *Server) { s.Metrics = m })
	c := dial(t, h.addr).ready().login()
	c.must("NOOP")
	c.run("SELECT Nowhere")
	c.run("XYZZY")
	c.run("LOGOUT")
	h.waitForSessions(0)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, want := range []string{"LOGIN OK", "NOOP OK", "SELECT NO", "unknown BAD", "LOGOUT OK"} {
		if m.commands[want] != 1 {
			t.Errorf("%s: %d times, want once", want, m.commands[want])
		}
	}
	if m.began != 1 || m.ended != 1 || m.received == 0 || m.sent == 0 {
		t.Errorf("%d sessions began, %d ended, %d bytes came, %d went", m.began, m.ended, m.received, m.sent)
	}
}

func TestHubHearsWhatWasWritten(t *testing.T) {
	heard := make(chan notify.Written, 10)
	hub := &notify.Hub{}
	hub.OnWritten(func(w notify.Written) { heard <- w })
	h := newHouse(t, func(s *Server) { s.Hub = hub })
	h.idle(t, false)
	<-heard // SELECT
	var n mail.ModSeq
	h.put("INBOX", "x", mail.Flags{}, 1, 0)
	n = h.head()
	if w := <-heard; w.ModSeq != n || w.Account != h.account || w.Device == 0 {
		t.Errorf("%+v, want modseq %d", w, n)
	}
}

func TestEmptyMailbox(t *testing.T) {
	h := newHouse(t, nil)
	c := dial(t, h.addr).ready().login()
	c.must("SELECT INBOX")
	c.must("FETCH 1:* FLAGS")
	c.must("UID FETCH 1:* FLAGS")
	c.must("STORE 1:* +FLAGS (\\Seen)")
	c.must("SEARCH ALL")
	c.must("UID COPY 1:* Trash")
	c.must("UID MOVE 1:* Trash")
	c.must("EXPUNGE")
	c.refused("FETCH 1 FLAGS", "BAD")
}

// A change to very many messages is several transactions of one act.
func TestLargeStoreIsOneAct(t *testing.T) {
	h := newHouse(t, nil)
	h.fill(updateChunk + 10)
	c := dial(t, h.addr).ready().login()
	c.must("SELECT INBOX")
	before := h.head()
	c.must("STORE 1:* +FLAGS.SILENT (\\Deleted)")
	c.must("EXPUNGE")
	acts := map[mail.ActID]int{}
	err := h.store.View(context.Background(), h.account, func(r store.Reader) error {
		records, err := r.Journal(store.JournalQuery{After: before})
		for _, rec := range records {
			acts[rec.Act]++
		}
		return err
	})
	if err != nil || len(acts) != 2 {
		t.Errorf("%v acts, %v; want two of two records each", acts, err)
	}
}

// Past the horizon nobody knows what left since; then every UID the client knows
// and that is not there is named, and it never starts over.
func TestQResyncBelowTheHorizon(t *testing.T) {
	h := newHouse(t, nil)
	for uid := range mail.UID(6) {
		h.put("INBOX", "x", mail.Flags{}, uid+1, 0)
	}
	known := h.head()
	c := dial(t, h.addr).ready().login()
	c.must("SELECT INBOX")
	c.must("STORE 2,5 +FLAGS.SILENT (\\Deleted)")
	c.must("EXPUNGE")
	if err := h.store.Prune(context.Background(), h.account, testClock.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	d := dial(t, h.addr).ready().login()
	d.must("ENABLE QRESYNC")
	for _, test := range []struct{ uids, want string }{{"", "2,5"}, {" 1:3", "2"}, {" 3:4", ""}, {" 1:9", "2,5"}} {
		got := ""
		for _, l := range d.must(fmt.Sprintf("SELECT INBOX (QRESYNC (1 %d%s))", known, test.uids)) {
			if set, ok := strings.CutPrefix(l, "* VANISHED (EARLIER) "); ok {
				got = set
			}
		}
		if got != test.want {
			t.Errorf("known%s: vanished %q, want %q", test.uids, got, test.want)
		}
	}
	if got := d.must("UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1 VANISHED)"); got[0] != "* VANISHED (EARLIER) 2,5" {
		t.Errorf("%q", got)
	}
}

// A client that goes away is its own affair, not an error of ours.
func TestLostConnectionIsNoError(t *testing.T) {
	var log syncBuffer
	h := newHouse(t, func(s *Server) { s.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	for uid := range mail.UID(50) {
		h.put("INBOX", "\r\n"+strings.Repeat("x", 1<<20), mail.Flags{}, uid+1, 0)
	}
	for _, items := range []string{"BODY.PEEK[]", "ENVELOPE", "FLAGS"} {
		c := dial(t, h.addr).ready().login()
		c.must("SELECT INBOX")
		for range 2000 {
			io.WriteString(c.conn, "a FETCH 1:* "+items+"\r\n")
		}
		c.conn.(*net.TCPConn).SetLinger(0)
		c.conn.Close()
		h.waitForSessions(0)
	}
	if strings.Contains(log.String(), "ERROR") {
		t.Error(log.String())
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  strings.Builder
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

// brokenStore fails on demand.
type brokenStore struct {
	store.Store
	broken atomic.Bool
}

func (b *brokenStore) View(ctx context.Context, id mail.AccountID, fn func(store.Reader) error) error {
	if b.broken.Load() {
		return errors.New("the disk is gone")
	}
	return b.Store.View(ctx, id, fn)
}

func TestSessionThatCanNotReadChangesSaysSo(t *testing.T) {
	var log syncBuffer
	b := &brokenStore{}
	h := newHouse(t, func(s *Server) {
		b.Store, s.Store = s.Store, b
		s.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
	waiting := dial(t, h.addr).ready().login()
	waiting.must("SELECT INBOX")
	waiting.run("IDLE")
	c := dial(t, h.addr).ready().login()
	c.must("SELECT INBOX")
	b.broken.Store(true)
	c.refused("STATUS INBOX (MESSAGES)", "NO [SERVERBUG] internal error")
	c.refused("NOOP", "NO [SERVERBUG]")
	h.store.Update(context.Background(), h.account, testOrigin, func(tx store.Tx) error {
		mb, err := tx.MailboxByPath("INBOX")
		if err == nil {
			_, err = tx.Append(mb.ID, h.dot())
		}
		return err
	})
	waiting.closedWith("internal error")
	b.broken.Store(false)
	if got := c.must("NOOP"); got[0] != "* 1 EXISTS" {
		t.Errorf("%q", got)
	}
	if !strings.Contains(log.String(), "the disk is gone") {
		t.Error("the cause is not in the log")
	}
}
