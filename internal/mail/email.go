package mail

import (
	"cmp"
	"time"
)

// Email is a message as JMAP lists it (RFC 8621 §4): what filters and sorts ask for,
// without what is only shown.
type Email struct {
	Key          MessageKey
	EmailID      EmailID
	Thread       ThreadID
	Size         int64
	InternalDate time.Time // in the zone it was given in, to the minute
	SentAt       time.Time // zero when the header says nothing readable
	Created      ModSeq
	ModSeq       ModSeq
	Places       []Place // without \Deleted, by mailbox and UID
}

// Place is where a message is shown.
type Place struct {
	Mailbox MailboxID
	UID     UID
	Flags   Flags
}

// Arrived returns where e stands in the order of the internal dates of its account.
func (e *Email) Arrived() Arrived { return Arrived{e.InternalDate.UTC(), e.Key} }

// Arrived is where a message stands in the order of the internal dates of an account;
// of equal dates the key decides.
type Arrived struct {
	Date time.Time
	Key  MessageKey
}

// Compare orders the oldest first.
func (a Arrived) Compare(b Arrived) int {
	return cmp.Or(a.Date.Compare(b.Date), cmp.Compare(a.Key, b.Key))
}

// IsZero reports whether a is no place at all.
func (a Arrived) IsZero() bool { return a.Key == 0 && a.Date.IsZero() }
