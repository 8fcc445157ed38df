package sqlstore

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// notCarried are the tables that stay where they are: what an engine, or a node, says
// of itself.
var notCarried = []string{"schema_version", "mark", "lane", "moving", "node", "engine"}

// The kinds of columns: both engines have no others.
const (
	wholeNumbers = 'n'
	texts        = 't'
	byteStrings  = 'b'
)

// A column of a table that is carried.
type column struct {
	name     string
	kind     byte
	nullable bool
}

// A carried is a table whose rows move between engines, as both know it.
type carried struct {
	name    string
	columns []column
	key     []int // columns, in the order of the primary key; account_id is the first where there is one
	ofOne   bool  // its rows belong to accounts
	byText  bool  // a text is in its key
}

// What is the same on both engines though its rows say otherwise: names that wait
// outside the index count as indexed, and nobody has anything of the queue in hand.
var readAs = map[[2]string]string{
	{"account", "named_to"}: "next_id - 1",
	{"queue", "taken_by"}:   "''",
}

const selectColumns = `SELECT m.name, p.name, p.type, p."notnull", p.pk FROM sqlite_schema m, pragma_table_info(m.name) p
	WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' ORDER BY m.name, p.cid`

// postgresColumns asks the same of PostgreSQL's catalog.
func postgresColumns() string {
	return `SELECT c.relname, a.attname, format_type(a.atttypid, NULL), a.attnotnull,
	coalesce((SELECT k.n FROM pg_index i, unnest(i.indkey) WITH ORDINALITY AS k (attnum, n) WHERE i.indrelid = c.oid AND i.indisprimary AND k.attnum = a.attnum), 0)
	FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
	WHERE c.relkind IN ('r', 'p') AND c.relnamespace = to_regnamespace(current_schema()::text) AND a.attnum > 0 AND NOT a.attisdropped
	ORDER BY c.relname, a.attnum`
}

var kindsOf = map[string]byte{"INTEGER": wholeNumbers, "bigint": wholeNumbers, "TEXT": texts, "text": texts, "BLOB": byteStrings, "bytea": byteStrings}

// readTables reads what tables there are to carry, by name.
func readTables(c conn) (map[string]*carried, error) {
	sql := selectColumns
	if _, is := c.(*pgConn); is {
		sql = postgresColumns()
	}
	all := map[string]*carried{}
	places := map[string][]int64{} // of each column in the key
	var strange error
	err := c.query(sql, func(r row) error {
		table := r.text(0)
		if slices.Contains(notCarried, table) || slices.Contains(besideTables, table) {
			return nil
		}
		t := all[table]
		if t == nil {
			t = &carried{name: table}
			all[table] = t
		}
		kind, known := kindsOf[r.text(2)]
		if !known {
			strange = fmt.Errorf("sqlstore: column %s.%s is of type %s", table, r.text(1), r.text(2))
		}
		t.columns = append(t.columns, column{r.text(1), kind, r.num(3) == 0})
		places[table] = append(places[table], r.num(4))
		return nil
	})
	if err = errors.Join(err, strange); err != nil {
		return nil, err
	}
	for name, t := range all {
		if err := t.findKey(places[name]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// findKey takes the key from the place of each column in it. Rows of an account are
// found by it first, whatever the engine numbers.
func (t *carried) findKey(places []int64) error {
	for n := int64(1); ; n++ {
		i := slices.Index(places, n)
		if i < 0 {
			break
		}
		t.key = append(t.key, i)
	}
	account := slices.IndexFunc(t.columns, func(c column) bool { return c.name == "account_id" })
	if account >= 0 {
		t.ofOne = true
		t.key = slices.Insert(slices.DeleteFunc(t.key, func(i int) bool { return i == account }), 0, account)
	}
	t.byText = slices.ContainsFunc(t.key, func(i int) bool { return t.columns[i].kind == texts })
	if len(t.key) == 0 {
		return fmt.Errorf("sqlstore: table %s has no key", t.name)
	}
	return nil
}

// matches says how a table differs from the other engine's of the same name.
func (t *carried) matches(other *carried) error {
	if other == nil {
		return fmt.Errorf("only one of the databases has table %s", t.name)
	}
	names := func(t *carried) (all []string) {
		for _, c := range t.columns {
			all = append(all, c.name+" "+string(c.kind))
		}
		slices.Sort(all)
		return all
	}
	if a, b := names(t), names(other); !slices.Equal(a, b) {
		return fmt.Errorf("table %s has columns %s in one database and %s in the other", t.name, strings.Join(a, ", "), strings.Join(b, ", "))
	}
	return nil
}

// columnList names the columns.
func (t *carried) columnList() string {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = c.name
	}
	return strings.Join(names, ", ")
}

// keyList names the columns of the key from the n-th on.
func (t *carried) keyList(from int) string {
	var names []string
	for _, i := range t.key[from:] {
		names = append(names, t.columns[i].name)
	}
	return strings.Join(names, ", ")
}

// fixed is how many columns of the key are the same for all rows of one reading.
func (t *carried) fixed() int {
	if t.ofOne {
		return 1
	}
	return 0
}
