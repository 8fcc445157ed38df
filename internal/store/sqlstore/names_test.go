package sqlstore

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// A reply finds its thread whether the name it goes by is in memory, beside the
// messages or in the index; after a restart; and when what it answers has been
// forgotten. What was never committed has no name.
func TestRepliesFindTheirThreadsWhereverTheNamesAre(t *testing.T) {
	h := newHome(t, Options{})
	const messages, back = 3*tailMessages + 50, tailMessages + 40
	threads := map[int]mail.ThreadID{}
	give := func(i int, refused error) mail.ThreadID {
		var p mail.Placement
		_, err := h.Update(t.Context(), h.id, by, func(tx store.Tx) (err error) {
			a := arrival(i)
			if i >= back {
				a.References = []string{arrival(i - back).MessageID}
			}
			if p, err = tx.Append(h.inbox, a); err != nil {
				return err
			}
			return refused
		})
		if !errors.Is(err, refused) {
			t.Fatal(err)
		}
		if refused != nil {
			return 0
		}
		var m mail.Message
		h.view(func(r store.Reader) (err error) { m, err = r.Message(p.Message); return err })
		return m.Thread
	}
	begins := map[mail.ThreadID]bool{}
	refused := errors.New("refused")
	for i := range messages {
		switch i {
		case tailMessages / 2, 2*tailMessages + 7:
			if err := h.Close(); err != nil {
				t.Fatal(err)
			}
			db, err := Open(t.Context(), h.path, Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { db.Close() })
			h.DB = db
		case tailMessages + 20:
			h.update(func(tx store.Tx) error {
				_, err := tx.Expunge(h.inbox, mail.MakeUIDSet(1, 2, 3, 200), false)
				return err
			})
			if err := h.Prune(t.Context(), h.id, time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		if i%50 == 7 {
			give(i, refused)
			if i+back < messages { // nobody can answer what was taken back
				a := arrival(5000 + i)
				a.References = []string{arrival(i).MessageID}
				h.update(func(tx store.Tx) error { _, err := tx.Append(h.inbox, a); return err })
			}
			continue
		}
		threads[i] = give(i, nil)
		answered, known := threads[i-back]
		switch {
		case known && threads[i] != answered:
			t.Fatalf("message %d is in thread %d, what it answers in %d", i, threads[i], answered)
		case !known && (i-back)%50 != 7 && begins[threads[i]]:
			t.Fatalf("message %d is in a thread of others", i)
		}
		begins[threads[i]] = true
	}
	n := 0
	h.view(func(r store.Reader) error {
		_, err := one(r.(*reader).c, fmt.Sprint("SELECT count(*) FROM thread_name WHERE account_id = ", h.id), func(r row) { n = int(r.num(0)) })
		return err
	})
	if n == 0 || n > 3*messages {
		t.Errorf("%d names in the index", n)
	}
}
