package smtp

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/xdg-go/scram"

	"lockstep/internal/auth"
	"lockstep/internal/auth/authtest"
	"lockstep/internal/delivery"
	"lockstep/internal/delivery/deliverytest"
	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore"
)

func TestEveryKindHasAReply(t *testing.T) {
	for _, k := range mail.Kinds() {
		r := replyTo(mail.Errorf(k, "detail"))
		if r.code < 400 || r.code > 599 || r.enhanced == "" || int(r.enhanced[0]-'0') != r.code/100 {
			t.Errorf("%v: %+v", k, r)
		}
		if k == mail.Internal && r.text == "detail" {
			t.Errorf("an internal error tells its detail")
		}
		if a := replyToAuth(mail.Errorf(k, "detail")); a.code < 400 || int(a.enhanced[0]-'0') != a.code/100 {
			t.Errorf("%v: %+v", k, a)
		}
	}
	if len(kindReplies) != len(mail.Kinds()) {
		t.Errorf("%d replies for %d kinds", len(kindReplies), len(mail.Kinds()))
	}
	if r := replyTo(delivery.ErrLoop); r.code != 554 || r.enhanced != "5.4.6" {
		t.Errorf("a loop: %+v", r)
	}
}

// begin brings a client as far as DATA for bob.
func begin(t testing.TB, addr, hello string) *client {
	t.Helper()
	c := dial(t, addr)
	c.hears("220")
	c.says(hello+" mta.example.org", "250")
	c.says("MAIL FROM:<carol@example.org>", "250")
	c.says("RCPT TO:<bob@example.test>", "250")
	return c
}

// What another server might take for the end of the message is text here: only
// CRLF.CRLF is the end, and what follows a bare LF is no command.
func TestOnlyCRLFDotCRLFEndsTheMessage(t *testing.T) {
	for _, end := range []string{"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\r\n..\r\n", "\n\r.\r\n"} {
		w := newTown(t)
		c := begin(t, w.serve(Receiving, nil), "EHLO")
		c.says("DATA", "354")
		smuggled := "MAIL FROM:<admin@example.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\nsmuggled\r\n"
		c.send("Subject: x\r\n\r\ntext" + end + smuggled + ".\r\n")
		c.hears("250 2.0.0")
		c.says("NOOP", "250 2.0.0 still here")
		got := w.Inbox(w.bob.Account)
		if len(got) != 1 || !strings.Contains(got[0], "smuggled") {
			t.Errorf("%q: %d messages: %q", end, len(got), got)
			continue
		}
		want := "text" + end + smuggled
		if end == "\r\n..\r\n" || end == "\r\n.\n" || end == "\r\n.\r" {
			want = strings.Replace(want, "\r\n.", "\r\n", 1)
		}
		if !strings.HasSuffix(got[0], want) {
			t.Errorf("%q came out as %q", end, got[0])
		}
	}
}

// CR CR LF is how some systems end lines; the last of them may stand before the
// end of the message.
func TestEndBehindDoubledCR(t *testing.T) {
	w := newTown(t)
	c := begin(t, w.serve(LMTP, nil), "LHLO")
	c.says("DATA", "354")
	c.says("Subject: x\r\r\n\r\r\ntext\r\r\n.", "250")
}

func TestDotReaderReadsAlikeHoweverItIsRead(t *testing.T) {
	text := "a\r\n..b\r\n.c\r\n" + strings.Repeat("x", 40_000) + "\r\n" + strings.Repeat("y", maxLineBytes-1) + "\r\nz\n.\n\r\n..\r\n.\r\nREST"
	var want bytes.Buffer
	whole := &dotReader{in: bufio.NewReaderSize(strings.NewReader(text), maxLineBytes), limit: 1 << 20}
	if _, err := whole.WriteTo(&want); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(want.String(), "a\r\n.b\r\nc\r\nx") || !strings.HasSuffix(want.String(), "z\n.\n\r\n.\r\n") {
		t.Errorf("read %.20q … %q", want.String(), want.String()[want.Len()-20:])
	}
	for _, n := range []int{1, 2, 3, 7, 4096} {
		in := bufio.NewReaderSize(strings.NewReader(text), maxLineBytes)
		d := &dotReader{in: in, limit: 1 << 20}
		var got []byte
		buf := make([]byte, n)
		for {
			k, err := d.Read(buf)
			got = append(got, buf[:k]...)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got, want.Bytes()) {
			t.Errorf("in pieces of %d it reads differently", n)
		}
		if rest, _ := io.ReadAll(in); string(rest) != "REST" {
			t.Errorf("left %q behind the end", rest)
		}
	}
}

func FuzzDotReader(f *testing.F) {
	f.Add([]byte("a\r\n.\r\n"), 3)
	f.Add([]byte(".\r\n"), 1)
	f.Add([]byte("a\n.\nb\r\n..c\r\n.\r\nx"), 2)
	f.Fuzz(func(t *testing.T, text []byte, limit int) {
		d := &dotReader{in: bufio.NewReaderSize(bytes.NewReader(text), 16), limit: int64(limit)}
		got, err := io.ReadAll(d)
		if len(got) > max(limit, 0) || len(got) > len(text) {
			t.Fatalf("%d bytes out of %d, limit %d", len(got), len(text), limit)
		}
		ended := bytes.HasPrefix(text, []byte(".\r\n")) || bytes.Contains(text, []byte("\r\n.\r\n"))
		if err == nil && !ended {
			t.Fatalf("ended without an end: %q", text)
		}
		if err != nil && ended && !errors.Is(err, errTooBig) {
			t.Fatalf("missed the end of %q: %v", text, err)
		}
	})
}

func FuzzParsePath(f *testing.F) {
	for _, s := range []string{"<a@b>", "<>", "<@x,@y:a@b> SIZE=1", `<"a b"@c>`, `<"a\"b>"@c>`, "a@b SIZE=2", "<Postmaster>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		address, rest, err := parsePath(s)
		if err != nil {
			return
		}
		again, left, err := parsePath("<" + address + ">")
		if err != nil || again != address || left != "" {
			t.Fatalf("%q gives %q, which gives %q, %q, %v", s, address, again, left, err)
		}
		parseParams(rest)
		decodeXtext(rest)
	})
}

func TestPaths(t *testing.T) {
	for _, c := range []struct{ in, want, rest string }{
		{"<a@b>", "a@b", ""},
		{" <a@b> SIZE=1", "a@b", " SIZE=1"},
		{"<>", "", ""},
		{"<@x,@y:a@b>", "a@b", ""},
		{"a@b SIZE=1", "a@b", " SIZE=1"},
		{`<"a"@b>`, "a@b", ""},
		{`<"a>b"@c>`, `"a>b"@c`, ""},
		{`<"\a.b"@c>`, "a.b@c", ""},
		{"<PostMaster>", "PostMaster", ""},
		{"<a..b@c>", "a..b@c", ""},
		{"<ä@b>", "ä@b", ""},
	} {
		got, rest, err := parsePath(c.in)
		if err != nil || got != c.want || rest != c.rest {
			t.Errorf("%s: %q, %q, %v, want %q, %q", c.in, got, rest, err, c.want, c.rest)
		}
	}
	for _, bad := range []string{"", "<", "<a@b", "<a>", "<a@>", "<@b>", "<a b@c>", "<a@b>x", "<a@b c>", `<"a@b>`, "<a@b\x00>", "<\xff@b>", "<@x a@b>"} {
		if got, _, err := parsePath(bad); err == nil {
			t.Errorf("%q is taken for %q", bad, got)
		}
	}
}

func TestLimitsOnePast(t *testing.T) {
	w := newTown(t)
	const size = 1000
	addr := w.serve(Receiving, func(s *Server) { s.Limits.MessageBytes, s.Limits.Recipients = size, 2 })
	head := "Subject: x\r\n\r\n"
	t.Run("DATA", func(t *testing.T) {
		c := begin(t, addr, "EHLO")
		c.says("DATA", "354")
		c.says(head+strings.Repeat("x", size-len(head)-2)+"\r\n.", "250")
		c.says("MAIL FROM:<>", "250")
		c.says("RCPT TO:<bob@example.test>", "250")
		c.says("DATA", "354")
		c.says(head+strings.Repeat("x", size-len(head)-1)+"\r\n.", "552 5.3.4")
		c.says("NOOP", "250")
	})
	t.Run("BDAT", func(t *testing.T) {
		c := begin(t, addr, "EHLO")
		c.send(fmt.Sprintf("BDAT %d LAST\r\n%s", size, strings.Repeat("x", size)))
		c.hears("250")
		c.says("MAIL FROM:<>", "250")
		c.says("RCPT TO:<bob@example.test>", "250")
		c.send(fmt.Sprintf("BDAT %d\r\n%s", size-1, strings.Repeat("x", size-1)))
		c.hears("250")
		c.send("BDAT 2 LAST\r\nxx")
		c.hears("552 5.3.4")
		c.says("NOOP", "250")
	})
	t.Run("SIZE", func(t *testing.T) {
		c := dial(t, addr)
		c.hears("220")
		c.says("EHLO x", "250")
		c.says(fmt.Sprintf("MAIL FROM:<> SIZE=%d", size+1), "552 5.3.4")
		c.says(fmt.Sprintf("MAIL FROM:<> SIZE=%d", size), "250")
	})
	t.Run("recipients", func(t *testing.T) {
		c := begin(t, addr, "EHLO")
		c.says("RCPT TO:<alice@example.test>", "250")
		c.says("RCPT TO:<sales@example.test>", "452 4.5.3")
	})
	t.Run("line", func(t *testing.T) {
		c := dial(t, addr)
		c.hears("220")
		c.says("NOOP "+strings.Repeat("x", maxLineBytes-len("NOOP \r\n")), "250")
		c.says("NOOP "+strings.Repeat("x", maxLineBytes-len("NOOP \r\n")+1), "500 5.5.2")
		c.says("NOOP", "250")
	})
	t.Run("a long line of a body", func(t *testing.T) {
		addr := w.serve(Receiving, nil)
		c := begin(t, addr, "EHLO")
		c.says("DATA", "354")
		c.says(head+strings.Repeat("x", 3*maxLineBytes)+"\r\n.", "250")
	})
}

// What an account sends counts by recipient, and is refused before its text is sent.
func TestSendingIsBounded(t *testing.T) {
	w := newTown(t)
	w.Delivery.MaxSent = 3
	addr := w.serve(Submission, func(s *Server) { s.AllowPlainAuth = netip.Addr.IsLoopback })
	signedIn := func() *client {
		c := dial(t, addr)
		c.hears("220")
		c.says("EHLO x", "250")
		c.says("AUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdABjb3JyZWN0LWhvcnNl", "235")
		return c
	}
	from := func(c *client, to ...string) {
		c.says("MAIL FROM:<alice@example.test>", "250")
		for _, to := range to {
			c.says("RCPT TO:<"+to+">", "250")
		}
	}
	const text = "From: alice@example.test\r\n\r\nhello\r\n"
	c := signedIn()
	from(c, "bob@example.test", "alice@example.test")
	c.says("DATA", "354")
	c.says(text+".", "250")
	from(c, "bob@example.test", "alice@example.test")
	c.says("DATA", "450 4.7.1")
	c.says("RSET", "250")
	from(c, "bob@example.test")
	c.send(fmt.Sprintf("BDAT %d LAST\r\n%sagain", len(text)+5, text))
	c.hears("250")
	c = signedIn()
	from(c, "bob@example.test")
	c.send(fmt.Sprintf("BDAT %d LAST\r\n%s", len(text), text))
	c.hears("450 4.7.1")
	c.says("NOOP", "250")
	if got := w.Inbox(w.bob.Account); len(got) != 2 {
		t.Errorf("%d came", len(got))
	}
	w.Delivery.MaxSent = 1
	in := begin(t, w.serve(Receiving, nil), "EHLO")
	in.says("RCPT TO:<alice@example.test>", "250")
	in.says("DATA", "354")
	in.says(text+".", "250")
}

func TestRefusedChunkHasOneAnswer(t *testing.T) {
	w := newTown(t)
	c := begin(t, w.serve(LMTP, func(s *Server) { s.Limits.MessageBytes = 10 }), "LHLO")
	c.says("RCPT TO:<alice@example.test>", "250")
	c.send("BDAT 11\r\n01234567890BDAT 1 LAST\r\nxNOOP\r\n")
	c.hears("552 5.3.4")
	c.hears("503 5.5.1")
	c.hears("250 2.0.0 still here")
	c.says("MAIL FROM:<>", "250")
	c.says("RCPT TO:<alice@example.test>", "250")
	c.says("RCPT TO:<bob@example.test>", "250")
	c.send("BDAT 11 LAST\r\n01234567890")
	c.hears("552 5.3.4")
	c.hears("552 5.3.4")
	c.says("NOOP", "250")
}

func TestRecipientsTooManyAreNoErrors(t *testing.T) {
	w := newTown(t)
	c := begin(t, w.serve(Receiving, func(s *Server) { s.Limits.Recipients, s.Limits.Errors = 1, 3 }), "EHLO")
	for range 5 {
		c.says("RCPT TO:<alice@example.test>", "452 4.5.3")
	}
	c.says("DATA", "354")
	c.says("Subject: x\r\n\r\n.", "250")
}

func TestTooManyErrorsEndTheSession(t *testing.T) {
	w := newTown(t)
	var srv *Server
	c := dial(t, w.serve(Receiving, func(s *Server) { s.Limits.Errors, srv = 3, s }))
	c.hears("220")
	c.says("FRUIT", "500")
	c.says("FRUIT", "500")
	c.says("FRUIT", "500")
	c.hears("421 4.7.0")
	c.hears("(closed)")
	if got := srv.Stats(); got.Refused != 3 || got.Accepted != 1 {
		t.Errorf("counted %+v", got)
	}
}

func TestConnectionsOnePast(t *testing.T) {
	for name, l := range map[string]Limits{"in total": {Connections: 2}, "per address": {ConnectionsPerAddress: 2}} {
		t.Run(name, func(t *testing.T) {
			w := newTown(t)
			addr := w.serve(Receiving, func(s *Server) { s.Limits = l })
			first := dial(t, addr)
			first.hears("220")
			dial(t, addr).hears("220")
			third := dial(t, addr)
			third.hears("421 4.7.0")
			third.hears("(closed)")
			first.says("QUIT", "221")
			first.hears("(closed)")
			for deadline := time.Now().Add(patience); ; { // the place is free when the session is gone
				c := dial(t, addr)
				if strings.HasPrefix(c.reply()[0], "220") {
					break
				}
				if time.Now().After(deadline) {
					t.Fatal("the place was not given back")
				}
			}
		})
	}
}

func TestSilenceEndsTheSession(t *testing.T) {
	w := newTown(t)
	addr := w.serve(Receiving, func(s *Server) { s.Limits.Idle = 50 * time.Millisecond })
	c := dial(t, addr)
	c.hears("220")
	c.hears("421 4.4.2")
	c.hears("(closed)")
}

func TestHandshakeHasItsTime(t *testing.T) {
	w := newTown(t)
	addr := w.serve(Submission, func(s *Server) {
		s.TLS, s.Implicit, s.Limits.Handshake = serverTLS(), true, 50*time.Millisecond
	})
	c := dial(t, addr)
	c.hears("(closed)")
}

func TestStopSays421ToWhoWaits(t *testing.T) {
	w := newTown(t)
	srv := &Server{Role: Receiving, Hostname: "mx.example.test", Delivery: w.Delivery, Log: slog.New(slog.DiscardHandler)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx, l) }()
	idle, inData := dial(t, l.Addr().String()), begin(t, l.Addr().String(), "EHLO")
	idle.hears("220")
	inData.says("DATA", "354")
	inData.send("Subject: half\r\n")
	cancel()
	idle.hears("421 4.3.2")
	idle.hears("(closed)")
	inData.hears("421 4.3.2")
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := w.Inbox(w.bob.Account); len(got) != 0 {
		t.Errorf("half a message was delivered: %q", got)
	}
}

func TestDroppedLineDeliversNothing(t *testing.T) {
	for name, half := range map[string]string{"DATA": "DATA\r\nSubject: x\r\n\r\nhalf\r\n", "BDAT": "BDAT 10\r\nSubject", "BDAT between": "BDAT 4\r\nSubj"} {
		t.Run(name, func(t *testing.T) {
			w := newTown(t)
			ended := make(chan struct{})
			addr := w.serve(Receiving, func(s *Server) { s.Log = slog.New(endLog{slog.DiscardHandler, ended}) })
			c := begin(t, addr, "EHLO")
			c.send(half)
			c.nc.Close()
			<-ended
			if got := w.Inbox(w.bob.Account); len(got) != 0 {
				t.Errorf("delivered %q", got)
			}
		})
	}
}

// endLog closes a channel when a session has ended.
type endLog struct {
	slog.Handler
	ended chan struct{}
}

func (h endLog) Enabled(context.Context, slog.Level) bool { return true }
func (h endLog) WithAttrs([]slog.Attr) slog.Handler       { return h }
func (h endLog) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "session ended" {
		close(h.ended)
	}
	return nil
}

func TestPipelinedCommandsAreAnsweredTogether(t *testing.T) {
	w := newTown(t)
	c := dial(t, w.serve(LMTP, nil))
	c.hears("220")
	c.send("LHLO x\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<bob@example.test>\r\nRCPT TO:<nobody@example.test>\r\nDATA\r\n")
	for _, want := range []string{"250", "250 2.1.0", "250 2.1.5", "550 5.1.1", "354"} {
		c.hears(want)
	}
	c.send("Subject: x\r\n\r\n.\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<bob@example.test>\r\nBDAT 3\r\na\r\nBDAT 0 LAST\r\nRSET\r\nQUIT\r\n")
	for _, want := range []string{"250 2.0.0 kept", "250 2.1.0", "250 2.1.5", "250 2.0.0 chunk", "250 2.0.0 kept", "250 2.0.0 reset", "221"} {
		c.hears(want)
	}
	if got := len(w.Inbox(w.bob.Account)); got != 2 {
		t.Errorf("%d messages, want 2", got)
	}
}

// What stands behind STARTTLS in clear is not taken for what came over TLS.
func TestNothingIsInjectedBeforeTLS(t *testing.T) {
	w := newTown(t)
	c := dial(t, w.serve(Receiving, func(s *Server) { s.TLS = serverTLS() }))
	c.hears("220")
	c.says("EHLO x", "250")
	c.send("STARTTLS\r\nMAIL FROM:<evil@example.org>\r\n")
	c.hears("554 5.5.1")
	c.hears("(closed)")
}

func TestOverQuotaIsPerRecipient(t *testing.T) {
	w := newTown(t)
	c := dial(t, w.serve(LMTP, nil))
	c.hears("220")
	c.says("LHLO x", "250")
	c.says("MAIL FROM:<c@example.org>", "250") // no SIZE: found out at the commit
	c.says("RCPT TO:<bob@example.test>", "250")
	c.says("RCPT TO:<full@example.test>", "250")
	c.says("DATA", "354")
	c.says("Subject: x\r\n\r\n.", "250")
	c.hears("552 5.2.2")
}

// brokenStore fails every change.
type brokenStore struct{ store.Store }

func (brokenStore) Update(context.Context, mail.AccountID, mail.Origin, func(store.Tx) error) (mail.ModSeq, error) {
	return 0, errors.New("the disk is on fire at /dev/sda")
}

func TestWhatFailsInsideIs4xxAndTellsNothing(t *testing.T) {
	w := newTown(t)
	w.Delivery.Store = brokenStore{w.Store}
	for _, role := range []Role{LMTP, Receiving} {
		hello := map[Role]string{LMTP: "LHLO", Receiving: "EHLO"}[role]
		c := begin(t, w.serve(role, nil), hello)
		c.says("DATA", "354")
		if got := c.says("Subject: x\r\n\r\n.", "451 4.3.0"); strings.Contains(got, "fire") {
			t.Errorf("told the client %q", got)
		}
	}
}

// signIn runs SCRAM as a real client does.
func signIn(t *testing.T, c *client, mech, login, secret string, binding *scram.ChannelBinding) (string, bool) {
	t.Helper()
	user, err := scram.SHA256.NewClient(login, secret, "")
	if err != nil {
		t.Fatal(err)
	}
	conv := user.NewConversation()
	if binding != nil {
		conv = user.NewConversationWithChannelBinding(*binding)
	}
	first, err := conv.Step("")
	if err != nil {
		t.Fatal(err)
	}
	c.send("AUTH " + mech + " " + base64.StdEncoding.EncodeToString([]byte(first)) + "\r\n")
	for {
		got := c.reply()[0]
		challenge, more := strings.CutPrefix(got, "334 ")
		if !more {
			return got, conv.Valid()
		}
		text, err := base64.StdEncoding.DecodeString(challenge)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := conv.Step(string(text))
		if err != nil {
			t.Fatal(err)
		}
		if answer == "" {
			answer = "="
			c.send("=\r\n")
			continue
		}
		c.send(base64.StdEncoding.EncodeToString([]byte(answer)) + "\r\n")
	}
}

// A token alone says who sends (RFC 7628).
func TestBearerTokens(t *testing.T) {
	w := newTown(t)
	_, secret, err := w.auth.AddDevice(t.Context(), w.alice, "laptop", nil)
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, w.serve(Submission, func(s *Server) { s.AllowPlainAuth = netip.Addr.IsLoopback }))
	c.hears("220")
	c.says("EHLO x", "250")
	message := func(token string) string {
		return base64.StdEncoding.EncodeToString([]byte("n,,\x01auth=Bearer " + token + "\x01\x01"))
	}
	c.says("AUTH OAUTHBEARER "+message("wrong"), "334 "+base64.StdEncoding.EncodeToString([]byte(auth.BearerRefused)))
	c.says("AQ==", "535 5.7.8 this token")
	c.says("AUTH OAUTHBEARER AQE=", "501")
	c.says("AUTH OAUTHBEARER "+message(secret), "235")
}

func TestScram(t *testing.T) {
	w := newTown(t)
	_, secret, err := w.auth.AddDevice(t.Context(), w.alice, "laptop", nil)
	if err != nil {
		t.Fatal(err)
	}
	addr := w.serve(Submission, func(s *Server) { s.TLS, s.Implicit = serverTLS(), true })
	for _, c := range []struct {
		mech, secret, want string
		bind               bool
	}{
		{"SCRAM-SHA-256", secret, "235", false},
		{"SCRAM-SHA-256-PLUS", secret, "235", true},
		{"SCRAM-SHA-256", "wrong", "535 5.7.8 wrong login or app password: SCRAM needs an app password (lockstep device add), other passwords go by PLAIN or LOGIN", false},
		{"SCRAM-SHA-256-PLUS", "wrong", "535 5.7.8", true},
	} {
		cl := dial(t, addr)
		tlsConn := tls.Client(cl.nc, clientTLS())
		if err := tlsConn.Handshake(); err != nil {
			t.Fatal(err)
		}
		cl.nc, cl.in = tlsConn, bufio.NewReader(tlsConn)
		cl.hears("220")
		cl.says("EHLO x", "250")
		var binding *scram.ChannelBinding
		if c.bind {
			state := tlsConn.ConnectionState()
			b, err := scram.NewTLSExporterBinding(&state)
			if err != nil {
				t.Fatal(err)
			}
			binding = &b
		}
		got, valid := signIn(t, cl, c.mech, "alice@example.test", c.secret, binding)
		if !strings.HasPrefix(got, c.want) || valid != (c.want == "235") {
			t.Errorf("%s with %q: %q, server proved itself: %v", c.mech, c.secret, got, valid)
		}
	}
}

func TestSignedOutDeviceIsHungUpOn(t *testing.T) {
	w := newTown(t)
	there := authtest.Beside(t, w.Store, w.auth) // signed out at one node, it is at the other
	d, secret, err := w.auth.AddDevice(t.Context(), w.alice, "laptop", nil)
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, w.serve(Submission, func(s *Server) { s.AllowPlainAuth = netip.Addr.IsLoopback }))
	c.hears("220")
	c.says("EHLO x", "250")
	c.says("AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00alice@example.test\x00"+secret)), "235")
	if err := there.SignOut(t.Context(), w.alice, d.ID); err != nil {
		t.Fatal(err)
	}
	c.hears("421 4.7.0 signed out")
	c.hears("(closed)")
}

func TestManyDeliveriesAtOnce(t *testing.T) {
	w := newTown(t)
	addr := w.serve(LMTP, nil)
	const connections, each = 16, 10
	errs := make(chan error, connections)
	for i := range connections {
		go func() { errs <- deliverMany(addr, i, each) }()
	}
	for range connections {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	if s := w.Delivery.Stats(); s.Delivered != connections*each || s.Failed != 0 {
		t.Errorf("counted %+v", s)
	}
	if got := len(w.Inbox(w.bob.Account)); got != connections*each {
		t.Errorf("%d messages, want %d", got, connections*each)
	}
}

// deliverMany sends n messages on one connection, as a mail transfer agent does.
func deliverMany(addr string, who, n int) error {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	in := bufio.NewReader(nc)
	hear := func(n int) error {
		for range n {
			line, err := in.ReadString('\n')
			if err != nil {
				return err
			}
			if line[0] != '2' && line[0] != '3' {
				return errors.New(line)
			}
		}
		return nil
	}
	io.WriteString(nc, "LHLO x\r\n")
	if err := hear(8); err != nil {
		return err
	}
	for i := range n {
		io.WriteString(nc, "MAIL FROM:<c@example.org>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n")
		if err := hear(3); err != nil {
			return err
		}
		fmt.Fprintf(nc, "Subject: %d/%d\r\n\r\n%s\r\n.\r\n", who, i, strings.Repeat("0123456789\r\n", 300))
		if err := hear(1); err != nil {
			return err
		}
	}
	return nil
}

func TestSwaks(t *testing.T) {
	swaks, err := exec.LookPath("swaks")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("swaks is not installed")
		}
		t.Skip("swaks is not installed")
	}
	w := newTown(t)
	w.Delivery.CanSend = true
	lmtp := w.serve(LMTP, nil)
	smtp := w.serve(Receiving, func(s *Server) { s.TLS = serverTLS() })
	submission := w.serve(Submission, func(s *Server) { s.TLS = serverTLS() })
	submissions := w.serve(Submission, func(s *Server) { s.TLS, s.Implicit = serverTLS(), true })
	login := []string{"--auth-user", "alice@example.test", "--auth-password", password, "--from", "alice@example.test", "--to", "bob@example.test,dave@example.com"}
	for _, c := range []struct {
		name, addr string
		args       []string
		code       int
	}{
		{"lmtp", lmtp, []string{"--protocol", "LMTP", "--from", "c@example.org", "--to", "bob@example.test,alice@example.test"}, 0},
		{"smtp", smtp, []string{"--from", "c@example.org", "--to", "bob@example.test", "--pipeline"}, 0},
		{"smtp over TLS", smtp, []string{"--tls", "--from", "c@example.org", "--to", "bob@example.test"}, 0},
		{"relaying", smtp, []string{"--from", "c@example.org", "--to", "dave@example.com"}, 24},
		{"submission PLAIN", submission, append([]string{"--tls", "--auth", "PLAIN"}, login...), 0},
		{"submission LOGIN", submission, append([]string{"--tls", "--auth", "LOGIN"}, login...), 0},
		{"submissions", submissions, append([]string{"--tls-on-connect", "--auth", "PLAIN"}, login...), 0},
		{"submission without TLS", submission, append([]string{"--auth", "PLAIN"}, login...), 28},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := append([]string{"--server", c.addr, "--timeout", "20", "--helo", "client.example.org", "--header", "Subject: " + c.name}, c.args...)
			out, err := exec.CommandContext(t.Context(), swaks, args...).CombinedOutput()
			code := 0
			if e := (*exec.ExitError)(nil); errors.As(err, &e) {
				code = e.ExitCode()
			}
			if code != c.code {
				t.Errorf("swaks ended with %d, want %d:\n%s", code, c.code, out)
			}
		})
	}
	if got := len(w.Inbox(w.bob.Account)); got != 6 {
		t.Errorf("bob has %d messages, want 6", got)
	}
}

// shallowStore takes messages and keeps none, so that a benchmark measures what
// is in front of the store.
type shallowStore struct{ store.Store }

func (shallowStore) Update(context.Context, mail.AccountID, mail.Origin, func(store.Tx) error) (mail.ModSeq, error) {
	return 1, nil
}

// BenchmarkEngine is LMTP down to the disk.
func BenchmarkEngine(b *testing.B) {
	for _, connections := range []int{1, 64} {
		b.Run(fmt.Sprintf("connections/%d", connections), func(b *testing.B) {
			w := newTown(b)
			db, err := sqlstore.Open(b.Context(), filepath.Join(b.TempDir(), "db"), sqlstore.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			if _, err := db.CreateAccount(b.Context(), deliverytest.By, store.NewAccount{Login: "bob@example.test"}); err != nil {
				b.Fatal(err)
			}
			w.Delivery.Store, w.Delivery.Directory = db, db
			bench(b, w, connections)
		})
	}
}

func bench(b *testing.B, w *town, connections int) {
	addr := w.serve(LMTP, nil)
	b.ReportAllocs()
	b.ResetTimer()
	errs := make(chan error, connections)
	for i := range connections {
		go func() { errs <- deliverMany(addr, i, (b.N+connections-1)/connections) }()
	}
	for range connections {
		if err := <-errs; err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}

func BenchmarkLMTP(b *testing.B) {
	for _, connections := range []int{1, 64} {
		b.Run(fmt.Sprintf("connections/%d", connections), func(b *testing.B) {
			w := newTown(b)
			w.Delivery.Store = shallowStore{w.Store}
			bench(b, w, connections)
		})
	}
}
