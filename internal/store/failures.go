package store

import (
	"context"
	"time"
)

// A Failure is how often somebody failed to sign in, of late.
type Failure struct {
	Key   string // of what is counted for, as package auth makes it: nobody's login can be read from it
	N     int64
	Last  time.Time
	Until time.Time // nobody may try before; zero is that they may
}

// MaxFailures bounds the failures that are kept: with more, those of longest ago go.
const MaxFailures = 1_000_000

// Failures count failed sign-ins for all nodes.
type Failures interface {
	// CountFailure calls count with what stands under each key, in the order of the keys,
	// and keeps what it returns; nil leaves all as it is. Of several at once each sees what
	// the one before kept. count may run more than once.
	CountFailure(ctx context.Context, keys []string, count func([]Failure) []Failure) error
	// FailuresOf returns what stands under the keys, in their order.
	FailuresOf(ctx context.Context, keys []string) ([]Failure, error)
	// LockedOut returns up to limit failures that came after since and lock out until
	// after now, oldest first.
	LockedOut(ctx context.Context, since, now time.Time, limit int) ([]Failure, error)
	// ForgetFailures forgets what stands under a key.
	ForgetFailures(ctx context.Context, key string) error
	// PruneFailures forgets those before, and of the rest the oldest above most.
	PruneFailures(ctx context.Context, before time.Time, most int) error
}
