package sqlstore_test

import (
	"context"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore"
	"lockstep/internal/store/sqlstore/pgtest"
)

// TestAPromotedStandbyIsTakenForAnOlderCopy: a standby that lacks commits is promoted;
// every account is past all that devices can have heard of before anybody is served.
func TestAPromotedStandbyIsTakenForAnOlderCopy(t *testing.T) {
	for _, lossless := range []bool{false, true} {
		primary, standby := pgtest.Pair(t)
		o := sqlstore.Options{Lossless: lossless}
		db, err := sqlstore.OpenPostgres(t.Context(), primary.URL, o)
		if err != nil {
			t.Fatal(err)
		}
		by := mail.NewOrigin("admin", 0, mail.Local, mail.BySetup)
		p, err := db.CreateAccount(t.Context(), by, store.NewAccount{Login: "alice@example.test"})
		if err != nil {
			t.Fatal(err)
		}
		standby.CatchUp(t, primary)
		standby.Pause(t) // what follows is lost
		n, err := db.Update(t.Context(), p.Account, by, func(tx store.Tx) error {
			_, err := tx.CreateMailbox(mail.MailboxImage{Name: "Lost"})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		primary.Stop()
		standby.Promote(t)
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		db = reopened(t, standby.URL, o)
		err = db.View(t.Context(), p.Account, func(r store.Reader) error {
			a, err := r.Account()
			if why, _ := db.Returned(); lossless == (why != "") || lossless == (a.Epoch > 1) || !lossless && a.Head <= n {
				t.Errorf("lossless %v: %q, epoch %d, head %d after %d", lossless, why, a.Epoch, a.Head, n)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

func reopened(t *testing.T, url string, o sqlstore.Options) *sqlstore.DB {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		db, err := sqlstore.OpenPostgres(ctx, url, o)
		if err == nil {
			return db
		}
		if mail.KindOf(err) != mail.Unavailable || ctx.Err() != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
