package store

import (
	"context"

	"lockstep/internal/mail"
)

// A Foresight is what a change of an account is about to look at, as far as who makes it
// knows. It promises nothing and changes nothing: an engine to which each question is a
// trip asks all of it in the first one.
type Foresight struct {
	Mailbox mail.MailboxID
	Path    string        // of a mailbox that is looked for by it
	UIDs    mail.UIDSet   // that are about to change there
	Arrival *mail.Arrival // that is about to be appended there
	Keys    []string      // that something may be remembered under
}

// Foresee is a context for an Update that has a Foresight.
func Foresee(ctx context.Context, f Foresight) context.Context {
	return context.WithValue(ctx, foresightKey{}, &f)
}

// Foreseen returns the Foresight of a context; nil if it has none.
func Foreseen(ctx context.Context) *Foresight {
	f, _ := ctx.Value(foresightKey{}).(*Foresight)
	return f
}

type foresightKey struct{}
