package delivery

import (
	"context"
	"io"
	"log/slog"
	"time"

	"lockstep/internal/blob"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Blobs keeps the bytes; blob.Store does.
type Blobs interface {
	Put(ctx context.Context, r io.Reader, o blob.PutOptions) (mail.Blob, []mail.Blob, error)
	Open(ctx context.Context, b mail.Blob) (*blob.Reader, error)
}

// Service delivers. Its fields are set once, before it is used.
type Service struct {
	Store     store.Store
	Directory store.Directory
	Queue     store.Queue
	Blobs     Blobs
	Log       *slog.Logger

	Hostname   string // as others know us: in Received fields and reports
	SpoolDir   string // for large messages while they arrive; "" is the system's
	Postmaster string // a local address that gets postmaster's mail where no such address is; "" is the oldest account's

	// CanSend says whether there is a way out: without one, recipients elsewhere
	// are refused.
	CanSend bool
	// MaxSent is to how many recipients an account may send in an hour, by whatever
	// protocol and at whichever node; 0 is no bound. See CountSent.
	MaxSent int
	// Several says that other nodes deliver into the same store.
	Several bool
	// Wake is called when something was queued: Sender.Wake. With nil, nobody empties
	// the queue, and nothing is put into it.
	Wake func()
	// WroteTo says whether the account has written to an address: such people are
	// known, when it comes to automatic answers. With nil nobody is.
	WroteTo func(ctx context.Context, account mail.AccountID, address string) (bool, error)

	// Outcome hears what became of each recipient of what was queued under a name, after
	// each attempt: before it leaves the queue, and so once more after a crash. With nil
	// nobody does.
	Outcome func(context.Context, Outcome)

	counts    counters
	names     nameLocks
	deputy    deputy
	rooms     rooms
	standings standings
}

// onceFor is how long a delivery is remembered by what it was (promise 7).
const onceFor = time.Hour
