// Package sqltest opens databases of PostgreSQL for tests.
package sqltest

import (
	"context"
	"os"
	"testing"

	"lockstep/internal/store/sqlstore"
	"lockstep/internal/store/sqlstore/pgtest"
)

// kind are databases with the schema and nothing in it.
var kind = pgtest.Kind{Name: "schema", Prepare: prepare, Reset: `
DO $$ DECLARE t record; BEGIN
	FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT IN ('lane', 'schema_version', 'counter', 'mark', 'engine') LOOP
		EXECUTE 'DELETE FROM ' || quote_ident(t.tablename);
	END LOOP;
END $$;
UPDATE counter SET next = 1;
UPDATE mark SET instance = '', generation = 0, restores = 0, restoring = 0, restored_to = 0, leap_at = 0, leap_uids = 0, leap_times = 0`}

func prepare(url string) error {
	db, err := sqlstore.OpenPostgres(context.Background(), url, sqlstore.Options{})
	if err != nil {
		return err
	}
	return db.Close()
}

// PostgresURL names a database without accounts, which the test has for itself.
// Several nodes may open it.
func PostgresURL(t testing.TB) string {
	t.Helper()
	return kind.Database(t)
}

// Open opens a node's database at a URL of PostgresURL.
func Open(t testing.TB, url string, o sqlstore.Options) *sqlstore.DB {
	t.Helper()
	db, err := sqlstore.OpenPostgres(context.Background(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// Postgres opens a database without accounts.
func Postgres(t testing.TB, o sqlstore.Options) *sqlstore.DB {
	t.Helper()
	return Open(t, PostgresURL(t), o)
}

// Engine is the environment variable by which Temp opens PostgreSQL: "postgres".
const Engine = "LOCKSTEP_TEST_ENGINE"

// Temp opens a database without accounts, of the engine that tests are run with, for
// what has to hold whatever the engine is.
func Temp(t testing.TB, o sqlstore.Options) *sqlstore.DB {
	t.Helper()
	if OnPostgres(t) {
		return Postgres(t, o)
	}
	return sqlstore.OpenTempWith(t, o)
}

// OnPostgres reports whether tests are run with PostgreSQL.
func OnPostgres(t testing.TB) bool {
	t.Helper()
	switch engine := os.Getenv(Engine); engine {
	case "", "sqlite":
		return false
	case "postgres":
		return true
	default:
		t.Fatalf("%s is %q, which is neither sqlite nor postgres", Engine, engine)
		return false
	}
}

// Borrow is PostgresURL for a part of a test: the database is another's once it was
// given back.
func Borrow(t testing.TB) (url string, giveBack func()) {
	t.Helper()
	return kind.Borrow(t)
}
