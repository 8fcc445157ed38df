package jmap

import (
	"cmp"
	"context"
	"slices"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// An emailTable is what lists of an account's Emails are made from: a row of some
// hundred bytes for each Email there is, oldest first, and its thread by number. It
// follows the account's changes, can be thrown away at any time, and is made again by
// one pass.
//
// What it costs: to make, some 2 µs an Email; to bring up to date, what changed, and a
// move of what came after; to go through, some 10 ns an Email.
type emailTable struct {
	at       mail.Position // everything up to here is in it
	rows     []emailRow
	dates    map[mail.MessageKey]int64 // of what is in rows
	threads  map[mail.ThreadID]uint32
	names    []mail.ThreadID // of the threads, by number
	keywords map[string]string
	answers  map[asked]map[mail.MessageKey]bool // of what was asked of their text
	says     map[mail.MessageKey]headline       // of those that were asked for it
	list     []int32                            // room for a result
}

// emailRow is an Email.
type emailRow struct {
	key       mail.MessageKey
	received  int64 // microseconds, as the store orders by
	sent      int64 // seconds; when it was received where the sender says nothing
	size      int64
	id        mail.EmailID
	keywords  mail.Flags
	mailbox   mail.MailboxID
	elsewhere *[]mail.MailboxID // where it is besides
	thread    uint32
}

// isIn reports whether the Email is in a mailbox.
func (r *emailRow) isIn(mb mail.MailboxID) bool {
	return r.mailbox == mb || r.elsewhere != nil && slices.Contains(*r.elsewhere, mb)
}

// isOutside reports whether it is in a mailbox that is not one of these.
func (r *emailRow) isOutside(these map[mail.MailboxID]bool) bool {
	return !these[r.mailbox] || r.elsewhere != nil && slices.ContainsFunc(*r.elsewhere, func(mb mail.MailboxID) bool { return !these[mb] })
}

// second is when it was received, as clients see it.
func (r *emailRow) second() int64 { return time.UnixMicro(r.received).Unix() }

// has reports whether it has a keyword.
func (r *emailRow) has(k keyword) bool {
	if k.system != 0 {
		return r.keywords.Has(k.system)
	}
	return r.keywords.HasKeyword(k.word)
}

// compare orders the oldest first.
func (r *emailRow) compare(s *emailRow) int {
	return cmp.Or(cmp.Compare(r.received, s.received), cmp.Compare(r.key, s.key))
}

// A keyword is one of an Email, as the store knows it (RFC 8621 §4.1.1).
type keyword struct {
	system mail.SystemFlags // one, or 0
	word   string
}

// parseKeyword reads one that clients say.
func parseKeyword(s string) (keyword, bool) {
	f, wrong := keywordFlag(s)
	return keyword{f.System, f.KeywordText()}, wrong == nil
}

func newEmailTable(at mail.Position) *emailTable {
	return &emailTable{at: at, dates: map[mail.MessageKey]int64{}, threads: map[mail.ThreadID]uint32{}, keywords: map[string]string{}}
}

// makeEmailTable reads all Emails of a snapshot.
func makeEmailTable(ctx context.Context, r store.Reader) (*emailTable, error) {
	acct, err := r.Account()
	if err != nil {
		return nil, err
	}
	t := newEmailTable(acct.Epoch.At(acct.Head))
	err = r.Emails(func(e *mail.Email) error {
		t.rows = append(t.rows, t.rowOf(e))
		return ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	t.order(t.rows)
	for i := range t.rows {
		t.dates[t.rows[i].key] = t.rows[i].received
	}
	return t, nil
}

func (t *emailTable) order(rows []emailRow) {
	slices.SortFunc(rows, func(a, b emailRow) int { return a.compare(&b) })
}

// rowOf makes the row of an Email.
func (t *emailTable) rowOf(e *mail.Email) emailRow {
	row := emailRow{key: e.Key, id: e.EmailID, received: e.InternalDate.UnixMicro(), size: e.Size, thread: t.threadNumber(e.Thread), mailbox: e.Places[0].Mailbox}
	if row.sent = row.second(); !e.SentAt.IsZero() {
		row.sent = e.SentAt.Unix()
	}
	var few [4]mail.Flags
	flags := few[:0]
	var others []mail.MailboxID
	for _, p := range e.Places {
		flags = append(flags, p.Flags)
		if p.Mailbox != row.mailbox && !slices.Contains(others, p.Mailbox) {
			others = append(others, p.Mailbox)
		}
	}
	if row.keywords = t.interned(shownFlags(flags)); len(others) > 0 {
		row.elsewhere = &others
	}
	return row
}

func (t *emailTable) threadNumber(id mail.ThreadID) uint32 {
	n, ok := t.threads[id]
	if !ok {
		n = uint32(len(t.names))
		t.threads[id], t.names = n, append(t.names, id)
	}
	return n
}

// interned keeps the keywords that many Emails have once.
func (t *emailTable) interned(f mail.Flags) mail.Flags {
	text := f.KeywordText()
	if text == "" {
		return f
	}
	if known, ok := t.keywords[text]; ok {
		return mail.StoredFlags(f.System, known)
	}
	if len(t.keywords) < maxInterned {
		t.keywords[text] = text
	}
	return f
}

// maxInterned bounds the sets of keywords that are kept once.
const maxInterned = 10_000

// find returns the place of an Email; -1 if it is not there.
func (t *emailTable) find(key mail.MessageKey) int {
	date, ok := t.dates[key]
	if !ok {
		return -1
	}
	at, _ := slices.BinarySearchFunc(t.rows, &emailRow{key: key, received: date}, func(r emailRow, want *emailRow) int { return r.compare(want) })
	return at
}

// A table is made anew when more than this part of it changed: to read one Email by
// itself costs some ten times as much as in a pass.
const (
	tableChangesFew  = 256
	tableChangesPart = 16
)

// follow brings the table to a snapshot, which is not older than what it knows; false
// if it has to be made anew.
func (t *emailTable) follow(r store.Reader) (bool, error) {
	acct, err := r.Account()
	switch {
	case err != nil:
		return false, err
	case acct.Epoch != t.at.Epoch:
		return false, nil
	case acct.Last[mail.TypeEmail] <= t.at.Since:
		t.at.Since = max(t.at.Since, acct.Head)
		return true, nil
	}
	few := tableChangesFew + len(t.rows)/tableChangesPart
	page, err := r.Changes(store.ChangeQuery{Type: mail.TypeEmail, From: t.at, Limit: few})
	if mail.KindOf(err) == mail.TooOld || err == nil && page.More || len(t.names) > 2*len(t.rows)+few {
		return false, nil
	}
	if err == nil {
		err = t.take(r, page.Changes)
	}
	if err == nil {
		t.at = page.Next
	}
	return err == nil, err
}

// take brings changes in.
func (t *emailTable) take(r store.Reader, changes []mail.Change) error {
	gone := map[mail.MessageKey]bool{}
	var there []mail.MessageKey
	for _, ch := range changes {
		key := mail.MessageKey(ch.ID)
		if ch.Op != mail.Destroyed {
			there = append(there, key)
		} else if t.find(key) >= 0 {
			gone[key] = true
		}
	}
	emails, err := readEmails(r, there)
	if err != nil {
		return err
	}
	var came []emailRow
	for i := range emails {
		row := t.rowOf(&emails[i])
		if at := t.find(row.key); at >= 0 {
			t.rows[at] = row // its date stays
		} else {
			came = append(came, row)
		}
	}
	t.remove(gone)
	t.insert(came)
	return nil
}

func (t *emailTable) remove(gone map[mail.MessageKey]bool) {
	if len(gone) == 0 {
		return
	}
	t.rows = slices.DeleteFunc(t.rows, func(r emailRow) bool { return gone[r.key] })
	for key := range gone {
		delete(t.dates, key)
		delete(t.says, key)
	}
}

// insert merges rows in. What comes is mostly new, and moves little.
func (t *emailTable) insert(came []emailRow) {
	t.order(came)
	for _, row := range came {
		t.dates[row.key] = row.received
	}
	at := len(t.rows) // from here on the merged rows are in place, but for what is to come
	t.rows = append(t.rows, came...)
	to := len(t.rows)
	for i := len(came) - 1; i >= 0; i-- {
		row := came[i]
		from, _ := slices.BinarySearchFunc(t.rows[:at], &row, func(r emailRow, want *emailRow) int { return r.compare(want) })
		to -= at - from
		copy(t.rows[to:], t.rows[from:at])
		at, to = from, to-1
		t.rows[to] = row
	}
}
