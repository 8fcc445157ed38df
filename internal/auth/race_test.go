package auth

import (
	"context"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// lookupHook calls then after each look-up of a principal.
type lookupHook struct {
	store.Directory
	then func()
}

func (d lookupHook) PrincipalByLogin(ctx context.Context, login string) (store.Principal, error) {
	p, err := d.Directory.PrincipalByLogin(ctx, login)
	d.then()
	return p, err
}

func TestDisablingReachesWhoIsJustSigningIn(t *testing.T) {
	b := newBench(t)
	dir := b.dir
	b.dir = lookupHook{dir, func() {
		if err := b.SetDisabled(t.Context(), b.alice.Account, true); err != nil {
			t.Error(err)
		}
	}}
	s, err := b.Login(t.Context(), attempt(password))
	if mail.KindOf(err) == mail.Denied {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-b.watch(s):
	case <-time.After(10 * time.Second):
		t.Error("the account is disabled, and the session goes on")
	}
}
