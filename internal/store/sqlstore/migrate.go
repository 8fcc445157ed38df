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

// migrate brings the schema up to date, each step in one transaction. A
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
	version := 0
	if _, err := one(c, "SELECT version FROM schema_version", func(r row) { version = int(r.num(0)) }); err != nil {
		return err
	}
	if version > len(names) {
		return mail.Errorf(mail.Unavailable, "the database was written by a newer version of this program (schema %d, this one knows %d)", version, len(names))
	}
	for i, name := range names[version:] {
		if err := step(c, name, version+i+1); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func step(c conn, name string, version int) error {
	if !strings.HasPrefix(name, fmt.Sprintf("migrations/%04d_", version)) {
		return fmt.Errorf("is not number %d", version)
	}
	text, err := migrations.ReadFile(name)
	if err != nil {
		return err
	}
	if err := begin(c); err != nil {
		return err
	}
	err = c.script(uncommented(string(text)))
	if err == nil {
		_, err = c.exec("DELETE FROM schema_version")
	}
	if err == nil {
		_, err = c.exec("INSERT INTO schema_version (version) VALUES (?1)", version)
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
