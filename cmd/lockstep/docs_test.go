package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// A merge of two that moved a section leaves it there twice.
func TestNoSectionOfADocumentStandsTwice(t *testing.T) {
	for name, text := range documents(t) {
		seen := make(map[string]bool)
		for _, h := range headings(text) {
			if seen[h] {
				t.Errorf("%s has %q twice", name, h)
			}
			seen[h] = true
		}
	}
}

func TestLinksWithinOperationsLead(t *testing.T) {
	text := documents(t)["operations.md"]
	anchors := make(map[string]bool)
	for _, h := range headings(text) {
		anchors[anchor(h)] = true
	}
	for _, link := range regexp.MustCompile(`\]\(#([^)]*)\)`).FindAllStringSubmatch(text, -1) {
		if !anchors[link[1]] {
			t.Errorf("no section is #%s", link[1])
		}
	}
}

// What stands in the blocks of operations.md is typed as it stands.
func TestCommandsOfOperationsExist(t *testing.T) {
	var c commands
	parser, err := kong.New(&c, kong.Name("lockstep"))
	if err != nil {
		t.Fatal(err)
	}
	n, within := 0, false
	for line := range strings.Lines(documents(t)["operations.md"]) {
		if strings.HasPrefix(line, "```") {
			within = !within
		}
		line = strings.TrimPrefix(line, "sudo -u lockstep ")
		if within && strings.HasPrefix(line, "lockstep ") {
			n++
			checkCommand(t, parser.Model.Node, strings.Fields(line)[1:])
		}
	}
	if n < 40 {
		t.Errorf("only %d commands", n)
	}
}

// checkCommand follows the words of a line as long as they name commands, and looks for
// its flags there.
func checkCommand(t *testing.T, node *kong.Node, words []string) {
	t.Helper()
	line := strings.Join(words, " ")
	for len(words) > 0 {
		at := child(node, words[0])
		if at == nil {
			break
		}
		node, words = at, words[1:]
	}
	if node.DefaultCmd != nil {
		node = node.DefaultCmd
	}
	if node.Type == kong.ApplicationNode || len(node.Children) > 0 {
		t.Errorf("lockstep %s: no such command", line)
		return
	}
	known := map[string]bool{"help": true}
	for at := node; at != nil; at = at.Parent {
		for _, f := range at.Flags {
			known[f.Name] = true
		}
	}
	for _, w := range words {
		if w == "#" || w == ">" {
			return
		}
		if name, is := strings.CutPrefix(w, "--"); is && !known[name] {
			t.Errorf("lockstep %s: no flag --%s", line, name)
		}
	}
}

func child(node *kong.Node, name string) *kong.Node {
	for _, c := range node.Children {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// documents are the pages in docs, by their names.
func documents(t *testing.T) map[string]string {
	t.Helper()
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatal(pages, err)
	}
	all := make(map[string]string)
	for _, p := range pages {
		text, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(p)] = string(text)
	}
	return all
}

func headings(text string) (all []string) {
	for _, m := range regexp.MustCompile(`(?m)^#{2,} (.*)$`).FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return all
}

// anchor is what a link says of a heading.
func anchor(heading string) string {
	return strings.ReplaceAll(regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(heading), ""), " ", "-")
}
