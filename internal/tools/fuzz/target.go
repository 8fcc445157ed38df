package main

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// A target is one fuzz function of a package below internal.
type target struct {
	pkg  string // below internal, with slashes: imap/wire
	name string // FuzzCommand
}

func (t target) String() string { return t.pkg + "." + t.name }
func (t target) dir() string    { return filepath.Join("internal", filepath.FromSlash(t.pkg)) }
func (t target) corpus() string { return filepath.Join(t.dir(), "testdata", "fuzz", t.name) }

// drives are the packages whose coverage counts for a target, where these are not its
// own alone.
var drives = map[string][]string{
	"imap.FuzzSession": {"imap", "imap/wire"},
	"imap.FuzzSASL":    {"imap", "auth"},
	"pop3.FuzzSASL":    {"pop3", "auth"},
	"smtp.FuzzSASL":    {"smtp", "auth"},
}

// covered are the packages whose coverage counts for the target.
func (t target) covered() []string {
	if more, ok := drives[t.String()]; ok {
		return more
	}
	return []string{t.pkg}
}

var fuzzFunc = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`)

// allTargets reads the tests of the repository at root for fuzz functions.
func allTargets(root string) ([]target, error) {
	var all []target
	internal := filepath.Join(root, "internal")
	err := filepath.WalkDir(internal, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(file, "_test.go") {
			return err
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		below, err := filepath.Rel(internal, filepath.Dir(file))
		if err != nil {
			return err
		}
		for _, m := range fuzzFunc.FindAllSubmatch(text, -1) {
			all = append(all, target{filepath.ToSlash(below), string(m[1])})
		}
		return nil
	})
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("no fuzz target below %s: run this at the top of the repository", internal)
	}
	slices.SortFunc(all, func(a, b target) int { return strings.Compare(a.String(), b.String()) })
	return all, err
}

// choose returns the targets that are named; all for no name.
func choose(all []target, names []string) ([]target, error) {
	if len(names) == 0 {
		return all, nil
	}
	var chosen []target
	for _, name := range names {
		had := len(chosen)
		for _, t := range all {
			if t.String() == name || t.pkg == path.Clean(name) {
				chosen = append(chosen, t)
			}
		}
		if len(chosen) == had {
			return nil, fmt.Errorf("no target is named %s: docs/fuzzing.md lists them", name)
		}
	}
	return chosen, nil
}
