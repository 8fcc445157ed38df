package store

import "context"

// AmongRemoved is a context for who has to reach accounts that were removed and are kept,
// too: a View, an Update and a Note that are given it find them, and nobody else does.
func AmongRemoved(ctx context.Context) context.Context {
	return context.WithValue(ctx, amongKey{}, true)
}

// IsAmongRemoved reports whether a context is of AmongRemoved.
func IsAmongRemoved(ctx context.Context) bool {
	among, _ := ctx.Value(amongKey{}).(bool)
	return among
}

type amongKey struct{}
