package sqlstore

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// backToEleventh makes the schema what it was before the twelfth migration.
const backToEleventh = `
DROP INDEX placement_astray;
DROP INDEX placement_line;
DROP INDEX vanished_placement_line;
ALTER TABLE placement DROP COLUMN received;
ALTER TABLE placement DROP COLUMN behind;
ALTER TABLE mailbox DROP COLUMN peak;
ALTER TABLE mailbox DROP COLUMN peak_uid;`

// mixed appends n messages of which one in every so many has a date out of order.
func (h home) mixed(n, every int) {
	chance := rand.New(rand.NewPCG(1, 2))
	begin := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	for at := 0; at < n; at += 1000 {
		h.update(func(tx store.Tx) error {
			for i := at; i < min(at+1000, n); i++ {
				a := arrival(i)
				a.InternalDate = begin.Add(time.Duration(i) * time.Minute)
				if chance.IntN(every) == 0 {
					a.InternalDate = begin.Add(time.Duration(chance.IntN(n)) * time.Minute)
				}
				if _, err := tx.Append(h.inbox, a); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

func (h home) byDate(q store.DateQuery) (all []mail.Dated) {
	q.Mailbox = h.inbox
	h.view(func(r store.Reader) (err error) { all, err = r.ByDate(q); return err })
	return all
}

func TestTheTwelfthMigrationPutsDatesInOrder(t *testing.T) {
	h := newHome(t, Options{})
	h.mixed(300, 5)
	h.update(func(tx store.Tx) error { _, err := tx.Expunge(h.inbox, mail.MakeUIDSet(5, 77, 200), false); return err })
	before := h.byDate(store.DateQuery{Limit: 1000})
	err := h.write(t.Context(), directoryLane, func(c conn) error {
		if err := c.script(backToEleventh); err != nil {
			return err
		}
		return c.script(stepNumber(t, 12).sql)
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if after := h.byDate(store.DateQuery{Limit: 1000}); !slices.Equal(before, after) {
		t.Errorf("got %v, want %v", after, before)
	}
	if wrong, err := h.Check(t.Context(), h.id, false); err != nil || len(wrong) > 0 {
		t.Error(wrong, err)
	}
	h.mixed(20, 2)
	if got := h.byDate(store.DateQuery{Limit: 1000}); len(got) != len(before)+20 {
		t.Errorf("%d by date, want %d", len(got), len(before)+20)
	}
	if wrong, err := h.Check(t.Context(), h.id, false); err != nil || len(wrong) > 0 {
		t.Error(wrong, err)
	}
}

func TestCheckPutsTheOrderOfDatesRight(t *testing.T) {
	for _, damage := range []string{
		"UPDATE placement SET received = received + 1 WHERE uid = 7",
		"UPDATE placement SET behind = 0 WHERE uid = (SELECT max(uid) FROM placement WHERE behind > 0)",
		"UPDATE placement SET behind = 1 WHERE behind > 10",
		"UPDATE mailbox SET peak_uid = 1, peak = 1 WHERE placements > 0",
	} {
		h := newHome(t, Options{})
		h.mixed(100, 5)
		want := h.byDate(store.DateQuery{Limit: 1000})
		if err := h.write(t.Context(), directoryLane, func(c conn) error { return c.script(damage) }, nil); err != nil {
			t.Fatal(err)
		}
		if wrong, err := h.Check(t.Context(), h.id, true); err != nil || len(wrong) == 0 {
			t.Errorf("%s: found %v, %v", damage, wrong, err)
		}
		if wrong, err := h.Check(t.Context(), h.id, false); err != nil || len(wrong) > 0 {
			t.Errorf("%s: still %v, %v", damage, wrong, err)
		}
		if got := h.byDate(store.DateQuery{Limit: 1000}); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", damage, got, want)
		}
	}
}

// A page by date, also far back, and the versions of a line take as many statements
// in a large mailbox as in a small one, but for those that halve it.
func TestPagesByDateDoNotGrowWithTheMailbox(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine counts statements: nothing for the race detector")
	}
	for _, every := range []int{2, 1_000_000} {
		var counts [2][3]int64
		for i, n := range []int{500, 16_000} {
			h := newHome(t, Options{})
			h.mixed(n, every)
			all := h.byDate(store.DateQuery{Limit: n})
			middle := all[n/2]
			h.view(func(r store.Reader) error {
				c := r.(*reader).c
				count := func(fn func() error) (statements int64) {
					before := c.statements()
					if err := fn(); err != nil {
						t.Fatal(err)
					}
					return c.statements() - before
				}
				page := func(q store.DateQuery) func() error {
					q.Mailbox, q.Limit = h.inbox, 25
					return func() error { _, err := r.ByDate(q); return err }
				}
				counts[i] = [3]int64{
					count(page(store.DateQuery{})),
					count(page(store.DateQuery{Before: mail.Dated{Date: middle.Date}})),
					count(func() error {
						_, err := r.Versions(store.VersionQuery{Mailbox: h.inbox, Lines: []mail.Lineage{1 << 40}, LeftAfter: 1})
						return err
					}),
				}
				return nil
			})
		}
		small, large := counts[0], counts[1]
		if large[0] > small[0]+12 || every > 2 && large[0] != small[0] || large[1] > small[1]+12 || large[2] > small[2]+12 {
			t.Errorf("one in %d astray: %v statements of 500 messages, %v of 16 000", every, small, large)
		}
	}
}

func BenchmarkByDate(b *testing.B) {
	for _, n := range []int{1_000, 100_000} {
		for _, every := range []int{3, 1_000_000} {
			h := newHome(b, Options{})
			h.mixed(n, every)
			at := h.byDate(store.DateQuery{Limit: n / 2})[n/2-1]
			b.Run(fmt.Sprintf("%d/astray=1in%d", n, every), func(b *testing.B) {
				for b.Loop() {
					h.byDate(store.DateQuery{Before: at, Limit: 100})
				}
			})
		}
	}
}
