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
	flagged, _ := mail.NewFlags(`\Flagged`)
	oneMessage := func() store.Foresight { return store.Foresight{Mailbox: h.inbox, UIDs: mail.MakeUIDSet(last)} }
	changes := []struct {
		name string
		most int64 // trips
		sees func() store.Foresight
		do   func(store.Tx) error
	}{
		{"a delivery that was foreseen", 3, func() store.Foresight {
			n++
			a := arrival(n)
			return store.Foresight{Mailbox: h.inbox, Arrival: &a}
		}, func(tx store.Tx) error {
			p, err := tx.Append(h.inbox, arrival(n))
			last = p.UID
			return err
		}},
		{"a flag that was foreseen", 2, oneMessage, func(tx store.Tx) error {
			_, err := tx.StoreFlags(h.inbox, mail.MakeUIDSet(last), mail.FlagChange{Add: flagged}, nil)
			return err
		}},
		{"a flag that its conversation counts, and was foreseen", 3, oneMessage, func(tx store.Tx) error {
			_, err := tx.StoreFlags(h.inbox, mail.MakeUIDSet(last), mail.FlagChange{Add: seen}, nil)
			return err
		}},
		{"a delivery", 4, func() store.Foresight { n++; return store.Foresight{} }, func(tx store.Tx) error {
			p, err := tx.Append(h.inbox, arrival(n))
			last = p.UID
			return err
		}},
		{"a flag that its conversation counts", 5, nil, func(tx store.Tx) error {
			_, err := tx.StoreFlags(h.inbox, mail.MakeUIDSet(last), mail.FlagChange{Add: seen}, nil)
			return err
		}},
		{"an expunge", 5, nil, func(tx store.Tx) error {
			_, err := tx.Expunge(h.inbox, mail.MakeUIDSet(last), false)
			return err
		}},
	}
	// A writer that did not make a change yet prepares its statements: of some rounds the
	// least is what it costs.
	change := func(i int) {
		c, ctx := changes[i], t.Context()
		if c.sees != nil {
			ctx = store.Foresee(ctx, c.sees())
		}
		if _, err := h.Update(ctx, h.id, by, c.do); err != nil {
			t.Fatal(err)
		}
	}
	measure := func(size int) {
		least := make([]int64, len(changes))
		for round := range 5 {
			for i := range changes {
				before := db.trips()
				change(i)
				if got := db.trips() - before; round == 0 || got < least[i] {
					least[i] = got
				}
			}
		}
		for i, c := range changes {
			t.Logf("at %d messages, %s: %d trips", size, c.name, least[i])
			if least[i] > c.most {
				t.Errorf("%s took %d trips, want %d", c.name, least[i], c.most)
			}
		}
	}
	n = 10_000
	for range 40 { // the writers get to know their statements
		for i := range changes {
			change(i)
		}
	}
	measure(1)
	h.fill(5000)
	n = 20_000
	measure(5000)
}

// TestWhatDeliveriesShareOnPostgres counts what mail for many accounts costs that comes
// at the same time: no more trips and statements than mail for one.
func TestWhatDeliveriesShareOnPostgres(t *testing.T) {
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
	homes := h.neighbours(15, 1)
	n := 0
	deliver := func() (trips, statements, commits int64) {
		trips, statements, commits = db.trips(), db.statements(), db.Stats().Commits
		jobs := make([]*job, len(homes))
		l := db.pg.lanes
		l.mu.Lock()
		for i, h := range homes {
			n++
			a := letter(100 + n)
			a.Blob.Record = []byte("sealed")
			jobs[i] = &job{ctx: t.Context(), done: make(chan struct{}), run: func(c conn) error {
				tx, err := db.newTx(c, h.id, by)
				if err == nil {
					_, err = tx.Append(h.inbox, a)
				}
				if err == nil {
					_, err = tx.finish()
				}
				return err
			}}
			q := l.use(laneOf(h.id))
			q.jobs <- jobs[i]
			q.taken = true
			l.ready = append(l.ready, q)
			defer l.leave(q)
		}
		l.more.Signal()
		l.mu.Unlock()
		for _, j := range jobs {
			if <-j.done; j.err != nil {
				t.Fatal(j.err)
			}
		}
		return db.trips() - trips, db.statements() - statements, db.Stats().Commits - commits
	}
	for range 3 * pgWriters { // the writers get to know their statements
		deliver()
	}
	trips, statements, commits := deliver()
	for range 5 {
		if again, of, in := deliver(); again < trips {
			trips, statements, commits = again, of, in
		}
	}
	t.Logf("%d deliveries: %d trips, %d statements", len(homes), trips, statements)
	if trips > 4 || statements > 22 || commits != 1 {
		t.Errorf("%d deliveries took %d trips, %d statements and %d commits, want 4, 22 and 1", len(homes), trips, statements, commits)
	}
}
