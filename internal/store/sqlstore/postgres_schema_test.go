package sqlstore

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgtype"

	"lockstep/internal/store/sqlstore/pgtest"
)

// freshPostgres opens an empty database of a PostgreSQL server.
func freshPostgres(t testing.TB) *DB {
	t.Helper()
	return openedPostgres(t, pgtest.Database(t))
}

func openedPostgres(t testing.TB, url string) *DB {
	t.Helper()
	db, err := OpenPostgres(context.Background(), url, Options{})
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
			_, err := p.c.Prepare(t.Context(), "", toPostgres(sql), nil)
			if err != nil { // what it can't tell from the words we say when we run it
				_, err = p.c.Prepare(t.Context(), "", toPostgres(sql), slices.Repeat([]uint32{pgtype.Int8OID}, 9))
			}
			if err != nil {
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

// isPostgresAlone reports whether a statement is one that only PostgreSQL is asked.
func isPostgresAlone(sql string) bool {
	if sql == lockAccount || sql == lockAccounts || sql == lockLane || sql == selectClock || sql == takeNumbers || sql == hasCitus || sql == selectHistory || strings.Contains(sql, " engine") {
		return true
	}
	for _, own := range inPostgres {
		if sql == own {
			return true
		}
	}
	return false
}
