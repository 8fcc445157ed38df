package imap

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// askedStore counts the messages whose rows were asked for.
type askedStore struct {
	store.Store
	rows atomic.Int64
}

func (a *askedStore) View(ctx context.Context, id mail.AccountID, fn func(store.Reader) error) error {
	return a.Store.View(ctx, id, func(r store.Reader) error { return fn(askedReader{r, a}) })
}

type askedReader struct {
	store.Reader
	a *askedStore
}

func (r askedReader) Messages(q store.PlacementQuery, fn func(*mail.Placement, *mail.Message) error) error {
	return r.Reader.Messages(q, func(p *mail.Placement, m *mail.Message) error { r.a.rows.Add(1); return fn(p, m) })
}

// newAskedHouse is a server of n messages that counts.
func newAskedHouse(t *testing.T, n int) (*house, *askedStore) {
	a := &askedStore{}
	h := newHouse(t, func(s *Server) { a.Store, s.Store = s.Store, a })
	for i := range n {
		h.put("INBOX", fmt.Sprintf("From: bob@example.test\r\nSubject: Grüße %d\r\nX-Other: x\r\n\r\nbody\r\n", i), mail.Flags{}, 0, 0)
	}
	return h, a
}

// tagless leaves out the completion, whose tag differs.
func tagless(lines []string) []string { return lines[:len(lines)-1] }

func TestTextsAreMadeOnce(t *testing.T) {
	h, a := newAskedHouse(t, 3)
	c := dial(t, h.addr).ready().login()
	c.must("SELECT INBOX")
	for _, items := range []string{"(ENVELOPE)", "(RFC822.SIZE INTERNALDATE BODYSTRUCTURE)", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])", "(UID BODY EMAILID THREADID SAVEDATE FLAGS)",
		"(BODY.PEEK[HEADER.FIELDS.NOT (SUBJECT)] ENVELOPE)"} {
		first := tagless(c.must("FETCH 1:3 " + items))
		before := a.rows.Load()
		if again := tagless(c.must("FETCH 1:3 " + items)); !slices.Equal(again, first) {
			t.Errorf("%s: %q, then %q", items, first, again)
		}
		if n := a.rows.Load() - before; n != 0 {
			t.Errorf("%s: asked for %d rows again", items, n)
		}
	}
	other := dial(t, h.addr).ready().login()
	other.must("SELECT INBOX")
	before := a.rows.Load()
	other.must("FETCH 2 (FLAGS ENVELOPE)")
	if n := a.rows.Load() - before; n != 0 {
		t.Errorf("another session asked for %d rows", n)
	}
	h.put("INBOX", "Subject: new\r\n\r\n", mail.Flags{}, 0, 0)
	other.must("NOOP")
	if got := other.must("FETCH 1:* ENVELOPE"); !strings.Contains(got[len(got)-2], `* 4 FETCH (ENVELOPE (NIL "new"`) || a.rows.Load()-before != 1 {
		t.Errorf("%q after %d rows", got, a.rows.Load()-before)
	}
}

func TestTextsAreInTheEncodingOfTheClient(t *testing.T) {
	h, _ := newAskedHouse(t, 1)
	old := dial(t, h.addr).ready().login()
	old.must("SELECT INBOX")
	now := dial(t, h.addr).ready().login()
	now.must("ENABLE IMAP4REV2")
	now.must("SELECT INBOX")
	for range 2 {
		if got := old.must("FETCH 1 ENVELOPE")[0]; !strings.Contains(got, "{") {
			t.Errorf("rev1: %s", got)
		}
		if got := now.must("FETCH 1 ENVELOPE")[0]; !strings.Contains(got, `"Grüße 0"`) {
			t.Errorf("rev2: %s", got)
		}
	}
}

// Every item that is remembered, in both encodings, comes again as it came first.
func TestTextsAreNotMixedUp(t *testing.T) {
	h := newHouse(t, nil)
	h.put("INBOX", "From: Jörg <j@example.test>\r\nSubject: Grüße\r\nContent-Type: text/plain; name=\"ü.txt\"\r\nContent-Description: ä\r\n\r\nHällo\r\n", mail.Flags{}, 0, 0)
	var clients []*testClient
	for _, enable := range []string{"NOOP", "ENABLE IMAP4REV2"} {
		c := dial(t, h.addr).ready().login()
		c.must(enable)
		c.must("EXAMINE INBOX")
		clients = append(clients, c)
	}
	for _, item := range []string{"ENVELOPE", "BODY", "BODYSTRUCTURE", "PREVIEW", "RFC822.SIZE", "INTERNALDATE", "SAVEDATE", "EMAILID", "THREADID", "BODY[HEADER.FIELDS (SUBJECT)]"} {
		for _, c := range clients {
			first := tagless(c.must("FETCH 1 " + item))
			other := clients[0]
			if other == c {
				other = clients[1]
			}
			other.must("FETCH 1 " + item)
			if again := tagless(c.must("FETCH 1 " + item)); !slices.Equal(first, again) {
				t.Errorf("%q, then %q", first, again)
			}
			if c == clients[0] && strings.Contains(strings.Join(first, ""), "\"Hä") {
				t.Errorf("eight bits in quotes: %q", first)
			}
		}
	}
}

func TestHeaderFieldsOutOfMemorySetSeen(t *testing.T) {
	h, _ := newAskedHouse(t, 1)
	c := dial(t, h.addr).ready().login()
	c.must("SELECT INBOX")
	c.must("FETCH 1 BODY.PEEK[HEADER.FIELDS (SUBJECT)]")
	if got := strings.Join(c.must("FETCH 1 BODY[HEADER.FIELDS (SUBJECT)]"), "\n"); !strings.Contains(got, `\Seen`) {
		t.Errorf("%s", got)
	}
}

func TestWhatDoctorMendedIsShown(t *testing.T) {
	h, _ := newAskedHouse(t, 1)
	c := dial(t, h.addr).ready().login()
	c.must("SELECT INBOX")
	c.must("FETCH 1 ENVELOPE")
	a, err := h.blobs.ingest(t.Context(), strings.NewReader("Subject: mended\r\n\r\n"), 0)
	if err != nil {
		t.Fatal(err)
	}
	var key mail.MessageKey
	err = h.store.View(t.Context(), h.account, func(r store.Reader) error {
		mb, err := r.MailboxByPath("INBOX")
		if err != nil {
			return err
		}
		return r.Placements(store.PlacementQuery{Mailbox: mb.ID}, func(p *mail.Placement) error { key = p.Message; return nil })
	})
	if err == nil {
		err = h.store.Reparsed(t.Context(), h.account, []store.Derived{{Message: key, Parsed: a.Parsed}})
	}
	if err != nil {
		t.Fatal(err)
	}
	c.must("NOOP")
	if got := c.must("FETCH 1 ENVELOPE")[0]; !strings.Contains(got, `"mended"`) {
		t.Errorf("%s", got)
	}
}

// Messages that went, but that the client was not told of, are answered for in
// their turn, also where one View does not hold the whole answer.
func TestDepartedMessagesAreAnsweredFor(t *testing.T) {
	h := newHouse(t, nil)
	long := strings.Repeat("a very long name, ", 200)
	const n = 150
	for i := range n {
		h.put("INBOX", fmt.Sprintf("Subject: %d %s\r\n\r\nbody\r\n", i, long), mail.Flags{}, 0, 0)
	}
	c := dial(t, h.addr).ready().login()
	c.must("SELECT INBOX")
	other := dial(t, h.addr).ready().login()
	other.must("SELECT INBOX")
	other.must(`STORE 3,9,140 +FLAGS.SILENT (\Deleted)`)
	other.must("EXPUNGE")
	got := c.must("FETCH 1:* ENVELOPE")
	var fetched int
	for _, line := range got {
		if strings.Contains(line, "FETCH (ENVELOPE") {
			fetched++
			if want := fmt.Sprintf("* %d FETCH (ENVELOPE (NIL {", fetched); !strings.HasPrefix(line, want) {
				t.Fatalf("got %.60s, want %s", line, want)
			}
		}
	}
	if fetched != n {
		t.Errorf("%d of %d messages", fetched, n)
	}
}
