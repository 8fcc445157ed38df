package sqlstore

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// backToEighteenth makes the schema what it was before the nineteenth migration.
const backToEighteenth = `
DROP INDEX message_astray;
ALTER TABLE message DROP COLUMN behind;
ALTER TABLE message DROP COLUMN sent_at;
ALTER TABLE account DROP COLUMN peak;
ALTER TABLE account DROP COLUMN peak_key;
ALTER TABLE account DROP COLUMN emails;
ALTER TABLE account DROP COLUMN threads;
DELETE FROM sqlite_stat1 WHERE idx = 'message_astray';`

func (h home) emails(q store.EmailDateQuery) (all []mail.Email) {
	h.view(func(r store.Reader) (err error) { all, err = r.EmailsByDate(q); return err })
	return all
}

func TestTheNineteenthMigrationPutsEmailsInOrder(t *testing.T) {
	h := newHome(t, Options{})
	h.mixed(300, 5)
	h.update(func(tx store.Tx) error { _, err := tx.Expunge(h.inbox, mail.MakeUIDSet(5, 77, 200), false); return err })
	before := h.emails(store.EmailDateQuery{Limit: 1000})
	var account [2]mail.Account
	h.view(func(r store.Reader) (err error) { account[0], err = r.Account(); return err })
	err := h.write(t.Context(), directoryLane, func(c conn) error {
		if err := c.script(backToEighteenth); err != nil {
			return err
		}
		return c.script(stepNumber(t, 19).sql)
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if after := h.emails(store.EmailDateQuery{Limit: 1000}); fmt.Sprint(before) != fmt.Sprint(after) || len(after) != 297 {
		t.Errorf("got %v, want %v", after, before)
	}
	h.view(func(r store.Reader) (err error) { account[1], err = r.Account(); return err })
	if account[0].Emails != account[1].Emails || account[0].Threads != account[1].Threads {
		t.Errorf("counts %+v, want %+v", account[1], account[0])
	}
	h.mixed(20, 2)
	if wrong, err := h.Check(t.Context(), h.id, false); err != nil || len(wrong) > 0 {
		t.Error(wrong, err)
	}
}

func TestCheckPutsTheOrderOfEmailsRight(t *testing.T) {
	for _, damage := range []string{
		"UPDATE message SET behind = 0 WHERE message_key = (SELECT max(message_key) FROM message WHERE behind > 0)",
		"UPDATE message SET behind = 1 WHERE behind > 10",
		"UPDATE message SET sent_at = 7",
		"UPDATE account SET peak_key = 1, peak = 1",
		"UPDATE account SET emails = 1",
		"UPDATE account SET threads = threads + 1",
	} {
		h := newHome(t, Options{})
		h.mixed(100, 5)
		want := fmt.Sprint(h.emails(store.EmailDateQuery{Limit: 1000}))
		if err := h.write(t.Context(), directoryLane, func(c conn) error { return c.script(damage) }, nil); err != nil {
			t.Fatal(err)
		}
		if wrong, err := h.Check(t.Context(), h.id, true); err != nil || len(wrong) == 0 {
			t.Errorf("%s: found %v, %v", damage, wrong, err)
		}
		if wrong, err := h.Check(t.Context(), h.id, false); err != nil || len(wrong) > 0 {
			t.Errorf("%s: still %v, %v", damage, wrong, err)
		}
		if got := fmt.Sprint(h.emails(store.EmailDateQuery{Limit: 1000})); got != want {
			t.Errorf("%s: got %v, want %v", damage, got, want)
		}
	}
}

// A page of the account by date takes as many statements in a large one as in a
// small one, but for those that halve it.
func TestPagesOfTheAccountDoNotGrowWithIt(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine counts statements: nothing for the race detector")
	}
	var counts [2][2]int64
	for i, n := range []int{500, 8000} {
		h := newHome(t, Options{})
		h.mixed(n, 10)
		middle := h.emails(store.EmailDateQuery{Skip: n / 2, Limit: 1})[0].Arrived()
		for j, q := range []store.EmailDateQuery{{Limit: 50}, {Before: mail.Arrived{Date: middle.Date.Add(time.Second)}, Limit: 50}} {
			h.view(func(r store.Reader) error {
				c := r.(*reader).c
				before := c.statements()
				page, err := r.EmailsByDate(q)
				if len(page) != 50 || !slices.IsSortedFunc(page, func(a, b mail.Email) int { return b.Arrived().Compare(a.Arrived()) }) {
					t.Errorf("%d messages, page %d: %d of them", n, j, len(page))
				}
				counts[i][j] = c.statements() - before
				return err
			})
		}
	}
	if counts[1][0] > 20 || counts[1][1] > counts[0][1]+12 {
		t.Errorf("statements for the first page and one in the middle: %v of 500, %v of 8000", counts[0], counts[1])
	}
}

// BenchmarkEmails is what Email/query asks of an account of 100 000 messages.
func BenchmarkEmails(b *testing.B) {
	const n = 100_000
	h := newHome(b, Options{})
	h.mixed(n, n*10)
	middle := h.emails(store.EmailDateQuery{Skip: n / 2, Limit: 1})[0].Arrived()
	for _, c := range []struct {
		name string
		do   func(store.Reader) error
	}{
		{"first/50", func(r store.Reader) error { _, err := r.EmailsByDate(store.EmailDateQuery{Limit: 50}); return err }},
		{"first/500", func(r store.Reader) error { _, err := r.EmailsByDate(store.EmailDateQuery{Limit: 500}); return err }},
		{"after/50", func(r store.Reader) error {
			_, err := r.EmailsByDate(store.EmailDateQuery{Before: middle, Limit: 50})
			return err
		}},
		{"skip50k/50", func(r store.Reader) error {
			_, err := r.EmailsByDate(store.EmailDateQuery{Skip: n / 2, Limit: 50})
			return err
		}},
		{"before/50k", func(r store.Reader) error { _, err := r.EmailsBefore(middle); return err }},
		{"all/100k", func(r store.Reader) error { return r.Emails(func(*mail.Email) error { return nil }) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				h.view(c.do)
			}
		})
	}
}
