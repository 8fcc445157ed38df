package delivery_test

import (
	"context"
	"testing"

	"lockstep/internal/delivery/deliverytest"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

func TestWhoCatchesADomainMaySendAsNobodyElseInIt(t *testing.T) {
	h := deliverytest.New(t)
	alice := h.Account("alice@example.test", 0, nil)
	bob := h.Account("bob@example.test", 0, nil)
	h.Address("@example.test", bob.Account)
	for _, c := range []struct {
		who     mail.AccountID
		address string
		may     bool
	}{
		{bob.Account, "bob@example.test", true},
		{bob.Account, "bob+lists@Example.Test", true},
		{bob.Account, "anything@example.test", true},
		{bob.Account, "alice@example.test", false},
		{bob.Account, "alice+lists@example.test", false},
		{alice.Account, "Alice@example.test", true},
		{alice.Account, "anything@example.test", false},
		{alice.Account, "alice@example.org", false},
		{alice.Account, "alice", false},
	} {
		if may, err := h.Delivery.MaySendAs(t.Context(), c.who, c.address); err != nil || may != c.may {
			t.Errorf("account %d as %s: %v, %v, want %v", c.who, c.address, may, err, c.may)
		}
	}
}

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
