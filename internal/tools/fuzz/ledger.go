package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ledgerFile has a table that begins and ends with these lines. The columns Decoder and
// Findings are people's; the others are written here.
const (
	ledgerFile  = "docs/fuzzing.md"
	tableBegins = "<!-- the ledger begins: go run ./internal/tools/fuzz keep writes it -->\n"
	tableEnds   = "<!-- the ledger ends -->\n"
	tableHead   = "| Target | Decoder | Fuzzed | Processor | Executions | Kept | Of the package | Of what is entered | Findings |\n" +
		"|---|---|---:|---:|---:|---:|---:|---:|---|\n"
)

// An entry is a row of the ledger.
type entry struct {
	decoder, findings string
	ran, spent        time.Duration // by the clock, and of a processor
	execs             int64
	kept              int    // inputs in testdata
	whole, entered    string // what the corpus reaches
	measured          bool   // here and now, rather than read
}

// The ledger is what each target had: what the document says, and what was done since,
// which lies as lines beside Go's cache until it is written into the document. So
// fuzzers may run beside each other, and the document changes when a person says so.
type ledger struct {
	entries map[string]*entry
	before  string // the text around the table
	behind  string
	journal string
}

func (e *entry) add(did stint) {
	e.ran, e.spent, e.execs = e.ran+did.ran, e.spent+did.spent, e.execs+did.execs
}

// openLedger reads both.
func openLedger(ctx context.Context) (*ledger, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOCACHE").Output()
	if err != nil {
		return nil, fmt.Errorf("asking go for GOCACHE: %w", err)
	}
	text, err := os.ReadFile(ledgerFile)
	if err != nil {
		return nil, err
	}
	l, err := parseLedger(string(text))
	if err != nil {
		return nil, err
	}
	l.journal = filepath.Join(strings.TrimSpace(string(out)), "fuzz", "lockstep", "ledger")
	lines, err := os.ReadFile(l.journal)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return nil, err
	}
	return l, l.addNotes(string(lines))
}

// parseLedger reads the document.
func parseLedger(text string) (*ledger, error) {
	before, rest, ok := strings.Cut(text, tableBegins)
	table, behind, ok2 := strings.Cut(rest, tableEnds)
	table, ok3 := strings.CutPrefix(table, tableHead)
	if !ok || !ok2 || !ok3 {
		return nil, fmt.Errorf("%s has no ledger between its marks, or one of other columns", ledgerFile)
	}
	l := &ledger{entries: map[string]*entry{}, before: before, behind: behind}
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 9 {
			return nil, fmt.Errorf("%s: a row of the ledger has not 9 cells: %s", ledgerFile, line)
		}
		for i, c := range cells {
			cells[i] = strings.TrimSpace(c)
		}
		e := &entry{decoder: cells[1], whole: cells[6], entered: cells[7], findings: cells[8]}
		var bad [4]error
		e.ran, bad[0] = time.ParseDuration(cells[2])
		e.spent, bad[1] = time.ParseDuration(cells[3])
		e.execs, bad[2] = strconv.ParseInt(strings.ReplaceAll(cells[4], " ", ""), 10, 64)
		e.kept, bad[3] = strconv.Atoi(cells[5])
		if err := errors.Join(bad[:]...); err != nil {
			return nil, fmt.Errorf("%s: a row of the ledger cannot be read: %s%w", ledgerFile, line, err)
		}
		l.entries[cells[0]] = e
	}
	return l, nil
}

// of is the entry of t, which is made if it had nothing.
func (l *ledger) of(t target) *entry { return l.named(t.String()) }

func (l *ledger) named(name string) *entry {
	if l.entries[name] == nil {
		l.entries[name] = &entry{whole: "–", entered: "–"}
	}
	return l.entries[name]
}

// note writes down a stint at once.
func (l *ledger) note(t target, did stint) error {
	l.of(t).add(did)
	if err := os.MkdirAll(filepath.Dir(l.journal), 0o755); err != nil {
		return err
	}
	return withJournal(l.journal, func(f *os.File) error {
		_, err := fmt.Fprintf(f, "%s %d %d %d\n", t, did.ran, did.spent, did.execs)
		return err
	})
}

// addNotes adds what was done since the document was written.
func (l *ledger) addNotes(lines string) error {
	for line := range strings.Lines(lines) {
		var name string
		var did stint
		if _, err := fmt.Sscanf(line, "%s %d %d %d", &name, &did.ran, &did.spent, &did.execs); err != nil {
			return fmt.Errorf("a note of the fuzzers cannot be read: %q: %w", line, err)
		}
		l.named(name).add(did)
	}
	return nil
}

// write brings the document up to date: with what was measured here, and all that the
// fuzzers noted, also since this ledger was opened. It lists all targets, and keeps no
// notes that it wrote.
func (l *ledger) write(all []target) error {
	return withJournal(l.journal, func(f *os.File) error {
		notes, err := io.ReadAll(f)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(ledgerFile)
		if err != nil {
			return err
		}
		now, err := parseLedger(string(text))
		if err != nil {
			return err
		}
		if err := now.addNotes(string(notes)); err != nil {
			return err
		}
		for name, e := range l.entries {
			if e.measured {
				n := now.named(name)
				n.kept, n.whole, n.entered = e.kept, e.whole, e.entered
			}
		}
		if err := os.WriteFile(ledgerFile, []byte(now.text(all)), 0o644); err != nil {
			return err
		}
		return f.Truncate(0)
	})
}

// withJournal opens the journal and holds it alone meanwhile.
func withJournal(name string, fn func(*os.File) error) error {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("locking %s: %w", name, err)
	}
	return fn(f)
}

// text is the document: the targets that there are, those of a decoder together.
func (l *ledger) text(all []target) string {
	rows := slices.Clone(all)
	slices.SortStableFunc(rows, func(a, b target) int { return cmp.Compare(l.of(a).rank(), l.of(b).rank()) })
	var b strings.Builder
	b.WriteString(l.before + tableBegins + tableHead)
	for _, t := range rows {
		e := l.of(t)
		fmt.Fprintf(&b, "| %s | %s | %v | %v | %s | %d | %s | %s | %s |\n", t, e.decoder, e.ran.Round(time.Second), e.spent.Round(time.Second), grouped(e.execs), e.kept, e.whole, e.entered, e.findings)
	}
	b.WriteString(tableEnds + l.behind)
	return b.String()
}

// rank sorts entries: those with a decoder by its name, then the others.
func (e *entry) rank() string { return cmp.Or(e.decoder, "\uffff") }

// grouped is n with its digits by threes.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + " " + s[i:]
	}
	return s
}
