package jmap

import (
	"context"

	"lockstep/internal/mail"
)

// emailChanges serves Email/changes (RFC 8621 §4.3).
func emailChanges(ctx context.Context, c *call, a *changesArguments) error {
	out, err := c.changed(ctx, a, mail.TypeEmail, func(ch mail.Change) string { return ch.EmailID.String() })
	if err != nil {
		return err
	}
	return c.answer(out)
}
