package hourly

import (
	"sync"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore"
	"lockstep/internal/store/sqlstore/sqltest"
)

// What an account does in an hour is one count, at however many nodes and at the same time.
func TestAnHourIsCountedOverNodes(t *testing.T) {
	db := sqltest.Temp(t, sqlstore.Options{})
	account := func(login string) mail.AccountID {
		who, err := db.CreateAccount(t.Context(), mail.NewOrigin("test", 0, mail.Local, mail.BySetup), store.NewAccount{Login: login})
		if err != nil {
			t.Fatal(err)
		}
		return who.Account
	}
	alice, bob := account("alice@example.test"), account("bob@example.test")
	b, now := Bound{"test/sent", 1000}, time.Unix(1_800_000_000, 0)
	may := func(id mail.AccountID, n int) bool {
		t.Helper()
		may, err := May(t.Context(), db, id, b, n, now)
		if err != nil {
			t.Fatal(err)
		}
		return may
	}
	var at sync.WaitGroup
	for range 2 {
		at.Go(func() {
			for range 100 {
				if may, err := May(t.Context(), db, alice, b, 4, now); !may || err != nil {
					t.Errorf("%v, %v", may, err)
				}
			}
		})
	}
	at.Wait()
	if may(alice, b.Most-799) || !may(alice, b.Most-800) || may(alice, 1) {
		t.Error("they do not count together")
	}
	if !may(bob, b.Most) || may(bob, 1) {
		t.Error("accounts are not counted for themselves")
	}
	other := Bound{"test/other", 1}
	if may, err := May(t.Context(), db, alice, other, 1, now); !may || err != nil {
		t.Errorf("something else: %v, %v", may, err)
	}
	now = now.Add(time.Hour)
	if !may(alice, 1) {
		t.Error("an hour later it is not let go on")
	}
}
