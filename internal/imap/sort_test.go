package imap

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"lockstep/internal/imap/wire"
	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/message/threads"
	"lockstep/internal/store"
)

// letter makes a message in which many others find their like.
func letter(rng *rand.Rand) string {
	pick := func(list ...string) string { return list[rng.IntN(len(list))] }
	var b strings.Builder
	field := func(name string, values ...string) {
		if v := pick(values...); v != "" {
			b.WriteString(name + ": " + v + "\r\n")
		}
	}
	people := []string{"", "ann@example.test", "Ann <ANN@example.test>", "=?utf-8?q?=C3=84nne?= <zoe@example.test>", "bob@example.test", "Bob <a@example.test>",
		"Friends: x@example.test;", `"" <b@example.test>`, "broken <", "ann@other.example"}
	field("From", people...)
	field("To", people...)
	field("Cc", people...)
	field("Subject", "", "x", "X", "Re: x", "xy", "x y", "[list] x", "\xc3\xa4", "=?utf-8?q?=C3=84?=", "(fwd)", "Re: \x7fz")
	field("Date", "", "nonsense", "Thu, 1 Jan 2026 10:00:00 +0000", "Thu, 1 Jan 2026 11:00:00 +0100", "Thu, 1 Jan 2026 09:59:59 +0000", "1 Jan 1960 00:00 +0000", "Thu, 1 Jan 2026 99:00:00 +0000")
	return b.String() + "\r\n" + strings.Repeat("x", rng.IntN(4))
}

// SORT by whatever criteria is what sorting by one after the other, the last first
// and each stably, makes of the mailbox.
func TestSortIsANaiveStableSort(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 5256))
	h := newHouse(t, nil)
	for uid := range mail.UID(80) {
		h.put("INBOX", letter(rng), mail.Flags{}, 2*uid+1, 0)
	}
	var rows []row
	err := h.store.View(context.Background(), h.account, func(r store.Reader) error {
		mb, err := r.MailboxByPath("INBOX")
		if err != nil {
			return err
		}
		return r.Messages(store.PlacementQuery{Mailbox: mb.ID}, func(p *mail.Placement, m *mail.Message) error {
			rows = append(rows, copyRow(p, m))
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, h.addr).ready().login()
	c.must("SELECT INBOX")
	for range 300 {
		var words []string
		var criteria []wire.SortCriterion
		for range 1 + rng.IntN(6) {
			k := wire.SortCriterion{Reverse: rng.IntN(2) == 0, Key: []wire.SortKey{wire.SortArrival, wire.SortCc, wire.SortDate, wire.SortFrom, wire.SortSize,
				wire.SortSubject, wire.SortTo, wire.SortDisplayFrom, wire.SortDisplayTo}[rng.IntN(9)]}
			criteria = append(criteria, k)
			words = append(words, strings.TrimSpace(map[bool]string{true: "REVERSE "}[k.Reverse]+string(k.Key)))
		}
		want := slices.Clone(rows)
		for _, k := range slices.Backward(criteria) {
			slices.SortStableFunc(want, func(a, b row) int {
				d := naiveCompare(t, k.Key, &a.m, &b.m)
				if k.Reverse {
					return -d
				}
				return d
			})
		}
		text := "* SORT"
		for _, r := range want {
			text += fmt.Sprint(" ", r.p.UID)
		}
		command := "UID SORT (" + strings.Join(words, " ") + ") UTF-8 ALL"
		if got := c.must(command)[0]; got != text {
			t.Fatalf("%s\n got %s\nwant %s", command, got, text)
		}
	}
}

func naiveCompare(t *testing.T, k wire.SortKey, a, b *mail.Message) int {
	switch k {
	case wire.SortSize:
		return cmp.Compare(a.Size, b.Size)
	case wire.SortArrival:
		return cmp.Compare(a.InternalDate.Unix(), b.InternalDate.Unix())
	}
	x, err1 := message.Decode(a.Parsed)
	y, err2 := message.Decode(b.Parsed)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	v, w := &x.Envelope, &y.Envelope
	text := func(of func(*message.Envelope) string) int {
		return cmp.Compare(string(message.AppendCasemap(nil, []byte(of(v)))), string(message.AppendCasemap(nil, []byte(of(w)))))
	}
	mailbox := func(list []message.Address) string {
		if len(list) == 0 {
			return ""
		}
		return list[0].Mailbox
	}
	display := func(list []message.Address) string {
		if len(list) == 0 {
			return ""
		}
		if name := message.DecodeWords(list[0].Name); name != "" {
			return name
		}
		return strings.TrimSuffix(list[0].Mailbox+"@"+list[0].Host, "@")
	}
	switch k {
	case wire.SortDate:
		p, q := v.SentAt, w.SentAt
		if p.IsZero() {
			p = a.InternalDate
		}
		if q.IsZero() {
			q = b.InternalDate
		}
		return cmp.Compare(p.Unix(), q.Unix())
	case wire.SortSubject:
		return cmp.Compare(string(message.AppendCasemap(nil, []byte(x.BaseSubject))), string(message.AppendCasemap(nil, []byte(y.BaseSubject))))
	case wire.SortFrom:
		return text(func(e *message.Envelope) string { return mailbox(e.From) })
	case wire.SortTo:
		return text(func(e *message.Envelope) string { return mailbox(e.To) })
	case wire.SortCc:
		return text(func(e *message.Envelope) string { return mailbox(e.Cc) })
	case wire.SortDisplayFrom:
		return text(func(e *message.Envelope) string { return display(e.From) })
	}
	return text(func(e *message.Envelope) string { return display(e.To) })
}

// A SORT reads each row once, and none of what is remembered; a live search looks at
// nothing but what changed.
func TestWhatSortingAndUpdatingRead(t *testing.T) {
	counted := &countingStore{}
	h := newHouse(t, func(s *Server) {
		counted.Store = s.Store
		s.Store = counted
	})
	for uid := range mail.UID(30) {
		h.put("INBOX", fmt.Sprintf("Subject: %d\r\n\r\nx", uid), mail.Flags{}, uid+1, 0)
	}
	c := dial(t, h.addr).ready().login()
	c.must("SELECT INBOX")
	rows := func(command string) int {
		before := counted.rows.Load()
		c.must(command)
		return int(counted.rows.Load() - before)
	}
	for _, tt := range []struct {
		command string
		want    int
	}{
		{"SORT (SUBJECT REVERSE DATE FROM) UTF-8 ALL", 30},
		{"SORT (REVERSE DATE) UTF-8 UNSEEN", 0}, // remembered
		{"SORT (SIZE DATE) UTF-8 4:6", 3},
		{"SORT (DATE REVERSE SIZE) UTF-8 1:10", 7},
		{"SORT (SUBJECT) UTF-8 LARGER 1", 30},
		{"SORT (DATE) UTF-8 1:4 BODY x", 4},
		{"THREAD REFERENCES UTF-8 5:30", 26},
		{"THREAD REFS UTF-8 7:9", 0},
		{"THREAD REFERENCES UTF-8 ALL", 30}, // from the first that is not remembered on
		{"THREAD ORDEREDSUBJECT UTF-8 UNSEEN", 0},
		{"THREAD REFERENCES UTF-8 OR 1:20 SUBJECT 2", 10},
		{"SEARCH RETURN (UPDATE) UNSEEN", 0},
		{"SEARCH RETURN (UPDATE) UNSEEN BODY x", 30},
		{"SORT RETURN (UPDATE) (CC) UTF-8 UNFLAGGED", 30},
		{"SEARCH RETURN (UPDATE) SUBJECT 3", 30},
		{"SORT RETURN (UPDATE) (SUBJECT) UTF-8 SUBJECT 22", 30},
	} {
		if got := rows(tt.command); got != tt.want {
			t.Errorf("%s read %d rows, want %d", tt.command, got, tt.want)
		}
	}
	if got := rows(`STORE 5 +FLAGS.SILENT (\Answered)`); got != 1 {
		t.Errorf("a changed flag read %d rows, want that of the one search it may matter to", got)
	}
	h.put("INBOX", "Subject: new\r\n\r\nx", mail.Flags{}, 31, 0)
	if got := rows("NOOP"); got != 4 {
		t.Errorf("a new message read %d rows, want one for each search that needs it", got)
	}
}

// countingStore counts the rows of messages that are read.
type countingStore struct {
	store.Store
	rows atomic.Int64
}

func (s *countingStore) View(ctx context.Context, id mail.AccountID, fn func(store.Reader) error) error {
	return s.Store.View(ctx, id, func(r store.Reader) error { return fn(countingReader{r, &s.rows}) })
}

type countingReader struct {
	store.Reader
	rows *atomic.Int64
}

func (r countingReader) Messages(q store.PlacementQuery, fn func(*mail.Placement, *mail.Message) error) error {
	return r.Reader.Messages(q, func(p *mail.Placement, m *mail.Message) error {
		r.rows.Add(1)
		return fn(p, m)
	})
}

func TestThreadTextsAreReadAsTheyWereWritten(t *testing.T) {
	for _, m := range []threads.Message{
		{Number: 7, Subject: []byte{}},
		{Number: 7, ID: "a@b", Subject: []byte("SUBJECT"), IsReply: true, SentAt: -5, Arrived: 1 << 40, Ancestry: []string{"x", strings.Repeat("y", 300), "z"}},
	} {
		if got := readThreadText(7, appendThreadText(nil, &m)); !reflect.DeepEqual(got, m) {
			t.Errorf("%+v, want %+v", got, m)
		}
	}
}

// What is remembered makes the same threads as what is read, whatever part of the
// mailbox it is of.
func TestThreadsOutOfMemory(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 5256))
	h := newHouse(t, nil)
	for uid := range mail.UID(60) {
		text := fmt.Sprintf("Message-ID: <%d@x>\r\nSubject: %s%d\r\n", rng.IntN(40), []string{"", "Re: "}[rng.IntN(2)], rng.IntN(9))
		for range rng.IntN(2) {
			text += fmt.Sprintf("References: <%d@x> <%d@x>\r\n", rng.IntN(45), rng.IntN(45))
		}
		h.put("INBOX", text+"\r\n", mail.Flags{}, 2*uid+1, 0)
	}
	cold := newHouse(t, func(s *Server) { s.Store, s.Auth, s.Blobs, s.IndexBudget = h.store, h.auth, h.blobs, 1 })
	c, d := dial(t, h.addr).ready().login(), dial(t, cold.addr).ready().login()
	c.must("SELECT INBOX")
	d.must("EXAMINE INBOX")
	for range 200 {
		lo, hi := 1+rng.IntN(60), 1+rng.IntN(60)
		keys := []string{fmt.Sprintf("%d:%d", lo, hi), fmt.Sprintf("OR %d:%d SUBJECT %d", lo, hi, rng.IntN(9)), "ALL"}[rng.IntN(3)]
		command := "UID THREAD " + []string{"REFERENCES", "REFS", "ORDEREDSUBJECT"}[rng.IntN(3)] + " UTF-8 " + keys
		got := c.must(command)[0]
		if want := d.must(command)[0]; got != want {
			t.Fatalf("%s\n got %s\nwant %s", command, got, want)
		}
	}
}
