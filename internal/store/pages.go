package store

import (
	"time"

	"lockstep/internal/mail"
)

// A Moment is a commit whose pages were copied: all that was acknowledged before Time
// is in it, and nothing that came after.
type Moment struct {
	Time     time.Time
	Commit   int64 // transactions of the engine since it was opened
	Pages    uint32
	PageSize int
	Digests  []Digest // by account; nil unless they were asked for
}

// A Digest is what an account holds, in few words: two databases that agree in it have
// the same mail under the same numbers.
type Digest struct {
	Account    mail.AccountID
	Epoch      mail.Epoch
	Head       mail.ModSeq
	Mailboxes  int64
	Placements int64
	Size       int64    // bytes of the placements' messages
	Sum        [32]byte // SHA-256 over the rows of mailboxes and placements
}
