package sqlstore

import (
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// What was foreseen is not believed once something has changed.
func TestWhatWasForeseenIsForgottenWhenSomethingChanges(t *testing.T) {
	db := freshPostgres(t)
	p, err := db.CreateAccount(t.Context(), by, store.NewAccount{Login: "alice@example.test"})
	if err != nil {
		t.Fatal(err)
	}
	h := home{DB: db, t: t, id: p.Account}
	h.view(func(r store.Reader) error {
		mb, err := r.MailboxByPath("INBOX")
		h.inbox = mb.ID
		return err
	})
	h.fill(2)
	seen, _ := mail.NewFlags(`\Seen`)
	first, both := mail.MakeUIDSet(1), mail.MakeUIDSet(1, 2)
	ctx := store.Foresee(t.Context(), store.Foresight{Mailbox: h.inbox, UIDs: first})
	for range 2 { // a transaction alone, and one more on a connection that remembers
		var added, removed store.StoreResult
		_, err = db.Update(ctx, h.id, by, func(tx store.Tx) (err error) {
			if added, err = tx.StoreFlags(h.inbox, both, mail.FlagChange{Add: seen}, nil); err == nil {
				removed, err = tx.StoreFlags(h.inbox, first, mail.FlagChange{Remove: seen}, nil)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if added.Changed.Count() == 0 || !removed.Changed.Contains(1) {
			t.Errorf("of two changes in a row the first changed %v, and the second %v", added.Changed, removed.Changed)
		}
		h.update(func(tx store.Tx) error {
			_, err := tx.StoreFlags(h.inbox, both, mail.FlagChange{Remove: seen}, nil)
			return err
		})
	}
	for _, again := range []bool{false, true} { // what changed nothing leaves nothing behind
		_, err = db.Update(ctx, h.id, by, func(tx store.Tx) error {
			if !again {
				return nil
			}
			res, err := tx.StoreFlags(h.inbox, first, mail.FlagChange{Add: seen}, nil)
			if !res.Changed.Contains(1) {
				t.Errorf("a change changed %v", res.Changed)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if !again {
			h.update(func(tx store.Tx) error {
				_, err := tx.StoreFlags(h.inbox, both, mail.FlagChange{Remove: seen}, nil)
				return err
			})
		}
	}
}
