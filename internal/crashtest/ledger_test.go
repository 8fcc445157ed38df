package crashtest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"lockstep/internal/mail"
)

// A ledger is what drivers have said so far: what they acknowledged, and what
// they may have done beyond.
type ledger struct {
	clock     int64
	accounts  map[mail.AccountID]*said
	delivered []delivered
	appended  []appended
	notes     map[noteKey]int64
	queue     map[string]settling
	hurts     []string
	failures  []string
	ended     bool
}

// said is what was said of an account.
type said struct {
	login string
	head  mail.ModSeq            // the newest that was acknowledged
	did   map[mail.ModSeq]string // what the account was at each
	will  map[string]bool        // what it may have become
}

type delivered struct {
	accounts int // the first so many
	name     string
	at       int64 // no earlier
}

type appended struct {
	account mail.AccountID
	name    string
	mailbox mail.MailboxID
	uid     mail.UID
	until   int64
}

type noteKey struct {
	account mail.AccountID
	cursor  string
}

// settling is how far something in the queue has come.
type settling int

const (
	queued settling = iota
	mayBeSettled
	settled
)

func newLedger() *ledger {
	return &ledger{clock: firstClock, accounts: map[mail.AccountID]*said{}, notes: map[noteKey]int64{}, queue: map[string]settling{}}
}

// clone is a copy that does not hear what is said later.
func (l *ledger) clone() *ledger {
	c := *l
	c.delivered, c.appended, c.failures = slices.Clone(l.delivered), slices.Clone(l.appended), slices.Clone(l.failures)
	c.hurts = slices.Clone(l.hurts)
	c.notes, c.queue = maps.Clone(l.notes), maps.Clone(l.queue)
	c.accounts = map[mail.AccountID]*said{}
	for id, s := range l.accounts {
		copied := *s
		copied.did, copied.will = maps.Clone(s.did), maps.Clone(s.will)
		c.accounts[id] = &copied
	}
	return &c
}

func (l *ledger) account(id mail.AccountID) *said {
	s := l.accounts[id]
	if s == nil {
		s = &said{did: map[mail.ModSeq]string{}, will: map[string]bool{}}
		l.accounts[id] = s
	}
	return s
}

// hear takes down a line; what is not meant for it is passed over.
func (l *ledger) hear(line string) {
	text, ok := strings.CutPrefix(line, sign)
	if !ok {
		return
	}
	verb, rest, _ := strings.Cut(text, " ")
	var err error
	switch verb {
	case "at":
		err = scan(rest, &l.clock)
	case "start":
		err = l.start(rest)
	case "will":
		var id mail.AccountID
		var sum string
		if err = scan(rest+" -", &id, &sum); err == nil {
			l.account(id).will[sum] = true
		}
	case "did":
		var id mail.AccountID
		var n mail.ModSeq
		var sum string
		if err = scan(rest, &id, &n, &sum); err == nil {
			l.account(id).acknowledge(n, sum)
		}
	case "delivered":
		d := delivered{at: l.clock}
		err = scan(rest, &d.accounts, &d.name)
		l.delivered = append(l.delivered, d)
	case "appended":
		var a appended
		err = scan(rest, &a.account, &a.name, &a.mailbox, &a.uid, &a.until)
		l.appended = append(l.appended, a)
	case "noted":
		var k noteKey
		var n int64
		err = scan(rest, &k.account, &k.cursor, &n)
		l.notes[k] = max(n, l.notes[k])
	case "queued":
		l.queue[rest] = max(queued, l.queue[rest])
	case "settling":
		l.queue[rest] = max(mayBeSettled, l.queue[rest])
	case "settled":
		l.queue[rest] = settled
	case "hurt":
		l.hurts = append(l.hurts, rest)
	case "fail":
		l.failures = append(l.failures, rest)
	case "end":
		l.ended = true
	default:
		err = fmt.Errorf("unknown")
	}
	if err != nil {
		l.failures = append(l.failures, fmt.Sprintf("%v: %q", err, line))
	}
}

func scan(text string, to ...any) error {
	_, err := fmt.Sscan(text, to...)
	return err
}

// start is what a driver found when it opened.
func (l *ledger) start(rest string) error {
	var id mail.AccountID
	var login, sum string
	var n mail.ModSeq
	if err := scan(rest, &id, &login, &n, &sum); err != nil {
		return err
	}
	s := l.account(id)
	s.login = login
	s.will[sum] = true
	s.acknowledge(n, sum)
	return nil
}

func (s *said) acknowledge(n mail.ModSeq, sum string) {
	s.head = max(s.head, n)
	s.did[n] = sum
}
