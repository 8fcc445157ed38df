// Package authtest gives tests a second node.
package authtest

import (
	"context"
	"log/slog"
	"testing"

	"lockstep/internal/auth"
	"lockstep/internal/notify/notifytest"
	"lockstep/internal/store"
)

// Store is what nodes share.
type Store interface {
	store.Store
	store.Directory
	store.Endings
	store.Failures
}

// Beside makes a service that serves sessions one of two nodes, and returns the other.
// It is called before anybody signs in.
func Beside(t testing.TB, st Store, here *auth.Service) (there *auth.Service) {
	t.Helper()
	there = auth.New(st, st, []byte("salts"), slog.New(slog.DiscardHandler))
	var air notifytest.Air
	for _, s := range []*auth.Service{here, there} {
		bus := air.Node()
		t.Cleanup(func() { bus.Close() })
		if err := s.Join(t.Context(), auth.Nodes{Endings: st, Failures: st, Bus: bus}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- here.Follow(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return there
}
