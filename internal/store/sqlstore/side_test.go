package sqlstore_test

import (
	"context"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/store/sqlstore"
	"lockstep/internal/store/sqlstore/pgtest"
	"lockstep/internal/store/storetest"
)

// carryAll makes to what from is, and proves it.
func carryAll(t testing.TB, from, to *sqlstore.Side) {
	t.Helper()
	ctx := context.Background()
	if err := sqlstore.Pair(from, to); err != nil {
		t.Fatal(err)
	}
	k, err := sqlstore.NewCarrier(from, to)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	all, err := from.Accounts(ctx, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if _, err := k.Account(ctx, a.Account, false); err != nil {
			t.Fatal(err)
		}
		if !equal(t, from, to, a.Account) {
			t.Logf("account %d is gone through row by row", a.Account)
			if _, err := k.Account(ctx, a.Account, true); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := k.Globals(ctx); err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		same(t, from, to, func(s *sqlstore.Side) (sqlstore.Proof, error) { return s.ProveAccount(ctx, a.Account) })
	}
	same(t, from, to, func(s *sqlstore.Side) (sqlstore.Proof, error) { return s.ProveGlobals(ctx) })
}

func equal(t testing.TB, from, to *sqlstore.Side, id mail.AccountID) bool {
	t.Helper()
	a, err := from.ProveAccount(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	b, err := to.ProveAccount(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	return maps.Equal(a, b)
}

// carryMeanwhile brings accounts over, again and again, until it is stopped.
func carryMeanwhile(t testing.TB, from, to *sqlstore.Side) (stop func()) {
	t.Helper()
	if err := sqlstore.Pair(from, to); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		k, err := sqlstore.NewCarrier(from, to)
		if err != nil {
			t.Error(err)
			return
		}
		defer k.Close()
		for passes := 0; ; passes++ {
			changed, gone, err := sqlstore.Changed(ctx, from, to)
			for _, id := range changed {
				if err == nil {
					if _, err = k.Account(ctx, id, false); mail.KindOf(err) == mail.NotFound {
						err = nil
					}
				}
			}
			for _, id := range gone {
				if err == nil {
					_, err = k.Drop(ctx, id)
				}
			}
			if ctx.Err() != nil {
				t.Logf("%d passes meanwhile", passes)
				return
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
	}()
	return func() { cancel(); <-ended }
}

func same(t testing.TB, from, to *sqlstore.Side, prove func(*sqlstore.Side) (sqlstore.Proof, error)) {
	t.Helper()
	a, err := prove(from)
	if err != nil {
		t.Fatal(err)
	}
	b, err := prove(to)
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(a, b) {
		for name := range a {
			if a[name] != b[name] {
				t.Errorf("%s: %v, carried %v", name, a[name], b[name])
			}
		}
	}
}

func source(t testing.TB, where string) *sqlstore.Side {
	t.Helper()
	s, err := sqlstore.OpenSource(context.Background(), where, sqlstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func target(t testing.TB, where string) *sqlstore.Side {
	t.Helper()
	s, err := sqlstore.OpenTarget(context.Background(), where, sqlstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// carriedHistories have everything that there is, restores and members among it.
var carriedHistories = []string{"UndoPutsBack/seed=1", "HorizonIsExact/seed=1", "ARestoreStartsOver/seed=1", "ARestoreStartsMembersOver/seed=2"}

// TestHistoriesAreCarriedThereAndBack: while they are lived, and in the end, what random histories leave on the embedded
// engine is the same on PostgreSQL, row by row, and the same again when it comes back,
// where it passes the engine's own check.
func TestHistoriesAreCarriedThereAndBack(t *testing.T) {
	storetest.Histories(t, func(t testing.TB) storetest.Engine {
		if !slices.ContainsFunc(carriedHistories, func(name string) bool { return strings.HasSuffix(t.Name(), name) }) {
			t.Skip("some histories of each kind are enough: skipped")
		}
		db := sqlstore.OpenTempWith(t, sqlstore.Options{Guard: storetest.Rule})
		url := pgtest.Database(t)
		there := target(t, url)
		stop := carryMeanwhile(t, source(t, sqlstore.PathOf(db)), there)
		t.Cleanup(func() {
			stop()
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			carryAll(t, source(t, sqlstore.PathOf(db)), there)
			node, err := sqlstore.OpenPostgres(context.Background(), url, sqlstore.Options{})
			if err != nil {
				t.Fatal(err)
			}
			soundness(t, node)
			if err := node.Close(); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "back.db")
			carryAll(t, there, target(t, path))
			back, err := sqlstore.Open(context.Background(), path, sqlstore.Options{})
			if err != nil {
				t.Fatal(err)
			}
			soundness(t, back)
			if err := back.Close(); err != nil {
				t.Fatal(err)
			}
		})
		return db
	})
}
