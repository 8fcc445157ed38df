package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const document = "before\n" + tableBegins + tableHead +
	"| imap/wire.FuzzCommand | IMAP command | 1h2m3s | 50m0s | 12 345 678 | 20 | 75.0 % | 91.5 % | a hang, mended |\n" +
	tableEnds + "behind\n"

func TestLedgerIsWrittenAsItWasRead(t *testing.T) {
	l, err := parseLedger(document)
	if err != nil {
		t.Fatal(err)
	}
	e := l.of(target{"imap/wire", "FuzzCommand"})
	if e.ran != time.Hour+2*time.Minute+3*time.Second || e.spent != 50*time.Minute || e.execs != 12345678 || e.kept != 20 || e.findings != "a hang, mended" {
		t.Errorf("read %+v", e)
	}
	if got := l.text([]target{{"imap/wire", "FuzzCommand"}}); got != document {
		t.Errorf("got\n%s\nwant\n%s", got, document)
	}
}

func TestLedgerOfOtherColumnsIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"no marks":    "before\n",
		"eight cells": strings.Replace(document, "| 20 ", "", 1),
		"no time":     strings.Replace(document, "1h2m3s", "often", 1),
		"no count":    strings.Replace(document, "12 345 678", "many", 1),
		"a column":    strings.Replace(document, "| Kept |", "| Kept | More |", 1),
	} {
		if _, err := parseLedger(text); err == nil {
			t.Errorf("%s: it was read", name)
		}
	}
}

func TestNotesOfFuzzersEndInTheDocumentOnce(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("docs", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(ledgerFile, []byte(document), 0o644); err != nil {
		t.Fatal(err)
	}
	l, err := parseLedger(document)
	if err != nil {
		t.Fatal(err)
	}
	l.journal = filepath.Join(t.TempDir(), "cache", "ledger")
	command, session := target{"imap/wire", "FuzzCommand"}, target{"smtp", "FuzzSession"}
	for range 2 {
		if err := l.note(session, stint{time.Minute, 45 * time.Second, 500}); err != nil {
			t.Fatal(err)
		}
	}
	l.of(command).kept, l.of(command).measured = 7, true
	for range 2 { // the second time there is nothing new
		if err := l.write([]target{command, session}); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(ledgerFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| smtp.FuzzSession |  | 2m0s | 1m30s | 1 000 | 0 | – | – |  |\n", "| 12 345 678 | 7 |"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// reaching is coverage of a file of ten blocks of one statement.
func reaching(blocks ...int) coverage {
	c := coverage{}
	for i := range 10 {
		c[block{file: "f", line: i, statements: 1}] = false
	}
	for _, i := range blocks {
		c[block{file: "f", line: i, statements: 1}] = true
	}
	return c
}

func TestGreedyKeepsWhatAddsMost(t *testing.T) {
	kept := greedy(reaching(0), []finding{
		{input{"seed's own", nil}, reaching(0)},
		{input{"two", nil}, reaching(0, 1, 2)},
		{input{"three", nil}, reaching(2, 3, 4)},
		{input{"within two and three", nil}, reaching(1, 4)},
		{input{"too long", make([]byte, maxBytes+1)}, reaching(5, 6, 7, 8, 9)},
	})
	if got := fmt.Sprint(kept); got != "[{three []} {two []}]" {
		t.Errorf("kept %s", got)
	}
}

func TestGreedyKeepsNoMoreThanItsBound(t *testing.T) {
	known := coverage{}
	var found []finding
	for i := range maxInputs + 1 {
		found = append(found, finding{input{name: fmt.Sprint(i)}, coverage{block{line: i, statements: 1}: true}})
	}
	if kept := greedy(known, found); len(kept) != maxInputs {
		t.Errorf("kept %d", len(kept))
	}
}

func TestProfileIsRead(t *testing.T) {
	c, err := parseProfile([]byte("mode: set\nlockstep/internal/mail/uidset.go:10.2,12.3 2 1\nlockstep/internal/mail/uidset.go:14.2,14.9 1 0\n"))
	if err != nil {
		t.Fatal(err)
	}
	if n := (coverage{}).lacks(c); len(c) != 2 || n != 2 {
		t.Errorf("%d statements reached in %v", n, c)
	}
	if _, err := parseProfile([]byte("mode: set\nuidset.go:10.2 2 1\n")); err == nil {
		t.Error("a broken line was read")
	}
}

func TestCoverageIsOfTheFunctionsEntered(t *testing.T) {
	funcs := []function{{name: "a", line: 1, end: 9}, {name: "b", line: 11, end: 19}}
	share(funcs, block{line: 2, statements: 3}, true)
	share(funcs, block{line: 5, statements: 1}, false)
	share(funcs, block{line: 12, statements: 4}, false)
	share(funcs, block{line: 10, statements: 9}, true) // in none
	whole, entered := portions(funcs)
	if whole.String() != "37.5 %" || entered.String() != "75.0 %" || fmt.Sprint(funcs[0].missed) != "[5]" {
		t.Errorf("%v, %v, %+v", whole, entered, funcs)
	}
}

func TestTargetsAreChosenByPackageOrName(t *testing.T) {
	all := []target{{"imap", "FuzzSession"}, {"imap/wire", "FuzzCommand"}, {"imap/wire", "FuzzDate"}}
	for args, want := range map[string]string{"": "imap.FuzzSession imap/wire.FuzzCommand imap/wire.FuzzDate", "imap": "imap.FuzzSession", "imap/wire imap": "imap/wire.FuzzCommand imap/wire.FuzzDate imap.FuzzSession", "imap/wire.FuzzDate": "imap/wire.FuzzDate"} {
		got, err := choose(all, strings.Fields(args))
		if err != nil || strings.Trim(fmt.Sprint(got), "[]") != want {
			t.Errorf("%q: %v, %v, want %s", args, got, err, want)
		}
	}
	if _, err := choose(all, []string{"imap.FuzzNone"}); err == nil {
		t.Error("what is not there was chosen")
	}
}

func TestTheLastCountOfTheFuzzerIsTaken(t *testing.T) {
	said := "fuzz: elapsed: 3s, execs: 10 (3/sec), new interesting: 0 (total: 4)\nfuzz: elapsed: 6s, execs: 25 (5/sec), new interesting: 0 (total: 4)\nPASS\n"
	if n := executions([]byte(said)); n != 25 {
		t.Errorf("got %d", n)
	}
}

func TestRunningIsCountedToItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		done := make(chan struct{})
		ran := running(done)
		time.Sleep(10*tick + tick/2)
		close(done)
		if got := <-ran; got != 10*tick+tick/2 {
			t.Errorf("ran %v", got)
		}
	})
}
