package imap

import (
	"bytes"
	"errors"

	"lockstep/internal/message"
)

// finder looks for a needle in text that is written to it, of which it keeps as
// much as it must.
type finder struct {
	needle needle
	mapped []byte // not looked at yet, and what a match may begin in
	cut    []byte // the beginning of a character
	found  bool
}

// errFound ends the writing: there is nothing more to learn.
var errFound = errors.New("found")

const finderBytes = 32 << 10

func (f *finder) Write(b []byte) (int, error) {
	text := b
	if len(f.cut) > 0 {
		text = append(f.cut, b...)
		f.cut = nil
	}
	whole := len(text) - message.Unfinished(text)
	f.mapped = f.needle.by.fold(f.mapped, text[:whole])
	f.cut = append(f.cut, text[whole:]...)
	if len(f.mapped) > finderBytes+len(f.needle.text) {
		f.look()
	}
	if f.found {
		return len(b), errFound
	}
	return len(b), nil
}

// look searches what is there and keeps its end.
func (f *finder) look() {
	f.found = f.found || bytes.Contains(f.mapped, f.needle.text)
	keep := min(len(f.mapped), max(len(f.needle.text)-1, 0))
	f.mapped = append(f.mapped[:0], f.mapped[len(f.mapped)-keep:]...)
}

// end reports whether the needle was in all that was written.
func (f *finder) end() bool {
	f.look()
	return f.found
}
