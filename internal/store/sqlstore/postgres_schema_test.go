package sqlstore

import (
	"context"
	"strings"
	"testing"

	"lockstep/internal/store/sqlstore/pgtest"
)

// freshPostgres opens an empty database of a PostgreSQL server.
func freshPostgres(t testing.TB) *DB {
	t.Helper()
	db, err := OpenPostgres(context.Background(), pgtest.Database(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// TestEveryStatementIsPostgresToo has the server look at each statement, as it is
// written for it.
func TestEveryStatementIsPostgresToo(t *testing.T) {
	db := freshPostgres(t)
	all := statements(t)
	err := db.ask(t.Context(), func(c conn) error {
		p := c.(*pgConn)
		for _, sql := range all {
			if isSQLiteAlone(sql) {
				continue
			}
			if _, err := p.c.Prepare(t.Context(), "", toPostgres(sql), nil); err != nil {
				t.Errorf("%v in %s", err, toPostgres(sql))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// isSQLiteAlone reports whether a statement is about the embedded engine's file.
func isSQLiteAlone(sql string) bool {
	return strings.Contains(sql, "sqlite_") || strings.Contains(sql, "pragma_") || strings.HasPrefix(sql, "PRAGMA")
}
