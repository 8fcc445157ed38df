package sqlstore

import (
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// dialed is a connection of the test's own.
func dialed(t *testing.T, db *DB) *pgConn {
	t.Helper()
	c := &pgConn{open: db.pg.dial}
	if err := c.connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.close() })
	return c
}

// What is asked ahead goes along with the next statement, is answered once, with the
// arguments that were said, and is forgotten when other things are asked ahead.
func TestWhatIsAskedAheadIsAnsweredOnce(t *testing.T) {
	c := dialed(t, freshPostgres(t))
	const sum, other = "SELECT ?1 + ?2", "SELECT ?1 * ?2"
	value := func(sql string, args ...any) (n int64) {
		t.Helper()
		if _, err := one(c, sql, func(r row) { n = r.num(0) }, args...); err != nil {
			t.Fatal(err)
		}
		return n
	}
	expect := func(trips int64, want int64, sql string, args ...any) {
		t.Helper()
		before := c.trips.Load()
		if got := value(sql, args...); got != want {
			t.Errorf("%s with %v is %d, want %d", sql, args, got, want)
		}
		if took := c.trips.Load() - before; took != trips {
			t.Errorf("%s with %v took %d trips, want %d", sql, args, took, trips)
		}
	}
	ahead := func(asks ...ask) {
		t.Helper()
		if err := c.ahead(asks...); err != nil {
			t.Fatal(err)
		}
	}
	value(sum, 1, 1)
	value(other, 1, 1) // both are known to the server now
	ahead(ask{sum, []any{2, 3}}, ask{sum, []any{4, 5}}, ask{other, []any{6, 7}})
	expect(1, 5, sum, 2, 3)
	expect(0, 42, other, 6, 7)
	expect(1, 10, sum, 5, 5) // was not asked ahead
	expect(0, 9, sum, 4, 5)
	expect(1, 9, sum, 4, 5) // once
	ahead(ask{sum, []any{2, 3}})
	ahead()
	before := c.statements()
	expect(1, 5, sum, 2, 3)
	if ran := c.statements() - before; ran != 1 {
		t.Errorf("%d statements ran, want 1", ran)
	}
}

// Who asks for an answer that could not be given hears why.
func TestWhatFailsAheadSaysSo(t *testing.T) {
	c := dialed(t, freshPostgres(t))
	if err := c.ahead(ask{"SELECT 1 / ?1::bigint", []any{0}}); err != nil {
		t.Fatal(err)
	}
	if err := c.query("SELECT 1 / ?1::bigint", nil, 0); err == nil || isRetryable(err) {
		t.Fatalf("a division by zero gave %v", err)
	}
}

// The recipients of one message name the same blob at once: none waits for another's
// commit.
func TestRecipientsOfOneMessageDoNotWaitForEachOther(t *testing.T) {
	db := freshPostgres(t)
	var people []mail.AccountID
	for _, login := range []string{"alice@example.test", "bob@example.test", "carol@example.test"} {
		p, err := db.CreateAccount(t.Context(), by.WithCause(mail.BySetup), store.NewAccount{Login: login})
		if err != nil {
			t.Fatal(err)
		}
		people = append(people, p.Account)
	}
	h := home{DB: db, t: t, id: people[0]}
	h.view(func(r store.Reader) error {
		mb, err := r.MailboxByPath("INBOX")
		h.inbox = mb.ID
		return err
	})
	h.fill(1)
	for i, id := range people { // each with its transaction open while the next comes
		c := dialed(t, db)
		if err := c.script("SET lock_timeout = 2000"); err != nil {
			t.Fatal(err)
		}
		if err := c.begin(laneOf(id)); err != nil {
			t.Fatal(err)
		}
		b := arrival(0).Blob
		b.Fresh = i == 1 // some put it again
		if err := nameBlobs(c, &db.naming, db.now(), b); err != nil {
			t.Fatalf("recipient %d: %v", i, err)
		}
	}
}
