// Package demo makes the mail that `lockstep demo` shows: some four hundred
// messages of two people, with all that mail programs stumble over. The same seed
// and the same moment make the same bytes. Everybody in it is made up and lives
// in domains that cannot exist.
package demo

import (
	"math/rand/v2"
	"slices"
	"time"
)

// The people whose mail it is, and what they sign in with.
const (
	Alice    = "alice@example.test"
	Bob      = "bob@example.test"
	Password = "lockstep-demo"
)

// Message is one message and where it lies.
type Message struct {
	Login   string // whose mail it is in
	Mailbox string
	Flags   []string
	Date    time.Time // when it came in
	Raw     []byte
}

// writer gathers the mail as it is made.
type writer struct {
	rng      *rand.Rand
	now      time.Time
	messages []Message
	ids      int
}

// Mail returns the mail of both accounts, oldest first.
func Mail(seed uint64, now time.Time) []Message {
	w := &writer{rng: rand.New(rand.NewPCG(seed, seed^0x9e3779b97f4a7c15)), now: now.Truncate(time.Second)}
	w.projects()
	w.everyday()
	w.lists()
	w.newsletters()
	w.receipts()
	w.languages()
	w.invitations()
	w.attachments()
	w.broken()
	w.drafts()
	w.junk()
	slices.SortStableFunc(w.messages, func(a, b Message) int { return a.Date.Compare(b.Date) })
	return w.messages
}

// put files m, unread when it is recent, marked as people mark things.
func (w *writer) put(login, mailbox string, l letter, flags ...string) letter {
	if l.date.IsZero() {
		l.date = w.ago(90 * 24 * time.Hour)
	}
	if l.id == "" {
		l.id = w.newID(l.from)
	}
	if len(flags) == 0 {
		flags = w.habits(l.date)
	}
	w.messages = append(w.messages, Message{Login: login, Mailbox: mailbox, Flags: flags, Date: l.date, Raw: l.bytes(w.rng)})
	return l
}

// habits are the flags that a message of that age has gathered.
func (w *writer) habits(date time.Time) []string {
	var flags []string
	age := w.now.Sub(date)
	if age > 36*time.Hour && w.rng.IntN(12) > 0 || w.rng.IntN(4) == 0 {
		flags = append(flags, `\Seen`)
		if w.rng.IntN(6) == 0 {
			flags = append(flags, `\Answered`)
		}
		if w.rng.IntN(15) == 0 {
			flags = append(flags, "$Forwarded")
		}
	}
	if w.rng.IntN(14) == 0 {
		flags = append(flags, `\Flagged`)
	}
	if w.rng.IntN(18) == 0 {
		flags = append(flags, pick(w.rng, []string{"$Important", "todo", "later", "project-lighthouse"}))
	}
	return flags
}

// ago is a moment up to span back, in waking hours.
func (w *writer) ago(span time.Duration) time.Time {
	t := w.now.Add(-time.Duration(w.rng.Int64N(int64(span))))
	if h := t.Hour(); h < 7 {
		t = t.Add(-time.Duration(h+3) * time.Hour) // the evening before
	}
	return t
}

func pick[T any](rng *rand.Rand, from []T) T { return from[rng.IntN(len(from))] }
