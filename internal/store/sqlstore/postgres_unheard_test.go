package sqlstore_test

import (
	"context"
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/notify"
	"lockstep/internal/steady"
	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore"
	"lockstep/internal/store/sqlstore/pgfault"
	"lockstep/internal/store/sqlstore/sqltest"
)

// broken is a node whose way to the database can be broken, with an account.
func broken(t *testing.T) (*sqlstore.DB, *pgfault.Wires, mail.AccountID) {
	wires := &pgfault.Wires{}
	db := sqltest.Open(t, sqltest.PostgresURL(t), sqlstore.Options{Hub: &notify.Hub{}, Dial: wires.Dial})
	p, err := db.CreateAccount(t.Context(), someone, store.NewAccount{Login: "alice@example.test"})
	if err != nil {
		t.Fatal(err)
	}
	return db, wires, p.Account
}

var someone = mail.NewOrigin("alice", 0, mail.Local, mail.BySetup)

func making(name string) func(store.Tx) error {
	return func(tx store.Tx) error {
		_, err := tx.CreateMailbox(mail.MailboxImage{Name: name})
		return err
	}
}

// Who waits hears of a change that was committed, also when the one who asked for it
// did not hear the answer; of one that was taken back nobody hears.
func TestWhoWaitsHearsOfACommitThatNobodyHeardOf(t *testing.T) {
	db, wires, account := broken(t)
	ctx, cancel := context.WithTimeout(t.Context(), steady.Patience)
	defer cancel()
	news := notify.Chan(ctx, db, account)
	for i, how := range []pgfault.End{pgfault.Before, pgfault.Afterward, pgfault.Never} {
		wires.EndNext(how)
		n, err := db.Update(ctx, account, someone, making(string(rune('A'+i))))
		if (how == pgfault.Never) != (err == nil) || err != nil && mail.KindOf(err) != mail.Unavailable {
			t.Fatalf("%d: %d, %v", how, n, err)
		}
		if how == pgfault.Before {
			continue
		}
		heard, ok := <-news
		if want := mail.ModSeq(i + 1); !ok || heard.ModSeq != want || heard.Look != (how == pgfault.Afterward) {
			t.Fatalf("heard %+v, want of %d", heard, want)
		}
	}
}

// A connection that broke while nobody used it costs nobody a transaction.
func TestAWriterNeedsNoConnectionOfBefore(t *testing.T) {
	db, wires, account := broken(t)
	for i := range 40 {
		if i%2 == 1 {
			wires.HangUp()
		}
		if _, err := db.Update(t.Context(), account, someone, making(string(rune('A'+i)))); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
	}
}
