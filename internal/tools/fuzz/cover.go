package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// patience is how long the inputs of one measurement may take together.
const patience = 5 * time.Minute

// A block is a run of statements that are reached together or not at all.
type block struct {
	file                   string // as the compiler names it: lockstep/internal/…
	line, col, end, endCol int
	statements             int
}

// coverage tells of each block whether it was reached.
type coverage map[block]bool

// add takes over what more reached, and reports whether anything of it is new.
func (c coverage) add(more coverage) bool {
	fresh := c.lacks(more)
	for b, reached := range more {
		c[b] = c[b] || reached
	}
	return fresh > 0
}

// lacks counts the statements that more reached and c did not.
func (c coverage) lacks(more coverage) int {
	n := 0
	for b, reached := range more {
		if reached && !c[b] {
			n += b.statements
		}
	}
	return n
}

// parseProfile reads what -test.coverprofile writes.
func parseProfile(text []byte) (coverage, error) {
	c := coverage{}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "mode:") {
			continue
		}
		var b block
		var count int
		file, rest, ok := strings.Cut(strings.TrimSpace(line), ":")
		b.file = file
		_, err := fmt.Sscanf(rest, "%d.%d,%d.%d %d %d", &b.line, &b.col, &b.end, &b.endCol, &b.statements, &count)
		if !ok || err != nil {
			return nil, fmt.Errorf("a line of the coverage profile cannot be read: %q", line)
		}
		c[b] = c[b] || count > 0
	}
	return c, nil
}

// otherTypes is how Go says that an input is of a function with other parameters, as a
// target had before it was changed.
var (
	otherTypes    = regexp.MustCompile(`(?m)wrong number of values in corpus entry|mismatched types in corpus entry`)
	errOtherTypes = errors.New("an input has other types than the target takes")
)

// measure runs the inputs of the target whose names match, and returns what they reach.
func (w *workshop) measure(ctx context.Context, t target, names string) (coverage, error) {
	var pkgs []string
	for _, p := range t.covered() {
		pkgs = append(pkgs, "lockstep/internal/"+p)
	}
	file, err := w.binary(ctx, t, "-cover", "-covermode=set", "-coverpkg="+strings.Join(pkgs, ","))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	profile := filepath.Join(w.dir, "profile")
	cmd := exec.CommandContext(ctx, file, "-test.run=^"+t.name+"$/"+names, "-test.coverprofile="+profile)
	cmd.Dir = t.dir()
	if out, err := cmd.CombinedOutput(); otherTypes.Match(out) {
		return nil, errOtherTypes
	} else if err != nil {
		return nil, fmt.Errorf("%s fails on what it is known to bear: %w\n%s", t, err, bytes.TrimSpace(out))
	}
	text, err := os.ReadFile(profile)
	if err != nil {
		return nil, err
	}
	return parseProfile(text)
}

// A function is where one lies, and what was reached of it.
type function struct {
	file, name   string
	line, end    int
	reached, all int   // statements
	missed       []int // the lines where what was not reached begins
}

// byFunction divides the coverage among the functions of the packages, in the order of
// the files. What lies in no function, such as a variable's value, belongs to none.
func byFunction(c coverage) ([]function, error) {
	var funcs []function
	files := map[string]bool{}
	for b := range c {
		files[b.file] = true
	}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		found, err := functionsOf(file)
		if err != nil {
			return nil, err
		}
		for b, reached := range c {
			if b.file == file {
				share(found, b, reached)
			}
		}
		funcs = append(funcs, found...)
	}
	for _, f := range funcs {
		slices.Sort(f.missed)
	}
	return funcs, nil
}

// share gives the block to the function that it lies in.
func share(funcs []function, b block, reached bool) {
	i := slices.IndexFunc(funcs, func(f function) bool { return f.line <= b.line && b.line <= f.end })
	if i < 0 {
		return
	}
	funcs[i].all += b.statements
	if reached {
		funcs[i].reached += b.statements
	} else {
		funcs[i].missed = append(funcs[i].missed, b.line)
	}
}

func functionsOf(file string) ([]function, error) {
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, strings.TrimPrefix(file, "lockstep/"), nil, 0)
	if err != nil {
		return nil, err
	}
	var funcs []function
	for _, d := range parsed.Decls {
		if f, ok := d.(*ast.FuncDecl); ok {
			funcs = append(funcs, function{file: path.Base(file), name: f.Name.Name, line: set.Position(f.Pos()).Line, end: set.Position(f.End()).Line})
		}
	}
	return funcs, nil
}

// A portion is a number of statements out of those that there are.
type portion struct{ reached, all int }

func (p portion) String() string {
	if p.all == 0 {
		return "0 %"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(p.reached)/float64(p.all))
}

// portions sum up: of the whole packages, and of those of their functions that were
// entered at all, as a decoder is seldom a whole package.
func portions(funcs []function) (whole, entered portion) {
	for _, f := range funcs {
		whole.reached, whole.all = whole.reached+f.reached, whole.all+f.all
		if f.reached > 0 {
			entered.reached, entered.all = entered.reached+f.reached, entered.all+f.all
		}
	}
	return whole, entered
}

// missedAll prints where the functions that are entered were not reached.
func (w *workshop) missedAll(ctx context.Context, chosen []target) error {
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for _, t := range chosen {
		c, err := w.measure(ctx, t, ".")
		if err != nil {
			return err
		}
		funcs, err := byFunction(c)
		if err != nil {
			return err
		}
		whole, entered := portions(funcs)
		fmt.Fprintf(out, "%s: %v of the package, %v of what is entered\n", t, whole, entered)
		for _, f := range funcs {
			switch {
			case f.reached == 0:
				fmt.Fprintf(out, "  %s:%d %s is not entered\n", f.file, f.line, f.name)
			case len(f.missed) > 0:
				fmt.Fprintf(out, "  %s:%d %s %v, not lines %v\n", f.file, f.line, f.name, portion{f.reached, f.all}, f.missed)
			}
		}
	}
	return nil
}
