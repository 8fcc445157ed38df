package sqlstore

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// shape is what a schema says of one table, a line for each column, key and index.
type shape map[string][]string

// say notes one thing of a table.
func (s shape) say(table, format string, args ...any) {
	s[table] = append(s[table], fmt.Sprintf(format, args...))
}

// plainly is an expression without what engines write around it.
func plainly(sql string) string {
	return strings.ToLower(strings.NewReplacer("(", "", ")", "", " ", "", "'", "", "\n", "", "::bigint", "", "::text", "", "\"", "", "!=", "<>").Replace(sql))
}

const (
	sqliteColumns = `SELECT t.name, c.name, c.type, c."notnull", c.pk FROM sqlite_schema t JOIN pragma_table_info(t.name) c WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%'`
	sqliteIndexes = `SELECT t.name, i.name, i."unique", i.origin, (SELECT group_concat(coalesce(x.name, '?'), ', ') FROM pragma_index_info(i.name) x), coalesce(s.sql, '')
	FROM sqlite_schema t JOIN pragma_index_list(t.name) i LEFT JOIN sqlite_schema s ON s.name = i.name WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%'`
	catalogColumns = `SELECT c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod), (CASE WHEN a.attnotnull THEN 1 ELSE 0 END)::bigint
	FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped`
	postgresIndexes = `SELECT c.relname::text, i.relname::text, (CASE WHEN x.indisunique THEN 1 ELSE 0 END)::bigint, (CASE WHEN x.indisprimary THEN 1 ELSE 0 END)::bigint,
	(SELECT string_agg(pg_get_indexdef(x.indexrelid, k, true), ', ' ORDER BY k) FROM generate_series(1, x.indnkeyatts) k), coalesce(pg_get_expr(x.indpred, x.indrelid), ''),
	(SELECT count(*) FROM pg_constraint k WHERE k.conindid = x.indexrelid AND k.contype = 'u')
	FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid WHERE c.relnamespace = 'public'::regnamespace`
)

// postgresTypes are what types are called there.
var postgresTypes = map[string]string{"INTEGER": "bigint", "TEXT": "text", "BLOB": "bytea"}

// shapeOfSQLite says it as PostgreSQL's has to be.
func shapeOfSQLite(t *testing.T) shape {
	s := shape{}
	keys := map[string][]string{}
	h := open(t, Options{})
	err := h.read(t.Context(), func(c conn) error {
		err := c.query(sqliteColumns, func(r row) error {
			table, column, key := r.text(0), r.text(1), int(r.num(4))
			s.say(table, "column %s %s, never null %v", column, postgresTypes[r.text(2)], r.num(3) != 0)
			for len(keys[table]) < key {
				keys[table] = append(keys[table], "")
			}
			if key > 0 {
				keys[table][key-1] = column
			}
			return nil
		})
		if err != nil {
			return err
		}
		return c.query(sqliteIndexes, func(r row) error {
			switch columns := r.text(4); r.text(3) {
			case "c":
				columns, where := cutIndex(afterOn(r.text(5)))
				s.say(r.text(0), "index %s of %s where %s, unique %v", r.text(1), plainly(columns), plainly(where), r.num(2) != 0)
			case "u":
				s.say(r.text(0), "unique %s", plainly(columns))
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	for table, key := range keys {
		numbers := slices.ContainsFunc(numberedTables(t), func(name string) bool { return name == table })
		if numbers {
			key = append([]string{"account_id"}, key...)
		}
		if len(key) > 0 {
			s.say(table, "key %s", strings.Join(key, ","))
		}
	}
	return s
}

// numberedTables are those whose rows SQLite numbers over all accounts.
func numberedTables(t *testing.T) (all []string) {
	for _, m := range createTable.FindAllStringSubmatch(schema(t), -1) {
		if numbered.MatchString(m[2]) {
			all = append(all, m[1])
		}
	}
	return all
}

func afterOn(sql string) string {
	_, after, _ := strings.Cut(sql, " ON ")
	return after
}

// cutIndex takes apart what follows ON: a table, columns in parentheses, a condition.
func cutIndex(sql string) (columns, where string) {
	depth := 0
	from := strings.IndexByte(sql, '(')
	for i := from; i < len(sql); i++ {
		switch sql[i] {
		case '(':
			depth++
		case ')':
			depth--
		}
		if depth == 0 {
			_, where, _ = strings.Cut(sql[i+1:], "WHERE ")
			return sql[from+1 : i], where
		}
	}
	return "", ""
}

// shapeOfPostgres is read from the server's catalog.
func shapeOfPostgres(t *testing.T) shape {
	s := shape{}
	db := freshPostgres(t)
	err := db.read(t.Context(), func(c conn) error {
		err := c.query(catalogColumns, func(r row) error {
			s.say(r.text(0), "column %s %s, never null %v", r.text(1), r.text(2), r.num(3) != 0)
			return nil
		})
		if err != nil {
			return err
		}
		return c.query(postgresIndexes, func(r row) error {
			table, name, columns := r.text(0), r.text(1), plainly(r.text(4))
			switch {
			case r.num(3) != 0:
				s.say(table, "key %s", columns)
			case r.num(6) > 0:
				s.say(table, "unique %s", columns)
			default:
				s.say(table, "index %s of %s where %s, unique %v", name, columns, plainly(r.text(5)), r.num(2) != 0)
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// postgresAlone are the tables that only several nodes need.
var postgresAlone = []string{"lane", "engine"}

// TestBothEnginesHaveTheSameTables reads the schema of the server's catalog, and holds
// it against SQLite's: a step that one engine forgets fails here.
func TestBothEnginesHaveTheSameTables(t *testing.T) {
	want, got := shapeOfSQLite(t), shapeOfPostgres(t)
	for _, table := range slices.Concat(postgresAlone, besideTables) {
		delete(got, table)
	}
	for _, table := range slices.Sorted(maps.Keys(got)) {
		if want[table] == nil {
			t.Errorf("only PostgreSQL has table %s", table)
		}
	}
	for _, table := range slices.Sorted(maps.Keys(want)) {
		for _, line := range want[table] {
			if !slices.Contains(got[table], line) {
				t.Errorf("%s on PostgreSQL lacks: %s", table, line)
			}
		}
		for _, line := range got[table] {
			if !slices.Contains(want[table], line) {
				t.Errorf("%s has on PostgreSQL alone: %s", table, line)
			}
		}
	}
}

// TestEveryAccountTableOfPostgresBeginsWithItsAccount: also what is unique is so within
// an account, or rows could not be spread by it.
func TestEveryAccountTableOfPostgresBeginsWithItsAccount(t *testing.T) {
	looked := 0
	for table, lines := range shapeOfPostgres(t) {
		if slices.Contains(globalTables, table) || slices.Contains(postgresAlone, table) || table == "account" || table == "search_state" { // a row for each
			continue
		}
		for _, line := range lines {
			looked++
			switch {
			case strings.HasPrefix(line, "key "), strings.HasPrefix(line, "unique "):
				if !strings.Contains(line, " account_id,") {
					t.Errorf("%s: %s", table, line)
				}
			case strings.HasPrefix(line, "index ") && !strings.Contains(line, " of account_id"):
				if table != "content" && table != "upload" { // a blob is named by whoever has it
					t.Errorf("%s: %s", table, line)
				}
			}
		}
	}
	if looked < 150 {
		t.Errorf("looked at %d lines only", looked)
	}
}
