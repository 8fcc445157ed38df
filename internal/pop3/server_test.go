package pop3

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xdg-go/scram"

	"lockstep/internal/auth"
	"lockstep/internal/auth/authtest"
	"lockstep/internal/delivery/deliverytest"
	"lockstep/internal/lot/lottest"
	"lockstep/internal/mail"
	"lockstep/internal/steady"
	"lockstep/internal/store"
)

func TestEveryKindHasACode(t *testing.T) {
	for _, k := range mail.Kinds() {
		if _, ok := kindCodes[k]; !ok {
			t.Errorf("%v has no code", k)
		}
		if r := refusalOf(mail.Errorf(k, "detail")); k == mail.Internal && r.text == "detail" {
			t.Error("an internal error tells its detail")
		}
	}
}

// What another device does meanwhile changes nothing in a session: it goes on with
// what it saw, and QUIT deletes what is still there.
func TestAnotherDeviceDeletesMeanwhile(t *testing.T) {
	w := newTown(t)
	for i := range 4 {
		w.put(fmt.Sprintf("Subject: %d\r\n\r\nx\r\n", i+1))
	}
	c := dial(t, w.serve(w.server("plain"), false)).signIn()
	c.says("STAT", "+OK 4 ")
	w.change(func(tx store.Tx, inbox mail.MailboxID) error {
		_, err := tx.Expunge(inbox, mail.UIDSet{{First: 2, Last: 2}}, false)
		return err
	})
	w.put("Subject: new\r\n\r\n")
	c.says("STAT", "+OK 4 ")
	if got := c.says("RETR 2", "+OK"); !strings.Contains(got, "Subject: 2") {
		t.Errorf("what left can't be fetched: %q", got)
	}
	c.says("DELE 1", "+OK")
	c.says("DELE 2", "+OK")
	c.says("QUIT", "+OK")
	if n := w.in("INBOX"); n != 3 {
		t.Errorf("%d messages in the inbox, want 3", n)
	}
	if n := w.in("Trash"); n != 1 {
		t.Errorf("%d messages in the trash, want 1", n)
	}
}

func TestWhatHistoryForgotIsGone(t *testing.T) {
	w := newTown(t)
	w.put("Subject: x\r\n\r\n")
	c := dial(t, w.serve(w.server("plain"), false)).signIn()
	w.change(func(tx store.Tx, inbox mail.MailboxID) error {
		_, err := tx.Expunge(inbox, mail.AllUIDs, false)
		return err
	})
	if err := w.Store.Prune(t.Context(), w.alice.Account, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	c.says("RETR 1", "-ERR Another device has deleted the message")
	c.says("QUIT", "+OK")
}

func TestDroppedLineDeletesNothing(t *testing.T) {
	w := newTown(t)
	w.put("Subject: x\r\n\r\n")
	srv := w.server("plain")
	addr := w.serve(srv, false)
	c := dial(t, addr).signIn()
	c.says("DELE 1", "+OK")
	c.nc.Close()
	for range 1000 {
		if srv.Stats().Sessions == 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if n := w.in("INBOX"); n != 1 {
		t.Errorf("%d messages, want 1", n)
	}
	if srv.clients.messages.Load() != 0 {
		t.Error("the maildrop is still counted")
	}
}

func TestWithoutTrashTheMessageGoes(t *testing.T) {
	w := newTown(t)
	w.put("Subject: x\r\n\r\n")
	w.change(func(tx store.Tx, _ mail.MailboxID) error {
		mb, err := tx.MailboxByPath("Trash")
		if err != nil {
			return err
		}
		return tx.DeleteMailbox(mb.ID)
	})
	c := dial(t, w.serve(w.server("plain"), false)).signIn()
	c.says("DELE 1", "+OK")
	c.says("QUIT", "+OK")
	if n := w.in("INBOX"); n != 0 {
		t.Errorf("%d messages, want none", n)
	}
}

func TestTheAccountMayChooseToDeleteForGood(t *testing.T) {
	w := newTown(t)
	w.put("Subject: x\r\n\r\n")
	w.change(func(tx store.Tx, _ mail.MailboxID) error { return tx.SetPreference(mail.POP3Delete, mail.ForGood) })
	c := dial(t, w.serve(w.server("plain"), false)).signIn()
	c.says("DELE 1", "+OK")
	c.says("QUIT", "+OK")
	if n, trash := w.in("INBOX"), w.in("Trash"); n != 0 || trash != 0 {
		t.Errorf("%d messages left, %d in the trash, want none", n, trash)
	}
}

// A unique-id stays through flags and other messages' comings and goings, and comes
// back with a message that is brought back.
func TestUniqueIDsNeverChange(t *testing.T) {
	w := newTown(t)
	for range 3 {
		w.put("Subject: same\r\n\r\n")
	}
	addr := w.serve(w.server("plain"), false)
	first := dial(t, addr).signIn().says("UIDL", "+OK")
	ids := strings.Fields(strings.TrimSuffix(strings.Split(first, "message")[1], "\n."))
	seen := map[string]bool{}
	for i := 1; i < len(ids); i += 2 {
		if seen[ids[i]] || !regexp.MustCompile(`^[!-~]{1,70}$`).MatchString(ids[i]) {
			t.Errorf("%q is no unique-id", ids[i])
		}
		seen[ids[i]] = true
	}
	var act mail.ModSeq
	var err error
	act, err = w.Store.Update(t.Context(), w.alice.Account, mail.NewOrigin("test", 0, mail.Local, mail.ByUser), func(tx store.Tx) error {
		mb, err := tx.MailboxByPath("INBOX")
		if err != nil {
			return err
		}
		if _, err := tx.StoreFlags(mb.ID, mail.AllUIDs, mail.FlagChange{Add: mail.StoredFlags(mail.Seen, "")}, nil); err != nil {
			return err
		}
		_, err = tx.Expunge(mb.ID, mail.UIDSet{{First: 3, Last: 3}}, false)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	dial(t, addr).signIn().says("UIDL", first[:strings.Index(first, "\n3 ")])
	w.change(func(tx store.Tx, _ mail.MailboxID) error {
		_, err := tx.Undo(mail.ActID(act))
		return err
	})
	if again := dial(t, addr).signIn().says("UIDL", "+OK"); again != first {
		t.Errorf("got %q, want %q", again, first)
	}
}

func TestPipelinedCommandsAreAnsweredInOrder(t *testing.T) {
	w := newTown(t)
	w.put("Subject: x\r\n\r\n")
	c := dial(t, w.serve(w.server("plain"), false))
	c.hears("+OK")
	c.send("USER " + login + "\r\nPASS " + password + "\r\nSTAT\r\nRETR 1\r\nDELE 1\r\nQUIT\r\n")
	for _, want := range []string{"+OK Now", "+OK 1 14", "+OK 1 14", "+OK 14 octets", "Subject: x", "", ".", "+OK Marked", "+OK Goodbye", "(closed)"} {
		c.hears(want)
	}
}

func TestNothingIsInjectedBeforeTLS(t *testing.T) {
	w := newTown(t)
	c := dial(t, w.serve(w.server("tls"), false))
	c.hears("+OK")
	c.send("STLS\r\nUSER mallory@example.test\r\n")
	c.hears("-ERR Nothing may follow STLS")
	c.hears("(closed)")
}

// signInBy runs SCRAM as a real client does.
func signInBy(t *testing.T, c *client, mech, secret string, binding *scram.ChannelBinding) (string, bool) {
	t.Helper()
	user, err := scram.SHA256.NewClient(login, secret, "")
	if err != nil {
		t.Fatal(err)
	}
	conv := user.NewConversation()
	if binding != nil {
		conv = user.NewConversationWithChannelBinding(*binding)
	}
	answer, err := conv.Step("")
	if err != nil {
		t.Fatal(err)
	}
	c.send("AUTH " + mech + "\r\n")
	c.hears("+ ")
	for {
		c.send(base64.StdEncoding.EncodeToString([]byte(answer)) + "\r\n")
		got := c.line()
		challenge, more := strings.CutPrefix(got, "+ ")
		if !more {
			return got, conv.Valid()
		}
		text, err := base64.StdEncoding.DecodeString(challenge)
		if err != nil {
			t.Fatal(err)
		}
		if answer, err = conv.Step(string(text)); err != nil {
			t.Fatal(err)
		}
	}
}

// A token alone says whose maildrop it opens (RFC 7628).
func TestBearerTokens(t *testing.T) {
	w := newTown(t)
	_, secret, err := w.auth.AddDevice(t.Context(), w.alice, "laptop", nil)
	if err != nil {
		t.Fatal(err)
	}
	cl := dial(t, w.serve(w.server("implicit"), true))
	cl.startTLS()
	cl.hears("+OK")
	message := func(token string) string {
		return base64.StdEncoding.EncodeToString([]byte("n,,\x01auth=Bearer " + token + "\x01\x01"))
	}
	cl.says("AUTH OAUTHBEARER "+message("wrong"), "+ "+base64.StdEncoding.EncodeToString([]byte(auth.BearerRefused)))
	cl.says("AQ==", "-ERR [AUTH] this token")
	cl.says("AUTH OAUTHBEARER AQE=", "-ERR not a response")
	cl.says("AUTH OAUTHBEARER "+message(secret), "+OK 0 0")
}

func TestScram(t *testing.T) {
	w := newTown(t)
	_, secret, err := w.auth.AddDevice(t.Context(), w.alice, "laptop", nil)
	if err != nil {
		t.Fatal(err)
	}
	addr := w.serve(w.server("implicit"), true)
	for _, c := range []struct {
		mech, secret, want string
		bind               bool
	}{
		{"SCRAM-SHA-256", secret, "+OK 0 0", false},
		{"SCRAM-SHA-256-PLUS", secret, "+OK 0 0", true},
		{"SCRAM-SHA-256", "wrong", "-ERR [AUTH] wrong login or app password", false},
	} {
		cl := dial(t, addr)
		cl.startTLS()
		cl.hears("+OK")
		var binding *scram.ChannelBinding
		if c.bind {
			state := cl.nc.(*tls.Conn).ConnectionState()
			b, err := scram.NewTLSExporterBinding(&state)
			if err != nil {
				t.Fatal(err)
			}
			binding = &b
		}
		got, valid := signInBy(t, cl, c.mech, c.secret, binding)
		if !strings.HasPrefix(got, c.want) || valid != (c.want[0] == '+') {
			t.Errorf("%s with %q: %q, server proved itself: %v", c.mech, c.secret, got, valid)
		}
	}
}

func TestSignedOutDeviceIsHungUpOn(t *testing.T) {
	w := newTown(t)
	c := dial(t, w.serve(w.server("plain"), false)).signIn()
	w.auth.EndAll(w.alice.Account, "device blocked")
	c.hears("-ERR [SYS/TEMP] Goodbye: device blocked")
	c.hears("(closed)")
}

func TestSignedOutAtAnotherNodeIsHungUpOn(t *testing.T) {
	w := newTown(t)
	there := authtest.Beside(t, w.Store, w.auth)
	c := dial(t, w.serve(w.server("plain"), false)).signIn()
	for id := range w.auth.Connected(w.alice.Account) {
		if err := there.SignOut(t.Context(), w.alice, id); err != nil {
			t.Fatal(err)
		}
	}
	c.hears("-ERR [SYS/TEMP] Goodbye: signed out")
	c.hears("(closed)")
}

func TestStopping(t *testing.T) {
	w := newTown(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.server("plain").Serve(ctx, l) }()
	c := dial(t, l.Addr().String()).signIn()
	cancel()
	c.hears("-ERR [SYS/TEMP] The server is stopping")
	c.hears("(closed)")
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// brokenStore fails every change.
type brokenStore struct{ store.Store }

func (brokenStore) Update(context.Context, mail.AccountID, mail.Origin, func(store.Tx) error) (mail.ModSeq, error) {
	return 0, errors.New("the disk is on fire at /dev/sda")
}

func TestWhatFailsAtQuitIsSaid(t *testing.T) {
	w := newTown(t)
	w.put("Subject: x\r\n\r\n")
	srv := w.server("plain")
	srv.Store = brokenStore{w.Store}
	c := dial(t, w.serve(srv, false)).signIn()
	c.says("DELE 1", "+OK")
	if got := c.says("QUIT", "-ERR [SYS/TEMP]"); strings.Contains(got, "fire") {
		t.Errorf("told the client %q", got)
	}
	c.hears("(closed)")
}

// corrupt opens no blob.
type corrupt struct{}

func (corrupt) Open(context.Context, mail.Blob) (Body, error) {
	return nil, mail.Errorf(mail.Corrupt, "the message is damaged")
}

func TestDamageIsSaid(t *testing.T) {
	w := newTown(t)
	w.put("Subject: x\r\n\r\n")
	srv := w.server("plain")
	srv.Blobs = corrupt{}
	c := dial(t, w.serve(srv, false)).signIn()
	c.says("RETR 1", "-ERR [SYS/PERM] the message is damaged")
	c.says("NOOP", "+OK")
}

// inBubble serves and tests what the server does in time, which costs nothing.
func inBubble(t *testing.T, limits Limits, test func(t *testing.T, w *town, c *client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		w.put("Subject: x\r\n\r\n")
		srv, l := w.server("plain"), steady.NewWire()
		srv.Limits = limits
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- srv.Serve(ctx, l) }()
		nc, err := l.Dial()
		if err != nil {
			t.Fatal(err)
		}
		test(t, w, &client{t, nc, bufio.NewReader(nc)})
		nc.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestTimeBeforeLogin(t *testing.T) {
	inBubble(t, Limits{LoginTime: 50 * time.Millisecond}, func(t *testing.T, w *town, c *client) {
		c.hears("+OK")
		c.hears("(closed)")
	})
}

func TestAutologoutDeletesNothing(t *testing.T) {
	inBubble(t, Limits{Idle: 50 * time.Millisecond}, func(t *testing.T, w *town, c *client) {
		c.signIn()
		c.says("DELE 1", "+OK")
		c.hears("(closed)")
		if w.in("INBOX") != 1 {
			t.Error("auto-logout deleted something")
		}
	})
}

func TestLimits(t *testing.T) {
	for _, c := range []struct {
		name   string
		limits Limits
		run    func(*testing.T, *town, string)
	}{
		{"connections", Limits{Connections: 1}, func(t *testing.T, w *town, addr string) {
			dial(t, addr).hears("+OK")
			one := dial(t, addr)
			one.hears("-ERR [SYS/TEMP] Too many connections")
			one.hears("(closed)")
		}},
		{"per address", Limits{PerAddress: 2}, func(t *testing.T, w *town, addr string) {
			dial(t, addr).hears("+OK")
			dial(t, addr).hears("+OK")
			dial(t, addr).hears("-ERR [SYS/TEMP] Too many connections")
		}},
		{"before login", Limits{BeforeLogin: 2}, func(t *testing.T, w *town, addr string) {
			c := dial(t, addr)
			c.hears("+OK")
			c.says("CAPA", "+OK")
			c.says("CAPA", "+OK")
			c.says("CAPA", "-ERR [SYS/TEMP] Too many commands before sign-in")
			c.hears("(closed)")
		}},
		{"bad commands", Limits{BadCommands: 2}, func(t *testing.T, w *town, addr string) {
			c := dial(t, addr).signIn()
			c.says("XYZZY", "-ERR Command not understood")
			c.says("NOOP", "+OK")
			c.says("XYZZY", "-ERR Command not understood")
			c.says("XYZZY", "-ERR Command not understood")
			c.hears("-ERR [SYS/TEMP] Too many errors")
			c.hears("(closed)")
		}},
		{"bad logins", Limits{BadLogins: 2}, func(t *testing.T, w *town, addr string) {
			c := dial(t, addr)
			c.hears("+OK")
			for range 2 {
				c.says("USER "+login, "+OK")
				c.says("PASS wrong", "-ERR [AUTH]")
			}
			c.hears("(closed)")
		}},
		{"line", Limits{}, func(t *testing.T, w *town, addr string) {
			c := dial(t, addr).signIn()
			c.says(strings.Repeat("x", maxCommandBytes-2), "-ERR Command not understood")
			c.says(strings.Repeat("x", maxCommandBytes-1), "-ERR Line too long")
			c.says(strings.Repeat("x", maxLineBytes+1), "-ERR Line too long")
			c.says("NOOP", "+OK")
		}},
		{"SASL line", Limits{}, func(t *testing.T, w *town, addr string) {
			c := dial(t, addr)
			c.hears("+OK")
			c.says("AUTH PLAIN", "+ ")
			c.says(strings.Repeat("x", maxLineBytes-2), "-ERR not base64")
			c.says("AUTH PLAIN", "+ ")
			c.says(strings.Repeat("x", maxLineBytes-1), "-ERR Line too long")
		}},
		{"messages", Limits{Messages: 2}, func(t *testing.T, w *town, addr string) {
			c := dial(t, addr).signIn()
			c.says("STAT", "+OK 2 ")
			if got := c.says("RETR 1", "+OK"); !strings.Contains(got, "Subject: 2") {
				t.Errorf("the newest are not shown: %q", got)
			}
		}},
		{"all messages", Limits{AllMessages: 5}, func(t *testing.T, w *town, addr string) {
			dial(t, addr).signIn().says("STAT", "+OK 3 ")
			c := dial(t, addr)
			c.hears("+OK")
			c.says("USER "+login, "+OK")
			c.says("PASS "+password, "-ERR [SYS/TEMP] Too many messages are being fetched")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newTown(t)
			for i := range 3 {
				w.put(fmt.Sprintf("Subject: %d\r\n\r\n", i+1))
			}
			srv := w.server("plain")
			srv.Limits = c.limits
			c.run(t, w, w.serve(srv, false))
		})
	}
}

func TestGuessingIsSlowedDown(t *testing.T) {
	w := newTown(t)
	addr := w.serve(w.server("plain"), false)
	for range 2 {
		c := dial(t, addr)
		c.hears("+OK")
		for range 3 {
			c.send("USER " + login + "\r\nPASS wrong\r\n")
			c.hears("+OK")
			got := c.line()
			if strings.HasPrefix(got, "-ERR [SYS/TEMP] too many failed sign-ins") {
				return
			}
		}
	}
	t.Error("guessing goes on")
}

// A large message streams: the session holds a window of it.
func TestLargeMessage(t *testing.T) {
	w := newTown(t)
	text := "Subject: large\r\n\r\n" + strings.Repeat(strings.Repeat(".", 70_000)+"\r\n", 100)
	w.put(text)
	c := dial(t, w.serve(w.server("plain"), false)).signIn()
	c.send("RETR 1\r\n")
	c.hears("+OK")
	var got bytes.Buffer
	for {
		l, err := c.in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if l == ".\r\n" {
			break
		}
		got.WriteString(strings.TrimPrefix(l, "."))
	}
	if got.String() != text {
		t.Errorf("%d bytes came, want %d", got.Len(), len(text))
	}
}

// panicLog fails the test where a session logs that it panicked.
type panicLog struct {
	slog.Handler
	t testing.TB
}

func (h panicLog) Enabled(context.Context, slog.Level) bool { return true }
func (h panicLog) WithAttrs([]slog.Attr) slog.Handler       { return h }
func (h panicLog) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "session panicked" {
		r.Attrs(func(a slog.Attr) bool { h.t.Errorf("%v", a); return true })
	}
	return nil
}

// fuzzed is what servers are made from that a fuzzer speaks to, all of them alike.
type fuzzed struct {
	*authtest.Mold
	w *town
}

func newFuzzed(f *testing.F) *fuzzed {
	z := &fuzzed{authtest.NewMold(f, login), newTown(f)}
	for _, text := range []string{"Subject: Grüße\r\n\r\n.\r\n", "Subject: b\n\n..\n.b\n\nc", "From: \xff\r\nTo: c@d.test", ""} {
		a, err := z.w.Delivery.Ingest(f.Context(), strings.NewReader(text))
		if err != nil {
			f.Fatal(err)
		}
		z.change(f, z.Mold.Store, func(tx store.Tx) error {
			inbox, err := tx.MailboxByPath("INBOX")
			if err == nil {
				_, err = tx.Append(inbox.ID, a)
			}
			return err
		})
	}
	return z
}

func (z *fuzzed) change(t testing.TB, st store.Store, fn func(store.Tx) error) {
	if _, err := st.Update(t.Context(), z.People[0].Account, deliverytest.By, fn); err != nil {
		t.Fatal(err)
	}
}

// server is one with a store of its own; forGood says what DELE does.
func (z *fuzzed) server(t *testing.T, forGood bool) *Server {
	st := z.Twin()
	if forGood {
		z.change(t, st, func(tx store.Tx) error { return tx.SetPreference(mail.POP3Delete, mail.ForGood) })
	}
	srv := z.w.server("plain")
	srv.Store, srv.Auth = st, authtest.Service(st)
	srv.Log = slog.New(panicLog{slog.DiscardHandler, t})
	return srv
}

// play has the server hear a talk, and returns what it said.
func play(t *testing.T, srv *Server, parts ...lottest.Part) string {
	c := lottest.NewTalk(parts...).Conn(0)
	srv.serve(t.Context(), c, srv.Limits.orDefault(), false)
	for line := range strings.Lines(c.Heard()) {
		if !strings.HasSuffix(line, "\r\n") {
			t.Errorf("said %q", line)
		}
	}
	return c.Heard()
}

// FuzzSession plays whatever a client may send, beginning with the dialogues.
func FuzzSession(f *testing.F) {
	for _, said := range dialogues(f) {
		_, behind, _ := strings.Cut(said, "PASS "+password+"\r\n")
		f.Add(false, false, []byte(said))
		f.Add(true, false, []byte(behind))
		f.Add(true, true, []byte(behind))
	}
	z := newFuzzed(f)
	f.Fuzz(func(t *testing.T, signedIn, forGood bool, said []byte) {
		srv := z.server(t, forGood)
		if signedIn {
			said = append([]byte("USER "+login+"\r\nPASS "+z.Secrets[0]+"\r\n"), said...)
		}
		play(t, srv, lottest.Part{Text: said})
	})
}

// FuzzSASL plays sign-ins by AUTH. Nobody comes in who does not know the secret.
func FuzzSASL(f *testing.F) {
	authtest.AddExchanges(f)
	z := newFuzzed(f)
	weary := z.WearyService(f, mail.POP3, netip.MustParseAddr("127.0.0.1"))
	f.Fuzz(func(t *testing.T, mech byte, initial bool, first, second, third string) {
		srv := z.server(t, false)
		knows := strings.Contains(first+second+third, "$secret") || strings.Contains(first+second+third, "$final")
		if !knows {
			srv.Auth = weary
		}
		command := "AUTH " + authtest.Mechanisms[int(mech)%len(authtest.Mechanisms)] + "\r\n"
		if initial {
			command = strings.TrimSuffix(command, "\r\n") + " "
		}
		parts := append([]lottest.Part{{Text: []byte(command)}}, z.Answers(0, first, second, third)...)
		said := play(t, srv, append(parts, lottest.Part{Text: []byte("STAT\r\n")})...)
		if !knows && strings.Contains(said, "\r\n+OK 4 ") {
			t.Errorf("somebody came in: %q", said)
		}
	})
}

// dialogues are what the clients of testdata say.
func dialogues(t testing.TB) []string {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, scene := range strings.Split(string(text), "\n== ") {
			var said strings.Builder
			for line := range strings.Lines(scene) {
				if c, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "C:"); ok {
					said.WriteString(strings.TrimPrefix(c, " ") + "\r\n")
				}
			}
			all = append(all, said.String())
		}
	}
	return all
}

// FuzzParse: what is understood has a keyword and no control characters.
func FuzzParse(f *testing.F) {
	for _, said := range dialogues(f) {
		for line := range strings.Lines(said) {
			f.Add(strings.TrimSpace(line))
		}
	}
	f.Fuzz(func(t *testing.T, line string) {
		c, err := parse(line)
		if err != nil {
			return
		}
		if c.verb == "" || strings.ContainsAny(c.verb+c.rest, "\r\n\x00") || len(c.args()) > len(line) {
			t.Errorf("%q is %+v", line, c)
		}
		for _, a := range c.args() {
			if n, ok := number(a); ok && n < 0 {
				t.Errorf("%q is %d", a, n)
			}
		}
	})
}

// FuzzText: what is sent has no line that a client could take for the end, and is
// the message but for its line ends.
func FuzzText(f *testing.F) {
	f.Add("Subject: x\r\n\r\n.\r\n..\r\n", 1)
	f.Add("a\n.\n\r\n\r.\r\n", -1)
	f.Fuzz(func(t *testing.T, text string, lines int) {
		var out bytes.Buffer
		w := bufio.NewWriter(&out)
		if err := sendText(w, strings.NewReader(text), lines); err != nil {
			t.Fatal(err)
		}
		w.Flush()
		got := out.String()
		if !strings.HasSuffix("\r\n"+got, "\r\n.\r\n") {
			t.Fatalf("%q has no end", got)
		}
		var back strings.Builder
		for line := range strings.Lines(strings.TrimSuffix(got, ".\r\n")) {
			if line == ".\r\n" || !strings.HasSuffix(line, "\r\n") {
				t.Fatalf("%q within %q", line, got)
			}
			back.WriteString(strings.TrimPrefix(line, "."))
		}
		if lines >= 0 {
			return
		}
		want := strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\n", "\r\n")
		if want != "" && !strings.HasSuffix(want, "\n") {
			want += "\r\n"
		}
		if back.String() != want {
			t.Errorf("%q became %q", want, back.String())
		}
	})
}
