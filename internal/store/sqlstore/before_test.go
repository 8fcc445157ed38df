package sqlstore

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var releasing = flag.String("release", "", "keep the statements of this release, such as 0.2.0, in testdata/releases")

const betweenStatements = "\n;\n"

// TestKeepStatements keeps what a release says to its database.
func TestKeepStatements(t *testing.T) {
	if *releasing == "" {
		t.Skip("keeps a release's statements only when it is asked to")
	}
	steps, err := readSteps(migrations, sqliteSteps)
	if err != nil {
		t.Fatal(err)
	}
	var numbers []string
	for _, s := range steps {
		numbers = append(numbers, fmt.Sprint(s.number))
	}
	text := strings.Join(numbers, " ") + "\n" + strings.Join(statements(t), betweenStatements)
	if err := os.MkdirAll("testdata/releases", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join("testdata", "releases", *releasing+".sql"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// releaseBefore is the newest release that is kept: the steps it knows, and its
// statements.
func releaseBefore(t *testing.T) (name string, knows []step, all []string) {
	t.Helper()
	files, err := filepath.Glob("testdata/releases/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("no release is kept in testdata/releases: what the one before says to its database is what a step is held against")
	}
	slices.SortFunc(files, byVersion)
	text, err := os.ReadFile(files[len(files)-1])
	if err != nil {
		t.Fatal(err)
	}
	first, rest, _ := strings.Cut(string(text), "\n")
	for word := range strings.FieldsSeq(first) {
		var s step
		if _, err := fmt.Sscanf(word, "%d", &s.number); err != nil {
			t.Fatal(err)
		}
		knows = append(knows, s)
	}
	return files[len(files)-1], knows, strings.Split(rest, betweenStatements)
}

// byVersion orders 0.9.0 before 0.10.0.
func byVersion(a, b string) int {
	var x, y [3]int
	fmt.Sscanf(filepath.Base(a), "%d.%d.%d", &x[0], &x[1], &x[2])
	fmt.Sscanf(filepath.Base(b), "%d.%d.%d", &y[0], &y[1], &y[2])
	return slices.Compare(x[:], y[:])
}

// refusals are why the release before could not work on this schema.
func refusals(c *sqliteConn, all []string) (why []string) {
	for _, sql := range all {
		st, _, err := c.c.PrepareTransient(expand(sql))
		if err != nil {
			why = append(why, fmt.Sprintf("%v in %s", err, sql))
			continue
		}
		st.Finalize()
		if missing := leftOut(c, sql); len(missing) > 0 {
			why = append(why, fmt.Sprintf("leaves out %v, which have no default: %s", missing, sql))
		}
	}
	return why
}

var inserts = regexp.MustCompile(`(?s)INSERT (?:OR \w+ )?INTO (\w+) \(([^)]*)\)`)

// leftOut are the columns that an INSERT has to name and does not.
func leftOut(c *sqliteConn, sql string) (missing []string) {
	m := inserts.FindStringSubmatch(sql)
	if m == nil {
		return nil
	}
	named := regexp.MustCompile(`\w+`).FindAllString(m[2], -1)
	err := c.query(`SELECT name FROM pragma_table_info(?1) WHERE "notnull" = 1 AND dflt_value IS NULL AND NOT (pk = 1 AND type = 'INTEGER')`, func(r row) error {
		if !slices.Contains(named, r.text(0)) {
			missing = append(missing, r.text(0))
		}
		return nil
	}, m[1])
	if err != nil {
		missing = append(missing, err.Error())
	}
	return missing
}

// What the steps since the last release promise to it holds: where each says that the
// release can work on what it makes, each statement of the release still runs.
func TestTheStatementsOfTheReleaseBeforeStillRun(t *testing.T) {
	name, knows, all := releaseBefore(t)
	steps, err := readSteps(migrations, sqliteSteps)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range steps {
		known := slices.ContainsFunc(knows, func(k step) bool { return k.number == s.number })
		if !known && (s.readsFrom == s.number || s.readsFrom > lastOf(knows)) {
			t.Skipf("%s says that %s can't work on what it makes", s.name, name)
		}
	}
	c, err := openUpgraded(filepath.Join(t.TempDir(), "lockstep.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if len(all) < 100 {
		t.Errorf("%s has only %d statements", name, len(all))
	}
	for _, why := range refusals(c, all) {
		t.Errorf("%s: %s", name, why)
	}
}

// A step that is not what it says is found.
func TestWhatTheReleaseBeforeCannotDoIsFound(t *testing.T) {
	all := slices.DeleteFunc(statements(t), isPostgresAlone)
	for _, c := range []struct{ sql, want string }{
		{"CREATE TABLE more (n INTEGER) STRICT;\n", ""},
		{"ALTER TABLE mailbox ADD COLUMN more TEXT NOT NULL DEFAULT '';\n", ""},
		{"ALTER TABLE mailbox RENAME COLUMN sort_order TO sorted;\n", "no such column"},
		{"DROP TABLE preference;\n", "no such table: preference"},
		{"DROP TABLE preference;\nCREATE TABLE preference (account_id INTEGER NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, more TEXT NOT NULL, PRIMARY KEY (account_id, name)) STRICT, WITHOUT ROWID;\n", "leaves out [more]"},
	} {
		o := Options{steps: present(everyStep, map[string]string{"9000_more": c.sql})}
		conn, err := openUpgraded(filepath.Join(t.TempDir(), "lockstep.db"), o)
		if err != nil {
			t.Errorf("%s: %v", c.sql, err)
			continue
		}
		why := strings.Join(refusals(conn, all), "\n")
		if why != "" && c.want == "" || !strings.Contains(why, c.want) {
			t.Errorf("%s\n got %s\nwant %s", c.sql, why, c.want)
		}
		conn.close()
	}
}
