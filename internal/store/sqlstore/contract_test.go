package sqlstore_test

import (
	"context"
	"testing"

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
// savepoints.
func TestHistoriesAsInProduction(t *testing.T) {
	storetest.Histories(t, func(t testing.TB) storetest.Engine {
		db := sqlstore.OpenTempWith(t, sqlstore.Options{Guard: storetest.Rule})
		t.Cleanup(func() { soundness(t, db) })
		return db
	})
}

// TestContractOnTheNextReleasesDatabase: this program keeps the contract also on a
// database that the release to come has upgraded, where that let it.
func TestContractOnTheNextReleasesDatabase(t *testing.T) {
	if testing.Short() {
		t.Skip("it is the contract once more")
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
