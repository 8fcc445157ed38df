package sqlstore

import (
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"lockstep/internal/mail"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the schema up to date, each step in one transaction. The numbers
// of steps may leave gaps, and one may come to be after a later one: schema_version
// has a row for each that was taken, and none below the first of them is missing. A
// database of a newer program is refused.
func migrate(c conn) error {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	slices.Sort(names)
	if _, err := c.exec("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL) STRICT"); err != nil {
		return err
	}
	var taken []int
	err = c.query("SELECT version FROM schema_version ORDER BY version", func(r row) error { taken = append(taken, int(r.num(0))); return nil })
	if err != nil {
		return err
	}
	number := 0
	for _, name := range names {
		if _, err := fmt.Sscanf(name, "migrations/%04d_", &number); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if len(taken) > 0 && number < taken[0] || slices.Contains(taken, number) {
			continue
		}
		if err := step(c, name, number); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if len(taken) > 0 && taken[len(taken)-1] > number {
		return mail.Errorf(mail.Unavailable, "the database was written by a newer version of this program (schema %d, this one knows %d)", taken[len(taken)-1], number)
	}
	return nil
}

func step(c conn, name string, number int) error {
	text, err := migrations.ReadFile(name)
	if err != nil {
		return err
	}
	if err := begin(c); err != nil {
		return err
	}
	err = c.script(uncommented(string(text)))
	if err == nil {
		_, err = c.exec("INSERT INTO schema_version (version) VALUES (?1)", number)
	}
	if err == nil {
		_, err = c.exec("COMMIT")
	}
	if err != nil && c.inTransaction() {
		c.script("ROLLBACK")
	}
	return err
}

// uncommented drops the lines that are only a comment, as the last statement of
// a file would otherwise be followed by one that is empty.
func uncommented(sql string) string {
	lines := strings.Split(sql, "\n")
	return strings.Join(slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "--") }), "\n")
}
