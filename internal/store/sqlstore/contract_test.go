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
