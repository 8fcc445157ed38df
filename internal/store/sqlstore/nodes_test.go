package sqlstore_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/steady"
	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore"
	"lockstep/internal/store/sqlstore/sqltest"
)

var setup = mail.NewOrigin("setup", 0, mail.Local, mail.BySetup)

// nodes opens one database twice.
func nodes(t *testing.T, o sqlstore.Options) (here, there *sqlstore.DB) {
	url := sqltest.PostgresURL(t)
	return sqltest.Open(t, url, o), sqltest.Open(t, url, o)
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// soon waits until what another node did is seen.
func soon(t *testing.T, what string, seen func() bool) {
	t.Helper()
	for deadline := time.Now().Add(steady.Patience); !seen(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
	}
}

// Each node remembers addresses, and none takes mail for one that another took away
// for longer than a second, whatever way it went.
func TestAnAddressThatIsGoneIsGoneAtAllNodes(t *testing.T) {
	told := 0
	here, there := nodes(t, sqlstore.Options{Readdressed: func() { told++ }})
	ctx := t.Context()
	ann := must(here.CreateAccount(ctx, setup, store.NewAccount{Login: "ann@example.test"}))(t)
	bob := must(here.CreateAccount(ctx, setup, store.NewAccount{Login: "bob@else.example"}))(t)
	reaches := func(local, domain string) mail.AccountID {
		a, err := there.Lookup(ctx, local, domain)
		if err != nil && mail.KindOf(err) != mail.NotFound {
			t.Fatal(err)
		}
		return a.Account
	}
	local := func(domain string) bool { return must(there.IsLocal(ctx, domain))(t) }
	for _, step := range []struct {
		what string
		do   func() error
		seen func() bool
	}{
		{"an alias", func() error {
			return here.AddAddress(ctx, store.Address{Local: "info", Domain: "example.test", Account: ann.Account, Alias: true})
		}, func() bool { return reaches("info", "example.test") == ann.Account }},
		{"a catch-all", func() error { return here.AddAddress(ctx, store.Address{Domain: "else.example", Account: ann.Account}) },
			func() bool { return reaches("x", "else.example") == ann.Account && local("else.example") }},
		{"an exact address before the catch-all", func() error {
			return here.AddAddress(ctx, store.Address{Local: "x", Domain: "else.example", Account: bob.Account})
		},
			func() bool { return reaches("x", "else.example") == bob.Account }},
		{"an alias taken away", func() error { return here.RemoveAddress(ctx, "info", "example.test") }, func() bool { return reaches("info", "example.test") == 0 }},
		{"an account kept", func() error { return here.KeepRemoved(ctx, bob.Account) }, func() bool { return reaches("x", "else.example") == ann.Account }},
		{"and brought back", func() error { _, _, err := here.Reinstate(ctx, bob.Account, ""); return err }, func() bool { return reaches("x", "else.example") == bob.Account }},
		{"and removed", func() error { return here.RemoveAccount(ctx, bob.Account) }, func() bool { return reaches("x", "else.example") == ann.Account }},
		{"a domain", func() error { return here.RemoveAddress(ctx, "", "else.example") }, func() bool { return !local("else.example") }},
	} {
		before := told
		if err := step.do(); err != nil {
			t.Fatal(step.what, err)
		}
		soon(t, step.what+" is not seen", step.seen)
		if told == before {
			t.Errorf("%s: nobody was told", step.what)
		}
	}
}

func TestAWordSparesTheWait(t *testing.T) {
	here, there := nodes(t, sqlstore.Options{})
	must(here.CreateAccount(t.Context(), setup, store.NewAccount{Login: "ann@example.test"}))(t)
	must(there.Lookup(t.Context(), "ann", "example.test"))(t)
	if err := here.RemoveAddress(t.Context(), "ann", "example.test"); err != nil {
		t.Fatal(err)
	}
	there.ForgetAddresses()
	if _, err := there.Lookup(t.Context(), "ann", "example.test"); mail.KindOf(err) != mail.NotFound {
		t.Errorf("got %v, want that it is gone", err)
	}
}

// What a device deletes on one node and what it deletes on the other are one flood; so
// are those before and after a restart.
func TestNodesCountOneFlood(t *testing.T) {
	rule := mail.GuardRule{Share: 50, Minimum: 10, Window: time.Hour}
	file := filepath.Join(t.TempDir(), "db")
	for name, open := range map[string]func(t *testing.T) (first, second func() *sqlstore.DB){
		"PostgreSQL": func(t *testing.T) (first, second func() *sqlstore.DB) {
			here, there := nodes(t, sqlstore.Options{Guard: rule})
			return func() *sqlstore.DB { return here }, func() *sqlstore.DB { return there }
		},
		"one after the other": func(t *testing.T) (first, second func() *sqlstore.DB) {
			var db *sqlstore.DB
			again := func() *sqlstore.DB {
				if db != nil {
					if err := db.Close(); err != nil {
						t.Fatal(err)
					}
				}
				db = must(sqlstore.Open(t.Context(), file, sqlstore.Options{Guard: rule}))(t)
				return db
			}
			t.Cleanup(func() { db.Close() })
			return again, again
		},
	} {
		t.Run(name, func(t *testing.T) {
			first, second := open(t)
			db := first()
			p := must(db.CreateAccount(t.Context(), setup, store.NewAccount{Login: "ann@example.test"}))(t)
			var by mail.Origin
			err := db.Note(t.Context(), p.Account, func(n store.Notes) error {
				d, err := n.AddDevice(mail.Device{Name: "phone", Key: "k", Protocol: mail.IMAP})
				by = mail.NewOrigin(p.Login, d.ID, mail.IMAP, mail.ByUser)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			inbox := fill(t, db, p.Account, 20)
			expunge(t, db, p.Account, by, inbox, "1:8")
			if n := len(floods(t, db, p.Account)); n != 0 {
				t.Fatalf("%d floods after eight of twenty", n)
			}
			db = second()
			expunge(t, db, p.Account, by, inbox, "9:12")
			all := floods(t, db, p.Account)
			if len(all) != 1 || all[0].Removed != 12 || all[0].Device != by.Device() {
				t.Fatalf("floods %+v, want one of twelve messages", all)
			}
			untold := must(second().Untold(t.Context()))(t)
			if fmt.Sprint(untold) != fmt.Sprint([]mail.AccountID{p.Account}) {
				t.Errorf("to be told: %v", untold)
			}
		})
	}
}

func fill(t *testing.T, db *sqlstore.DB, id mail.AccountID, n int) (inbox mail.MailboxID) {
	t.Helper()
	_, err := db.Update(t.Context(), id, setup, func(tx store.Tx) error {
		mb, err := tx.MailboxByPath("INBOX")
		inbox = mb.ID
		for i := range n {
			if err == nil {
				_, err = tx.Append(inbox, mail.Arrival{Blob: mail.Blob{Name: mail.BlobName{1, byte(i)}, Size: 100, Place: "pack/1", Key: []byte{1}, Fresh: true, Until: time.Now().Add(time.Hour)},
					EmailID: mail.NewEmailID(), InternalDate: time.Now(), MessageID: fmt.Sprint(i, "@example.test"), Parsed: []byte("p")})
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return inbox
}

func expunge(t *testing.T, db *sqlstore.DB, id mail.AccountID, by mail.Origin, inbox mail.MailboxID, which string) {
	t.Helper()
	_, err := db.Update(t.Context(), id, by, func(tx store.Tx) error {
		uids, err := mail.ParseUIDSet(which)
		if err == nil {
			_, err = tx.Expunge(inbox, uids, false)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func floods(t *testing.T, db *sqlstore.DB, id mail.AccountID) (all []mail.Flood) {
	t.Helper()
	err := db.View(context.Background(), id, func(r store.Reader) (err error) {
		all, err = r.Floods()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
