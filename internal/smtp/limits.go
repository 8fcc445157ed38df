package smtp

import "time"

// Limits bound what clients can make a server do. A zero field takes the value
// DefaultLimits gives the role.
type Limits struct {
	MessageBytes          int64         // of one message (RFC 1870)
	Recipients            int           // of one transaction
	Errors                int           // in one session before we hang up
	Connections           int           // at the same time
	ConnectionsPerAddress int           // of those, from one address (of IPv6: one /64)
	Idle                  time.Duration // waiting for a command, its whole line, or for more of a body
	Commands              int           // without a message before we hang up; recipients do not count
	WithoutMessage        time.Duration // from the greeting or the last message to the next one's body
	BodyRate              int64         // bytes a second that a body has to come with, once Idle has passed
	Handshake             time.Duration // of TLS
}

// maxLineBytes bounds a command line, CRLF included. RFC 4954 §4 asks for 12288
// where a client authenticates; the lines of bodies have no bound.
const maxLineBytes = 16 << 10

// DefaultLimits are good on the open internet.
func DefaultLimits(r Role) Limits {
	l := Limits{
		MessageBytes: 50 << 20, Recipients: 100, Errors: 20,
		Connections: 1000, ConnectionsPerAddress: 50,
		Idle: 5 * time.Minute, Commands: 100, WithoutMessage: 15 * time.Minute, BodyRate: 4 << 10, Handshake: 30 * time.Second,
	}
	switch r {
	case LMTP: // one peer, with many connections that last
		l.Recipients, l.ConnectionsPerAddress, l.Errors = 1000, l.Connections, 10_000
		l.Commands, l.WithoutMessage = 10_000, time.Hour
	case Submission:
		l.Recipients = 1000
	}
	return l
}

func orDefault[T int | int64 | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

// withDefaults fills what is zero.
func (l Limits) withDefaults(r Role) Limits {
	d := DefaultLimits(r)
	orDefault(&l.MessageBytes, d.MessageBytes)
	orDefault(&l.Recipients, d.Recipients)
	orDefault(&l.Errors, d.Errors)
	orDefault(&l.Connections, d.Connections)
	orDefault(&l.ConnectionsPerAddress, d.ConnectionsPerAddress)
	orDefault(&l.Idle, d.Idle)
	orDefault(&l.Commands, d.Commands)
	orDefault(&l.WithoutMessage, d.WithoutMessage)
	orDefault(&l.BodyRate, d.BodyRate)
	orDefault(&l.Handshake, d.Handshake)
	return l
}
