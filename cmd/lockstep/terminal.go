package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"golang.org/x/term"

	"lockstep/internal/auth"
)

// said prints what was done, if it was.
func said(err error, format string, args ...any) error {
	if err == nil {
		fmt.Printf(format+"\n", args...)
	}
	return err
}

// readPassword asks for a password without showing it, twice if it is new; from
// what is no terminal it reads a line.
func readPassword(login string, isNew bool) (string, error) {
	in := int(os.Stdin.Fd())
	if !term.IsTerminal(in) {
		return readPasswordLine(os.Stdin)
	}
	fmt.Fprintf(os.Stderr, "Password for %s: ", login)
	first, err := term.ReadPassword(in)
	fmt.Fprintln(os.Stderr)
	if err != nil || !isNew {
		return string(first), err
	}
	fmt.Fprint(os.Stderr, "The same again: ")
	second, err := term.ReadPassword(in)
	fmt.Fprintln(os.Stderr)
	if err == nil && string(first) != string(second) {
		err = errors.New("the two passwords differ; nothing was changed")
	}
	return string(first), err
}

func readPasswordLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, auth.MaxPasswordBytes+2)).ReadString('\n')
	line = strings.TrimRight(line, "\r\n")
	if line == "" && (err == nil || err == io.EOF) {
		return "", errors.New("no password: type it when asked, or give it as one line on standard input")
	}
	if err == io.EOF {
		err = nil
	}
	return line, err
}

// confirm wants the answer typed.
func confirm(question, answer string) error {
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return errors.New("this asks before it acts, but standard input is no terminal: say --yes")
	}
	fmt.Fprint(os.Stderr, question)
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil && err != io.EOF {
		return err
	}
	if strings.TrimSpace(line) != answer {
		return errors.New("not confirmed; nothing was changed")
	}
	return nil
}

// table lines columns up.
type table struct {
	b strings.Builder
	w *tabwriter.Writer
}

func newTable(columns ...any) *table {
	t := &table{}
	t.w = tabwriter.NewWriter(&t.b, 0, 0, 2, ' ', 0)
	t.row(columns...)
	return t
}

func (t *table) row(cells ...any) {
	words := make([]string, len(cells))
	for i, c := range cells {
		words[i] = strings.Map(printable, fmt.Sprint(c))
	}
	fmt.Fprintln(t.w, strings.Join(words, "\t"))
}

// printable keeps what others chose, such as names of devices, from moving the
// cursor or the columns.
func printable(r rune) rune {
	if r < ' ' || r >= 0x7f && r < 0xa0 {
		return '?'
	}
	return r
}

func (t *table) print(to io.Writer) error {
	if err := t.w.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(t.b.String()) {
		if _, err := fmt.Fprintln(to, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

// bytesText is a size for people: three digits and a unit.
func bytesText(n int64) string {
	v, unit := float64(n), "B"
	for _, u := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if v < 1000 {
			break
		}
		v, unit = v/1024, u
	}
	if unit == "B" || v >= 99.95 {
		return fmt.Sprintf("%.0f %s", v, unit)
	}
	return fmt.Sprintf("%.1f %s", v, unit)
}

// isTerminal says whether colour and overwriting make sense.
func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" }
