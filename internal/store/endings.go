package store

import (
	"context"
	"time"

	"lockstep/internal/mail"
)

// An Ending says that sessions of an account may have to end: whoever has one looks at
// the store again.
type Ending struct {
	// ID is one more than that of the ending before: a number that is left out is one
	// that was forgotten.
	ID      int64
	Account mail.AccountID
	// Device is whose sessions end, whatever the store says of them: it may come back as
	// it came. 0: those end that the store would not let in any more.
	Device mail.DeviceID
	At     time.Time
}

// EndingsLast is for how long an Ending is found at least, unless there are very many.
const EndingsLast = 24 * time.Hour

// MaxEndings bounds how many are kept.
const MaxEndings = 100_000

// Endings tell the nodes that share a store who may not go on: a list that each reads
// from where it was.
//
// An ending with no device stands there, from the very commit, after SetDisabled to
// lock out, KeepRemoved, RemoveAccount, SetPassword, AddCredential of a second factor,
// RemoveCredential of a password or an app password, RemoveSignIn, AddSignIn that takes
// another's place, and SetDevice that keeps a device out.
type Endings interface {
	// EndSessions ends the sessions of a device, which may sign in again. It returns the
	// number of the ending.
	EndSessions(ctx context.Context, account mail.AccountID, device mail.DeviceID) (int64, error)
	// LastEnding is the number of the newest; 0 if there was none.
	LastEnding(ctx context.Context) (int64, error)
	// EndingsAfter returns up to limit endings with greater numbers, in their order. Which
	// comes after a number that it knows is complete: none appears between them later.
	EndingsAfter(ctx context.Context, id int64, limit int) ([]Ending, error)
}
