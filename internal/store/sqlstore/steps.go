package sqlstore

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

//go:embed migrations/*.sql migrations/postgres/*.sql
var migrations embed.FS

// A step is one migration of the schema. Its file may say two things beside what it
// does (docs/releases.md says when to):
//
//	-- reads from: 0026
//	-- again:
//
// The first is the least schema that a program has to know, to read and write a
// database that has taken the step; else only who knows the step may. What comes
// after the second is run with the step, and once more whenever a program that does
// not know the step had the database: it fills what that one left out.
type step struct {
	number    int
	name      string
	readsFrom int
	sql       string
	again     string
}

const (
	saysReadsFrom = "-- reads from: "
	saysAgain     = "-- again:"
)

// Where the steps of each engine lie. One number is one step, whatever the engine.
const (
	sqliteSteps   = "migrations"
	postgresSteps = "migrations/postgres"
)

// readSteps returns the migrations in a directory, by number.
func readSteps(files fs.FS, dir string) ([]step, error) {
	if dir == "" {
		dir = sqliteSteps
	}
	names, err := fs.Glob(files, path.Join(dir, "*.sql"))
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var all []step
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		s, err := parseStep(strings.TrimSuffix(path.Base(name), ".sql"), string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if n := len(all); n > 0 && all[n-1].number == s.number {
			return nil, fmt.Errorf("%s: there are two of that number", name)
		}
		all = append(all, s)
	}
	return all, nil
}

func parseStep(name, text string) (s step, err error) {
	s.name = name
	if _, err := fmt.Sscanf(name, "%04d_", &s.number); err != nil {
		return s, err
	}
	s.readsFrom = s.number
	var sql [2][]string // the step, and what is run again
	part := 0
	for line := range strings.Lines(text) {
		from, found := strings.CutPrefix(line, saysReadsFrom)
		switch {
		case found:
			if _, err := fmt.Sscanf(from, "%d", &s.readsFrom); err != nil || s.readsFrom >= s.number {
				return s, fmt.Errorf("it reads from a schema before its own, not %q", strings.TrimSpace(from))
			}
		case strings.TrimSpace(line) == saysAgain:
			part = 1
		case !strings.HasPrefix(line, "--"): // after the last statement it would be one that is empty
			sql[part] = append(sql[part], line)
		}
	}
	s.sql, s.again = strings.Join(sql[0], ""), strings.Join(sql[1], "")
	return s, nil
}

// Knows is the last step of the schema that this program knows.
func Knows() int {
	all, err := readSteps(migrations, sqliteSteps)
	if err != nil {
		panic(err) // they are embedded
	}
	return lastOf(all)
}

// lastOf is the number of the last step.
func lastOf(steps []step) int { return steps[len(steps)-1].number }
