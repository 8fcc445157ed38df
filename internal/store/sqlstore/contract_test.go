package sqlstore_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore"
	"lockstep/internal/store/storetest"
)

// TestContract holds the engine against the contract, every closure run twice.
// What each history leaves behind has to pass the engine's own check.
func TestContract(t *testing.T) {
	storetest.Run(t, func(t testing.TB) storetest.Engine {
		db := sqlstore.OpenTempWith(t, sqlstore.Options{RunTwice: true, Guard: storetest.Rule})
		t.Cleanup(func() { soundness(t, db) })
		return db
	})
}

// TestHistoriesAsInProduction runs closures once and, until one fails, without
// savepoints. Each history is copied while it is lived.
func TestHistoriesAsInProduction(t *testing.T) {
	storetest.Histories(t, func(t testing.TB) storetest.Engine {
		db := sqlstore.OpenTempWith(t, sqlstore.Options{Guard: storetest.Rule})
		copyUntilTheEnd(t, db)
		t.Cleanup(func() { soundness(t, db) })
		return db
	})
}

// copyUntilTheEnd copies a database whenever it has changed, and holds the last copy
// against it.
func copyUntilTheEnd(t testing.TB, db *sqlstore.DB) {
	c, err := db.NewCopier()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "copy.db")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	settle := func() (m store.Moment) {
		m, err := c.Settle(context.Background(), true, func(n uint32, page []byte) error {
			_, err := f.WriteAt(page, int64(n-1)*int64(len(page)))
			return err
		})
		if err == nil {
			err = f.Truncate(int64(m.Pages) * int64(m.PageSize))
		}
		if err != nil {
			t.Error(err)
		}
		c.Kept()
		return m
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
			if c.Changed() > 50 {
				settle()
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-stopped
		m := settle()
		if got, err := sqlstore.Inspect(context.Background(), path); err != nil || !slices.Equal(got, m.Digests) {
			t.Errorf("the copy has %v, was %v, %v", got, m.Digests, err)
		}
		f.Close()
		c.Close()
	})
}

// TestContractOnTheNextReleasesDatabase: this program keeps the contract also on a
// database that the release to come has upgraded, where that let it.
func TestContractOnTheNextReleasesDatabase(t *testing.T) {
	if testing.Short() {
		t.Skip("under the race detector the contract runs on a database of its own alone")
	}
	storetest.Checks(t, func(t testing.TB) storetest.Engine {
		db := sqlstore.OpenTempWith(t, sqlstore.WithSteps(sqlstore.Options{Guard: storetest.Rule}, sqlstore.Future()))
		path := sqlstore.PathOf(db)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		db, err := sqlstore.Open(context.Background(), path, sqlstore.Options{RunTwice: true, Guard: storetest.Rule})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			soundness(t, db)
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
		return db
	})
}

func soundness(t testing.TB, db *sqlstore.DB) {
	all, err := db.Accounts(context.Background())
	if err != nil {
		t.Error(err)
	}
	for _, p := range all {
		wrong, err := db.Check(context.Background(), p.Account, false)
		if err != nil || len(wrong) > 0 {
			t.Errorf("after the test: %v, %v", wrong, err)
		}
	}
}
