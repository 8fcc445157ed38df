package sqlstore_test

import (
	"testing"

	"lockstep/internal/store/sqlstore"
	"lockstep/internal/store/sqlstore/sqltest"
	"lockstep/internal/store/storetest"
)

// TestContractOnPostgres holds the other engine against the same contract.
func TestContractOnPostgres(t *testing.T) {
	storetest.Run(t, func(t testing.TB) storetest.Engine {
		db := sqltest.Postgres(t, sqlstore.Options{RunTwice: true, Guard: storetest.Rule})
		t.Cleanup(func() { soundness(t, db) })
		return db
	})
}
