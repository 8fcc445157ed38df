package sqlstore

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"lockstep/internal/mail"
)

// A Taken is a step that a database has taken.
type Taken struct {
	Step      int
	ReadsFrom int       // the least schema a program has to know to work on the database
	At        time.Time // zero if it was taken before that was noted
	Program   string    // the version that took it; "" as before
	missed    bool      // a program that does not know the step has worked on the database since
}

// migration brings a database to the schema that this program knows. All that is
// left to do is one transaction: it is done, or the database is as it was and the
// version before can go on with it.
type migration struct {
	path    string
	steps   []step
	program string
	now     func() time.Time

	taken   []Taken
	pending []step  // known and not taken
	unknown []Taken // taken and not known
}

const (
	makeVersions = "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL) STRICT"
	hasVersions  = "SELECT 1 FROM sqlite_schema WHERE name = 'schema_version'"
	knowsFloors  = "SELECT 1 FROM pragma_table_info('schema_version') WHERE name = 'reads_from'"
	oldVersions  = "SELECT version, version, 0, '', 0 FROM schema_version ORDER BY version"
	versions     = "SELECT version, coalesce(reads_from, version), taken, program, missed FROM schema_version ORDER BY version"
	tookStep     = "INSERT INTO schema_version (version) VALUES (?1)"
	noteStep     = "UPDATE schema_version SET reads_from = ?2, taken = ?3, program = ?4 WHERE version = ?1"
	missStep     = "UPDATE schema_version SET missed = 1 WHERE version = ?1"
	caughtUp     = "UPDATE schema_version SET missed = 0 WHERE version = ?1"
)

// planMigration looks at what is to be done to the database at path. One that this
// program may not work on is refused.
func planMigration(c conn, path string, o Options) (*migration, error) {
	steps, err := readSteps(o.steps, o.stepsIn)
	if err != nil {
		return nil, err
	}
	m := &migration{path: path, steps: steps, program: o.Program, now: o.Now}
	if m.taken, err = takenSteps(c); err != nil {
		return nil, err
	}
	for _, s := range steps {
		// One may come to be after a later one; none below the first that was taken is missing.
		if len(m.taken) == 0 || s.number > m.taken[0].Step && !slices.ContainsFunc(m.taken, func(t Taken) bool { return t.Step == s.number }) {
			m.pending = append(m.pending, s)
		}
	}
	m.unknown = unknownTo(steps, m.taken)
	return m, m.refuse()
}

func takenSteps(c conn) ([]Taken, error) {
	there, err := one(c, hasVersions, func(row) {})
	if err != nil || !there {
		return nil, err
	}
	sql := oldVersions
	if knows, err := one(c, knowsFloors, func(row) {}); err != nil {
		return nil, err
	} else if knows {
		sql = versions
	}
	var taken []Taken
	err = c.query(sql, func(r row) error {
		t := Taken{Step: int(r.num(0)), ReadsFrom: int(r.num(1)), Program: r.text(3), missed: r.num(4) != 0}
		if at := r.num(2); at != 0 {
			t.At = unstamp(at)
		}
		taken = append(taken, t)
		return nil
	})
	return taken, err
}

func unknownTo(steps []step, taken []Taken) []Taken {
	var unknown []Taken
	for _, t := range taken {
		if !slices.ContainsFunc(steps, func(s step) bool { return s.number == t.Step }) {
			unknown = append(unknown, t)
		}
	}
	return unknown
}

// A NewerError says that a database was upgraded to what this program can't work on.
type NewerError struct {
	Schema int    // of the database
	Needs  int    // the least schema a program has to know
	Knows  int    // this one
	By     string // the version that upgraded it; "" if that was not noted
	Kept   string // a snapshot that this program can work on; "" is none
}

func (e *NewerError) Error() string { return fmt.Sprintf("schema %d", e.Schema) }

// words say it to who started the program.
func (e *NewerError) words() string {
	by := "a newer version of this program"
	if e.By != "" {
		by = "version " + e.By
	}
	text := fmt.Sprintf("it was upgraded by %s to what needs a version that knows schema %d at least, and this one knows %d", by, e.Needs, e.Knows)
	if e.Needs <= e.Knows {
		text = fmt.Sprintf("it was upgraded by %s in another way than this one does", by)
	}
	text += ". Nothing was changed: start that version again"
	if e.Kept == "" {
		return text
	}
	return text + ", or go back to how it was before the upgrade (" + e.Kept + "): lockstep upgrade back"
}

// refuse is Unavailable when the database is not for this program.
func (m *migration) refuse() error {
	if len(m.unknown) == 0 {
		return nil
	}
	last, known := m.unknown[len(m.unknown)-1], lastOf(m.steps)
	refused := len(m.pending) > 0 // the two went different ways: nobody has tried them on each other
	needs := 0
	for _, t := range m.unknown {
		needs = max(needs, t.ReadsFrom)
		refused = refused || t.ReadsFrom > known || t.ReadsFrom == t.Step
	}
	if !refused {
		return nil
	}
	err := &NewerError{Schema: last.Step, Needs: needs, Knows: known, By: last.Program}
	if kept, _ := backTo(m.path, last.Step, known); kept.Path != "" { // what can't be looked at does not help
		err.Kept = kept.Path
	}
	return &mail.Error{Kind: mail.Unavailable, Detail: err.words(), Err: err}
}

// schema is the last step that the database has taken; 0 is none.
func (m *migration) schema() int {
	if len(m.taken) == 0 {
		return 0
	}
	return m.taken[len(m.taken)-1].Step
}

// missed are the steps of ours that a program without them has worked beside.
func (m *migration) missed() []step {
	return slices.DeleteFunc(slices.Clone(m.steps), func(s step) bool {
		return !slices.ContainsFunc(m.taken, func(t Taken) bool { return t.Step == s.number && t.missed })
	})
}

// toMiss are the unknown steps that were not noted yet.
func (m *migration) toMiss() []Taken {
	return slices.DeleteFunc(slices.Clone(m.unknown), func(t Taken) bool { return t.missed })
}

// run does what is left, in one transaction, and tells of each step before it.
func (m *migration) run(c conn, tell func(Upgrade)) (err error) {
	if len(m.pending)+len(m.missed())+len(m.toMiss()) == 0 {
		return nil
	}
	if err := begin(c); err != nil {
		return err
	}
	defer func() {
		if err != nil && c.inTransaction() {
			rollback(c)
		}
	}()
	for _, t := range m.toMiss() {
		if _, err := c.exec(missStep, t.Step); err != nil {
			return err
		}
	}
	if err := m.catchUp(c); err != nil {
		return err
	}
	if err := m.takeAll(c, tell); err != nil {
		return err
	}
	return c.commit()
}

// catchUp does again what a program did not know of.
func (m *migration) catchUp(c conn) error {
	missed := m.missed()
	for _, s := range missed {
		if err := c.script(s.again); err != nil {
			return fmt.Errorf("%s, again: %w", s.name, err)
		}
		if _, err := c.exec(caughtUp, s.number); err != nil {
			return err
		}
	}
	if len(missed) == 0 {
		return nil
	}
	return dropOrphans(c)
}

// dropOrphans deletes the rows of accounts that are gone: a program that does not
// know a table leaves them when it removes an account.
func dropOrphans(c conn) error {
	for _, table := range accountTables {
		sql := strings.ReplaceAll("DELETE FROM TABLE WHERE account_id NOT IN (SELECT account_id FROM account)", "TABLE", table.name)
		if _, err := c.exec(sql); err != nil {
			return err
		}
	}
	return nil
}

func (m *migration) takeAll(c conn, tell func(Upgrade)) error {
	if len(m.pending) == 0 {
		return nil
	}
	if _, err := c.exec(makeVersions); err != nil {
		return err
	}
	for i, s := range m.pending {
		if len(m.taken) > 0 { // what is new is no upgrade
			tell(Upgrade{Step: s.name, Done: int64(i), Of: int64(len(m.pending))})
		}
		if err := c.script(s.sql + s.again); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if _, err := c.exec(tookStep, s.number); err != nil {
			return err
		}
	}
	if knows, err := one(c, knowsFloors, func(row) {}); err != nil || !knows {
		return err
	}
	for _, s := range m.pending {
		if _, err := c.exec(noteStep, s.number, s.readsFrom, m.now(), m.program); err != nil {
			return err
		}
	}
	return nil
}
