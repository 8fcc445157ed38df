package admin

import (
	"testing"
	"time"

	"lockstep/internal/auth"
	"lockstep/internal/mail"
)

func TestARemovedAccountCanComeBack(t *testing.T) {
	both(t, func(t *testing.T, o *Ops, c *Client) {
		ctx := t.Context()
		o.KeepRemoved = time.Hour
		addAlice(t, c)
		login := func() error {
			_, err := o.Auth.Login(ctx, auth.Attempt{Login: alice, Secret: "a good password", Protocol: mail.IMAP})
			return err
		}
		if err := login(); err != nil {
			t.Fatal(err)
		}
		k, err := AccountRemove.One(ctx, c, Removal{Login: alice})
		if err != nil || k.Until.Before(time.Now().Add(59*time.Minute)) || len(k.Addresses) != 1 {
			t.Fatalf("%+v, %v", k, err)
		}
		wantKind(t, login(), mail.BadCredentials, "wrong")
		if rows, err := AccountList.All(ctx, c, Nothing{}); err != nil || len(rows) != 0 {
			t.Errorf("%+v, %v", rows, err)
		}
		if rows, err := AccountsKept.All(ctx, c, Nothing{}); err != nil || len(rows) != 1 || rows[0].Login != alice {
			t.Errorf("%+v, %v", rows, err)
		}
		_, err = AccountUndelete.One(ctx, c, Undeletion{Login: "nobody@example.test"})
		wantKind(t, err, mail.NotFound, "account undelete")
		back, err := AccountUndelete.One(ctx, c, Undeletion{Login: alice})
		if err != nil || back.Login != alice || len(back.Taken) != 0 {
			t.Errorf("%+v, %v", back, err)
		}
		if err := login(); err != nil {
			t.Error(err)
		}
	})
}

func TestALoginThatWasGivenAwayStaysSo(t *testing.T) {
	both(t, func(t *testing.T, o *Ops, c *Client) {
		ctx := t.Context()
		o.KeepRemoved = time.Hour
		addAlice(t, c)
		if err := AccountRemove.Do(ctx, c, Removal{Login: alice}); err != nil {
			t.Fatal(err)
		}
		addAlice(t, c)
		_, err := AccountUndelete.One(ctx, c, Undeletion{Login: alice})
		wantKind(t, err, mail.Exists, "--as")
		back, err := AccountUndelete.One(ctx, c, Undeletion{Login: alice, As: "old@example.test"})
		if err != nil || back.Login != "old@example.test" || len(back.Taken) != 1 || back.Taken[0] != alice {
			t.Errorf("%+v, %v", back, err)
		}
	})
}

func TestRemovedAccountsAreForgottenInTime(t *testing.T) {
	both(t, func(t *testing.T, o *Ops, c *Client) {
		ctx := t.Context()
		o.KeepRemoved = time.Hour
		for _, now := range []bool{false, true} {
			addAlice(t, c)
			if err := AccountRemove.Do(ctx, c, Removal{Login: alice}); err != nil {
				t.Fatal(err)
			}
			if n, err := o.ForgetRemoved(ctx, time.Now().Add(59*time.Minute)); n != 0 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
			if now {
				k, err := AccountRemove.One(ctx, c, Removal{Login: alice, Now: true})
				if err != nil || !k.Until.IsZero() {
					t.Errorf("%+v, %v", k, err)
				}
			} else if n, err := o.ForgetRemoved(ctx, time.Now().Add(61*time.Minute)); n != 1 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
			_, err := AccountUndelete.One(ctx, c, Undeletion{Login: alice})
			wantKind(t, err, mail.NotFound, "kept")
		}
	})
}
