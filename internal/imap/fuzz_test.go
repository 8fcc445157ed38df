package imap

import (
	"bufio"
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep/internal/auth/authtest"
	said "lockstep/internal/imap/reply"
	"lockstep/internal/lot/lottest"
	"lockstep/internal/mail"
	"lockstep/internal/notify"
	"lockstep/internal/store"
	"lockstep/internal/transfer"
)

// The clients of a fuzzer. Lines are the first one's, but for those that begin with the
// name of another.
const (
	fuzzFirst    = iota // Alice
	fuzzSecond          // Alice with another device
	fuzzOther           // Bob
	fuzzStranger        // nobody yet
)

var fuzzNames = [...]string{"C1: ", "C2: ", "C3: ", "C4: "}

// fuzzTalk cuts what a fuzzer made into what each client says.
func fuzzTalk(text string) (parts []lottest.Part) {
	for line := range strings.Lines(text) {
		client := fuzzFirst
		if i := slices.IndexFunc(fuzzNames[:], func(name string) bool { return strings.HasPrefix(line, name) }); i >= 0 {
			client, line = i, line[len(fuzzNames[i]):]
		}
		if n := len(parts); n > 0 && parts[n-1].Client == client {
			parts[n-1].Text = append(parts[n-1].Text, line...)
			continue
		}
		parts = append(parts, lottest.Part{Client: client, Text: []byte(line)})
	}
	return parts
}

// deflated is the parts as they go over the wire: whoever asks for compression is given it,
// and compresses what it says next.
func deflated(t *testing.T, parts []lottest.Part) []lottest.Part {
	asked := map[int]*fuzzDeflater{}
	for i, p := range parts {
		if c := asked[p.Client]; c != nil {
			parts[i].Text = c.compress(t, p.Text)
			continue
		}
		at := bytes.Index(p.Text, []byte(" COMPRESS DEFLATE\r\n"))
		if at < 0 {
			continue
		}
		at += len(" COMPRESS DEFLATE\r\n")
		asked[p.Client] = newFuzzDeflater(t)
		parts[i].Text = append(slices.Clone(p.Text[:at]), asked[p.Client].compress(t, p.Text[at:])...)
	}
	return parts
}

type fuzzDeflater struct {
	out bytes.Buffer
	w   *flate.Writer
}

func newFuzzDeflater(t *testing.T) *fuzzDeflater {
	c := &fuzzDeflater{}
	var err error
	if c.w, err = flate.NewWriter(&c.out, flate.BestSpeed); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *fuzzDeflater) compress(t *testing.T, text []byte) []byte {
	c.out.Reset()
	if _, err := c.w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := c.w.Flush(); err != nil {
		t.Fatal(err)
	}
	return slices.Clone(c.out.Bytes())
}

// fuzzSeed is what the clients of a dialogue's scene say, as fuzzTalk reads it.
func fuzzSeed(scene []string) string {
	var text strings.Builder
	who := map[string]int{"C1": fuzzFirst}
	say := func(name, line string) { text.WriteString(fuzzNames[who[name]] + line + "\r\n") }
	for _, line := range scene {
		m := verb.FindStringSubmatch(line)
		if name, words, ok := strings.Cut(line, ": "); ok && strings.HasPrefix(name, "C") {
			say(name, words)
			continue
		} else if m == nil {
			continue
		}
		name, what, arg := m[1], m[2], m[3]
		switch {
		case what == "connects":
			who[name] = fuzzStranger
		case what == "enters" && strings.HasPrefix(arg, "as "):
			who[name] = fuzzOther
			_, arg, _ = strings.Cut(strings.TrimPrefix(arg, "as "), " ")
		case what == "enters" && name != "C1":
			who[name] = fuzzSecond
		}
		switch {
		case what == "enters" && arg != "":
			say(name, "e ENABLE "+arg)
		case what == "selects":
			say(name, "s SELECT "+arg)
		}
	}
	return text.String()
}

// fuzzSeeds are those of all dialogues, and what none of them says.
func fuzzSeeds(f *testing.F) (all []string) {
	for _, lines := range [][]string{
		{"a COMPRESS DEFLATE", "b SELECT INBOX", "c FETCH 1:* (FLAGS ENVELOPE BODY[])", "d COMPRESS DEFLATE", "e COMPRESS LZ", "f IDLE", "C2: a STATUS INBOX (SIZE)", "DONE", "g LOGOUT"},
		{"a SELECT INBOX (ANNOTATE)", "b NOTIFY SET (selected (MessageNew MessageExpunge FlagChange AnnotationChange))", "C2: a SELECT INBOX (ANNOTATE)",
			`C2: b STORE 1 ANNOTATION (/comment (value.shared "x"))`, "c NOOP", "d IDLE", `C2: c STORE 2:3 ANNOTATION (/altsubject (value.priv "y"))`, "DONE"},
		{"a SELECT INBOX", "b NOTIFY SET (selected (MessageNew MessageExpunge)) (personal (MessageNew MessageExpunge MailboxName SubscriptionChange MailboxMetadataChange))",
			"C2: a CREATE New/Below", "C2: b RENAME New Newer", "C2: c DELETE Newer", "C2: d SUBSCRIBE Work", "C2: e SETMETADATA Work (/private/comment x)", "C2: f APPEND Work {1+}", "C2: x", "c NOOP", "d FETCH 1 FLAGS"},
		{"C4: a LOGIN x", "C4: b LOGIN x {2+}", "C4: ab", "C4: c FETCH 1 FLAGS", "C4: d", "C4: e COMPRESS DEFLATE", "C4: f STARTTLS", "C4: g LOGOUT"},
		{"a FETCH 1:* ALL", "b SELECT Work/Deep", "c FETCH 1 (BODYSTRUCTURE BODY.PEEK[TEXT]<1.5> BINARY.PEEK[1] PREVIEW)", "d SORT RETURN (COUNT UPDATE) (SUBJECT) UTF-8 ALL", "e CANCELUPDATE \"d\"", "f UID EXPUNGE 1:*", "g CLOSE"},
	} {
		all = append(all, strings.Join(lines, "\r\n")+"\r\n")
	}
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		_, scenes := cutScenes(strings.Split(string(text), "\n"))
		for _, scene := range scenes {
			all = append(all, fuzzSeed(scene))
		}
	}
	return all
}

// fuzzHouse is what servers are made from that a fuzzer speaks to, all of them alike.
type fuzzHouse struct {
	*authtest.Mold
	blobs memoryBlobs
}

func newFuzzHouse(f *testing.F) *fuzzHouse {
	h := &fuzzHouse{Mold: authtest.NewMold(f, testLogin, "bob@example.test", "carol@example.test")}
	h.Now = func() time.Time { return testClock }
	letters, err := filepath.Glob("../message/testdata/*.eml")
	if err != nil || len(letters) < 12 {
		f.Fatalf("%d letters, %v", len(letters), err)
	}
	for i, path := range []string{"INBOX", "INBOX", "INBOX", "INBOX", "INBOX", "INBOX", "Drafts", "Team", "Team", "Work", "Work/Deep", "Lists/Lemonade"} {
		text, err := os.ReadFile(letters[i])
		if err != nil {
			f.Fatal(err)
		}
		a, err := h.blobs.ingest(f.Context(), strings.NewReader(string(text)), int64(len(text)))
		if err != nil {
			f.Fatal(err)
		}
		a.Flags, err = mail.NewFlags([]string{`\Seen`, `\Deleted`, `\Flagged`, "$Forwarded"}[i%4])
		if err != nil {
			f.Fatal(err)
		}
		h.put(f, path, a)
	}
	return h
}

// put appends a message, and another that leaves again.
func (h *fuzzHouse) put(f *testing.F, path string, a mail.Arrival) {
	_, err := h.Update(f.Context(), h.People[0].Account, testOrigin, func(tx store.Tx) error {
		mb, err := tx.MailboxByPath(path)
		if err != nil && mail.KindOf(err) == mail.NotFound {
			mb, err = makePath(tx, path, mail.NoRole)
		}
		if err == nil {
			_, err = tx.Append(mb.ID, a)
		}
		if err != nil {
			return err
		}
		p, err := tx.Append(mb.ID, a)
		if err == nil {
			_, err = tx.Expunge(mb.ID, mail.MakeUIDSet(p.UID), false)
		}
		return err
	})
	if err != nil {
		f.Fatal(err)
	}
}

// server is one with a store of its own; a tight one does little in one command.
func (h *fuzzHouse) server(t *testing.T, tight bool) *Server {
	st, blobs := h.Twin(), &memoryBlobs{m: maps.Clone(h.blobs.m)}
	srv := &Server{Store: st, Transfer: &transfer.Service{Store: st, Intents: st}, Auth: authtest.Service(st), Blobs: blobs, Ingest: blobs.ingest,
		Hub: &notify.Hub{}, Log: slog.New(fuzzLog{slog.DiscardHandler, t}), AllowPlainAuth: netip.Addr.IsLoopback, Hostname: "imap.example.test",
		JMAP:   "https://imap.example.test/jmap",
		Limits: Limits{Message: 1 << 12, Messages: 3, Stall: 5 * time.Second, Idle: 5 * time.Second, Nap: 5 * time.Second}}
	srv.Limits.Wire.Skip = 1 << 12
	if tight {
		srv.Limits.PerCommand, srv.Limits.PerSave, srv.Limits.Contexts, srv.Limits.Notified = 3, 2, 1, 2
		srv.Limits.SearchBytes, srv.Limits.SortBytes, srv.Limits.ContextBytes = 1<<10, 1<<10, 1<<10
	}
	srv.init()
	return srv
}

// fuzzLog fails the test where a session logs a bug of ours.
type fuzzLog struct {
	slog.Handler
	t testing.TB
}

func (h fuzzLog) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelError }
func (h fuzzLog) WithAttrs([]slog.Attr) slog.Handler           { return h }
func (h fuzzLog) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool { h.t.Errorf("%s: %v", r.Message, a); return true })
	return nil
}

// fuzzPatience is how long a talk may take on a machine that has other things to do.
const fuzzPatience = time.Minute

// play has the server hear a talk, and returns what it said to each client.
func play(t *testing.T, srv *Server, parts []lottest.Part) (heard [len(fuzzNames)]string) {
	hung := time.AfterFunc(fuzzPatience, func() { panic(fmt.Sprintf("it hangs: %+v", parts)) })
	defer hung.Stop()
	talk := lottest.NewTalk(parts...)
	var set sessionSet
	sessions := map[int]*session{}
	for _, p := range parts { // each connection is there before anybody says a word
		if sessions[p.Client] == nil {
			c := talk.Conn(p.Client)
			srv.door.Enter(mail.AddrOf(c), len(fuzzNames), len(fuzzNames))
			s := newSession(t.Context(), srv, &set, c, mail.AddrOf(c), false)
			set.add(s)
			sessions[p.Client] = s
		}
	}
	for _, s := range sessions {
		go s.greet()
	}
	set.wait()
	srv.cache.Wait()
	for client := range sessions {
		heard[client] = talk.Conn(client).Heard()
	}
	return heard
}

// FuzzSession says whatever to sessions. They must answer, in words that a client can
// read, or hang up, and no bug of ours may show.
func FuzzSession(f *testing.F) {
	for _, text := range fuzzSeeds(f) {
		f.Add(text, false)
		f.Add(text, true)
	}
	h := newFuzzHouse(f)
	f.Fuzz(func(t *testing.T, text string, tight bool) {
		parts := fuzzTalk(text)
		parts = append(h.signIns(parts), deflated(t, parts)...)
		for client, heard := range play(t, h.server(t, tight), parts) {
			if err := readable(heard); err != nil && !strings.Contains(strings.ToUpper(text), "COMPRESS") {
				t.Errorf("client %d: %v", client, err)
			}
		}
	})
}

// signIns are what the clients of the parts say first.
func (h *fuzzHouse) signIns(parts []lottest.Part) (first []lottest.Part) {
	for client, who := range []int{fuzzFirst: 0, fuzzSecond: 0, fuzzOther: 1} {
		if slices.ContainsFunc(parts, func(p lottest.Part) bool { return p.Client == client }) {
			first = append(first, lottest.Part{Client: client, Text: []byte("login LOGIN " + h.People[who].Login + " " + h.Secrets[who] + "\r\n")})
		}
	}
	return first
}

// readable is an error for what a client cannot read.
func readable(heard string) error {
	for in := bufio.NewReader(strings.NewReader(heard)); ; {
		r, err := said.Read(in)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if strings.Contains(r.Raw, "SERVERBUG") {
			return fmt.Errorf("a bug: %s", r.Raw)
		}
	}
}

// FuzzSASL plays sign-ins by AUTHENTICATE. Nobody comes in who does not know the secret.
func FuzzSASL(f *testing.F) {
	authtest.AddExchanges(f)
	h := newFuzzHouse(f)
	weary := h.WearyService(f, mail.IMAP, netip.MustParseAddr("127.0.0.1"))
	f.Fuzz(func(t *testing.T, mech byte, initial bool, first, second, third string) {
		srv := h.server(t, false)
		knows := strings.Contains(first+second+third, "$secret") || strings.Contains(first+second+third, "$final")
		if !knows {
			srv.Auth = weary
		}
		command := "a AUTHENTICATE " + authtest.Mechanisms[int(mech)%len(authtest.Mechanisms)] + "\r\n"
		if initial {
			command = strings.TrimSuffix(command, "\r\n") + " "
		}
		parts := append([]lottest.Part{{Client: fuzzStranger, Text: []byte(command)}}, h.Answers(fuzzStranger, first, second, third)...)
		heard := play(t, srv, append(parts, lottest.Part{Client: fuzzStranger, Text: []byte("b CHECK\r\nc SELECT INBOX\r\n")}))[fuzzStranger]
		if err := readable(heard); err != nil {
			t.Error(err)
		}
		if !knows && strings.Contains(heard, "\r\nc OK") {
			t.Errorf("somebody came in: %q", heard)
		}
	})
}
