package sqlstore

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"lockstep/internal/mail"
)

// Tables returns the tables of the database, for Integrity. PostgreSQL looks after its
// pages itself: there are none.
func (db *DB) Tables(ctx context.Context) ([]string, error) {
	if db.pg != nil {
		return nil, nil
	}
	tables := []string{"sqlite_schema"}
	err := db.ask(ctx, func(c conn) error {
		return c.query("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name", func(r row) error {
			tables = append(tables, r.text(0))
			return nil
		})
	})
	return tables, err
}

// Integrity has SQLite check a table: each page of it and of its indexes, and
// whether the indexes have what the table has. It reads all of that: some 4 µs for
// each message. It fails with mail.Unavailable when people are at work meanwhile and
// it had to give way; it can be tried again. With repair, indexes that are wrong are
// made anew, for which the writer stops: about as long as for reading the table.
func (db *DB) Integrity(ctx context.Context, table string, repair bool) (wrong, left []string, err error) {
	tables, err := db.Tables(ctx)
	if err != nil {
		return nil, nil, err
	}
	if !slices.Contains(tables, table) {
		return nil, nil, mail.Errorf(mail.NotFound, "there is no table %s", table)
	}
	if wrong, err = db.integrity(ctx, table); err != nil || len(wrong) == 0 || !repair {
		return wrong, wrong, err
	}
	if indexes := wrongIndexes(wrong); len(indexes) == 0 || db.reindex(ctx, indexes) != nil {
		return wrong, wrong, ctx.Err()
	}
	left, err = db.integrity(ctx, table)
	return wrong, left, err
}

func (db *DB) integrity(ctx context.Context, table string) (wrong []string, err error) {
	err = db.aside(ctx, func(c conn) error {
		wrong = nil
		return c.query("PRAGMA integrity_check("+table+")", func(r row) error {
			if text := r.text(0); text != "ok" {
				wrong = append(wrong, fmt.Sprintf("the database, table %s: %s", table, strings.TrimSpace(text)))
			}
			return nil
		})
	})
	if mail.KindOf(err) == mail.Corrupt {
		return append(wrong, fmt.Sprintf("the database, table %s: %v", table, err)), nil
	}
	return wrong, err
}

// wrongIndex is how SQLite says that an index differs from its table.
var wrongIndex = regexp.MustCompile(`(?:missing from|entries in|entry in|of|differ from) index (\w+)$`)

// wrongIndexes returns the indexes that findings are about; none if one of them is
// about something else, as then the table itself can't be relied on.
func wrongIndexes(findings []string) (all []string) {
	for _, f := range findings {
		m := wrongIndex.FindStringSubmatch(f)
		if m == nil {
			return nil
		}
		if !slices.Contains(all, m[1]) {
			all = append(all, m[1])
		}
	}
	return all
}

// reindex makes indexes anew.
func (db *DB) reindex(ctx context.Context, indexes []string) error {
	return db.write(ctx, directoryLane, func(c conn) error {
		for _, name := range indexes {
			if err := c.script("REINDEX " + name); err != nil {
				return err
			}
		}
		return nil
	}, nil)
}
