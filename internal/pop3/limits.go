package pop3

import (
	"sync/atomic"
	"time"

	"lockstep/internal/lot"
)

// Limits bound what clients can make a server do. A zero field means its default,
// which is safe on the open internet.
type Limits struct {
	Connections int           // at once; 20 000
	PerAddress  int           // connections from one address, an IPv6 /64 counting as one; 200
	BeforeLogin int           // commands before sign-in; 20
	BadLogins   int           // failed sign-ins, then the end; 5
	BadCommands int           // errors in a row, then the end; 50
	LoginTime   time.Duration // from connecting to being signed in; 1 min
	Idle        time.Duration // without a word; 10 min (RFC 1939 §3: not less)
	Stall       time.Duration // that a write may take; 2 min
	Messages    int           // of one maildrop, the newest; 250 000
	AllMessages int64         // of all maildrops open at once; 10 million, some 400 MB
}

// Bounds on lines, CRLF included. RFC 2449 §4 asks for 255 in a command; a login
// may be longer. RFC 4954 §4 has SASL responses of 12288.
const (
	maxCommandBytes = 1024
	maxLineBytes    = 16 << 10
)

// deleteChunk is how many messages one transaction removes at QUIT.
const deleteChunk = 5000

func (l Limits) orDefault() Limits {
	orDefault(&l.Connections, 20_000)
	orDefault(&l.PerAddress, 200)
	orDefault(&l.BeforeLogin, 20)
	orDefault(&l.BadLogins, 5)
	orDefault(&l.BadCommands, 50)
	orDefault(&l.LoginTime, time.Minute)
	orDefault(&l.Idle, 10*time.Minute)
	orDefault(&l.Stall, 2*time.Minute)
	orDefault(&l.Messages, 250_000)
	orDefault(&l.AllMessages, 10_000_000)
	return l
}

func orDefault[T int | int64 | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

// turnstile counts connections, and the messages in the maildrops they have open.
type turnstile struct {
	lot.Door
	messages atomic.Int64
}

// hold makes room for the messages of a maildrop, or says that there is none.
func (t *turnstile) hold(n int, l *Limits) bool {
	if t.messages.Add(int64(n)) <= l.AllMessages {
		return true
	}
	t.messages.Add(-int64(n))
	return false
}
