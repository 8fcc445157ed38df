package smtp

import (
	"context"
	"encoding/base64"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"lockstep/internal/auth/authtest"
	"lockstep/internal/delivery"
	"lockstep/internal/delivery/deliverytest"
	"lockstep/internal/lot/lottest"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

var replyLine = regexp.MustCompile(`^[2345]\d\d[- ][^\r\n]*\r\n$`)

// panicLog fails the test where a session logs that it panicked.
type panicLog struct {
	slog.Handler
	t testing.TB
}

func (h panicLog) Enabled(context.Context, slog.Level) bool { return true }
func (h panicLog) WithAttrs([]slog.Attr) slog.Handler       { return h }
func (h panicLog) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "panic" {
		r.Attrs(func(a slog.Attr) bool { h.t.Errorf("%v", a); return true })
	}
	return nil
}

// fuzzed is what servers are made from that a fuzzer speaks to, all of them alike.
type fuzzed struct {
	*authtest.Mold
	w     *town
	spool string
}

func newFuzzed(f *testing.F) *fuzzed {
	z := &fuzzed{authtest.NewMold(f, "alice@example.test", "bob@example.test", "full@example.test"), newTown(f), f.TempDir()}
	for _, a := range []store.Address{{Local: "sales", Domain: "example.test", Account: z.People[0].Account, Alias: true}, {Domain: "caught.test", Account: z.People[1].Account, Alias: true}} {
		if err := z.AddAddress(f.Context(), a); err != nil {
			f.Fatal(err)
		}
	}
	_, err := z.Update(f.Context(), z.People[2].Account, deliverytest.By, func(tx store.Tx) error { return tx.SetQuota(1) })
	if err != nil {
		f.Fatal(err)
	}
	return z
}

// server is one of the role, with a store of its own.
func (z *fuzzed) server(t *testing.T, role Role) *Server {
	st := z.Twin()
	return &Server{Role: role, Hostname: "mx.example.test", Auth: authtest.Service(st), AllowPlainAuth: netip.Addr.IsLoopback,
		Delivery: &delivery.Service{Store: st, Directory: st, Queue: st, Blobs: z.w.Blobs, Log: slog.New(slog.DiscardHandler), Hostname: "mx.example.test",
			SpoolDir: z.spool, Postmaster: "alice@example.test", Wake: func() {}, CanSend: true},
		Log: slog.New(panicLog{slog.DiscardHandler, t}), Limits: Limits{MessageBytes: 1 << 16, Errors: 50}}
}

// play has the server hear a talk, and returns what it said.
func play(t *testing.T, srv *Server, parts ...lottest.Part) string {
	c := lottest.NewTalk(parts...).Conn(0)
	srv.serve(t.Context(), c, srv.Limits.withDefaults(srv.Role))
	for line := range strings.Lines(c.Heard()) {
		if !replyLine.MatchString(line) {
			t.Errorf("said %q", line)
		}
	}
	return c.Heard()
}

// letter is a transaction, for seeds: with parameters, and a way to send the text.
func letter(mail, rcpt, data string) string {
	return "EHLO client.example.org\r\nMAIL FROM:" + mail + "\r\nRCPT TO:" + rcpt + "\r\n" + data + "NOOP\r\n"
}

// FuzzSession plays whatever a client may send, beginning with the dialogues.
func FuzzSession(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	seeds := []string{
		letter("<alice@example.test> SIZE=100 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=a+20b", "<bob@example.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b+2Bob@example.test", "DATA\r\n..\r\n.\r\n"),
		letter("<> BODY=7BIT RET=FULL AUTH=<>", "<@a.test,@b.test:\"b\\ob\"@example.test> NOTIFY=NEVER", "BDAT 3\r\na\r\nBDAT 0 LAST\r\n"),
		letter("<\xc3\xa4@\xc3\xa4.test> SMTPUTF8", "<\xc3\xa4@example.test>", "BDAT 5 LAST\r\nabcde"),
		letter("alice@example.test", "<Postmaster>", "BDAT x\r\nBDAT 99999999 LAST\r\n"),
		letter("<alice@[127.0.0.1]>", "<full@example.test>", "DATA\r\nx\r\n.\n.\r\n.\r\n"),
		letter("<a@b.test> SIZE=99999999999", "<x@elsewhere.test> ORCPT=x;", "RSET\r\nVRFY alice\r\nEXPN x\r\nHELP\r\nHELO y\r\nQUIT\r\n"),
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var said strings.Builder
		for line := range strings.Lines(string(text)) {
			c, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "C:")
			if c = strings.TrimPrefix(c, " "); c == "STARTTLS" || strings.HasPrefix(c, "AUTH ") {
				said.Reset() // the fuzzer is signed in already
			} else if ok {
				said.WriteString(c + "\r\n")
			}
		}
		seeds = append(seeds, said.String())
	}
	for _, said := range seeds {
		for role := range byte(4) {
			f.Add(role, []byte(said))
			f.Add(role, []byte(strings.ReplaceAll(said, "EHLO", "LHLO")))
		}
	}
	z := newFuzzed(f)
	signIn := "EHLO x\r\nAUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00"+z.People[0].Login+"\x00"+z.Secrets[0])) + "\r\n"
	f.Fuzz(func(t *testing.T, role byte, said []byte) {
		srv := z.server(t, []Role{LMTP, Receiving, Submission, Submission}[role%4])
		if role%4 == 2 {
			said = append([]byte(signIn), said...)
		}
		play(t, srv, lottest.Part{Text: said})
	})
}

// FuzzSASL plays sign-ins by AUTH. Nobody comes in who does not know the secret.
func FuzzSASL(f *testing.F) {
	authtest.AddExchanges(f)
	z := newFuzzed(f)
	weary := z.WearyService(f, mail.Submission, netip.MustParseAddr("127.0.0.1"))
	f.Fuzz(func(t *testing.T, mech byte, initial bool, first, second, third string) {
		srv := z.server(t, Submission)
		knows := strings.Contains(first+second+third, "$secret") || strings.Contains(first+second+third, "$final")
		if !knows {
			srv.Auth = weary
		}
		command := "EHLO x\r\nAUTH " + authtest.Mechanisms[int(mech)%len(authtest.Mechanisms)] + "\r\n"
		if initial {
			command = strings.TrimSuffix(command, "\r\n") + " "
		}
		said := play(t, srv, append([]lottest.Part{{Text: []byte(command)}}, z.Answers(0, first, second, third)...)...)
		if !knows && strings.Contains(said, "\r\n235 ") {
			t.Errorf("somebody came in: %q", said)
		}
	})
}
