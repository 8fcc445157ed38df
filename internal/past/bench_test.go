package past

import (
	"fmt"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore"
)

// BenchmarkPast looks back over 10 000 changes of a mailbox of 20 000 messages.
func BenchmarkPast(b *testing.B) {
	const messages, records = 20_000, 10_000
	db := sqlstore.OpenTemp(b)
	p, err := db.CreateAccount(b.Context(), operator, store.NewAccount{Login: "ann@example.test"})
	if err != nil {
		b.Fatal(err)
	}
	var inbox mail.MailboxID
	update := func(fn func(store.Tx) error) mail.ModSeq {
		n, err := db.Update(b.Context(), p.Account, operator, fn)
		if err != nil {
			b.Fatal(err)
		}
		return n
	}
	var at mail.ModSeq
	for n := 0; n < messages; n += 500 {
		at = update(func(tx store.Tx) error {
			mb, err := tx.MailboxByPath("INBOX")
			inbox = mb.ID
			for i := n; i < n+500 && err == nil; i++ {
				blob := mail.Blob{Name: mail.BlobName{byte(i >> 16), byte(i >> 8), byte(i)}, Size: 1000, Place: "p", Key: []byte{1}, Fresh: true, Until: time.Now().Add(time.Hour)}
				_, err = tx.Append(inbox, mail.Arrival{Blob: blob, MessageID: fmt.Sprint(i), Parsed: []byte("parsed"), Preview: "preview"})
			}
			return err
		})
	}
	seen, err := mail.NewFlags(`\Seen`)
	if err != nil {
		b.Fatal(err)
	}
	for n := range records {
		update(func(tx store.Tx) error {
			uids := mail.MakeUIDSet(mail.UID(1 + n*messages/records))
			if n%10 == 0 {
				_, err := tx.Expunge(inbox, uids, false)
				return err
			}
			_, err := tx.StoreFlags(inbox, uids, mail.FlagChange{Add: seen}, nil)
			return err
		})
	}
	b.Run("open/10k", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Open(b.Context(), db, p.Account, at); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("messages/20k", func(b *testing.B) {
		v, err := Open(b.Context(), db, p.Account, at)
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			n := 0
			if err := v.Messages(b.Context(), Query{Mailbox: inbox}, func(*Message) error { n++; return nil }); err != nil || n != messages {
				b.Fatal(n, err)
			}
		}
	})
	b.Run("preview/10k", func(b *testing.B) {
		for b.Loop() {
			r, err := Preview(b.Context(), db, p.Account, Wish{At: at})
			if err != nil || r.Back != records/10 || r.Flagged != records*9/10 {
				b.Fatalf("%+v %v", r, err)
			}
		}
	})
	b.Run("restore/10k", func(b *testing.B) {
		for b.Loop() {
			start := time.Now()
			r, err := Restore(b.Context(), db, p.Account, operator, Wish{At: at}, nil)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms/restore")
			update(func(tx store.Tx) error { _, err := tx.Undo(r.Act); return err })
		}
	})
}
