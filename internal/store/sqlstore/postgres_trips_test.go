package sqlstore

import (
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// trips are how often the writers went to the server.
func (db *DB) trips() (n int64) {
	for _, c := range db.pg.writers {
		n += c.trips.Load()
	}
	return n
}

// TestWhatAChangeCostsOnPostgres counts trips to the server, which is what a change
// costs there, and that neither the mailbox's size nor other accounts add to it.
func TestWhatAChangeCostsOnPostgres(t *testing.T) {
	db := freshPostgres(t)
	p, err := db.CreateAccount(t.Context(), by.WithCause(mail.BySetup), store.NewAccount{Login: "alice@example.test"})
	if err != nil {
		t.Fatal(err)
	}
	h := home{DB: db, t: t, id: p.Account}
	h.view(func(r store.Reader) error {
		mb, err := r.MailboxByPath("INBOX")
		h.inbox = mb.ID
		return err
	})
	n, last := 0, mail.UID(0)
	seen, _ := mail.NewFlags(`\Seen`)
	changes := []struct {
		name string
		most int64 // trips
		do   func(store.Tx) error
	}{
		{"a delivery", 4, func(tx store.Tx) error {
			p, err := tx.Append(h.inbox, arrival(n))
			last = p.UID
			return err
		}},
		{"a flag", 5, func(tx store.Tx) error {
			_, err := tx.StoreFlags(h.inbox, mail.MakeUIDSet(last), mail.FlagChange{Add: seen}, nil)
			return err
		}},
		{"an expunge", 5, func(tx store.Tx) error {
			_, err := tx.Expunge(h.inbox, mail.MakeUIDSet(last), false)
			return err
		}},
	}
	measure := func(size int) {
		for _, c := range changes {
			before, ran := db.trips(), db.statements()
			h.update(c.do)
			got := db.trips() - before
			t.Logf("at %d messages, %s: %d trips, %d statements", size, c.name, got, db.statements()-ran)
			if got > c.most {
				t.Errorf("%s took %d trips, want %d", c.name, got, c.most)
			}
		}
	}
	for n = 10_000; n < 10_040; n++ { // each writer gets to know its statements
		for _, c := range changes {
			h.update(c.do)
		}
	}
	measure(1)
	h.fill(5000)
	n = 5001
	measure(5000)
}
