package delivery_test

import (
	"context"
	"testing"

	"lockstep/internal/delivery/deliverytest"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// lameDirectory can't look one address up now.
type lameDirectory struct {
	store.Directory
	local string
}

func (d lameDirectory) Lookup(ctx context.Context, local, domain string) (store.Address, error) {
	if local == d.local {
		return store.Address{}, mail.Errorf(mail.Unavailable, "disk")
	}
	return d.Directory.Lookup(ctx, local, domain)
}

func TestAddressWithDetailIsNotRefusedForGoodWhenTheDirectoryFails(t *testing.T) {
	h := deliverytest.New(t)
	h.Account("alice@example.test", 0, nil)
	h.Delivery.Directory = lameDirectory{h.Delivery.Directory, "alice"}
	if _, err := h.Delivery.LocalRecipient(t.Context(), "alice+lists@example.test", 0); mail.KindOf(err) != mail.Unavailable {
		t.Errorf("got %v, want Unavailable", err)
	}
}
