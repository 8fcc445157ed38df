package imap

import (
	"bytes"
	"errors"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// casemap appends s as i;unicode-casemap compares it (RFC 5051 §2.3): each
// character in title case, then decomposed.
func casemap(b []byte, s []byte) []byte {
	for len(s) > 0 {
		if c := s[0]; c < utf8.RuneSelf {
			if c >= 'a' && c <= 'z' {
				c -= 'a' - 'A'
			}
			b, s = append(b, c), s[1:]
			continue
		}
		r, n := utf8.DecodeRune(s)
		b, s = appendDecomposed(b, unicode.ToTitle(r)), s[n:]
	}
	return b
}

func appendDecomposed(b []byte, r rune) []byte {
	var one [utf8.UTFMax]byte
	var scratch [64]byte
	return append(b, norm.NFKD.Append(scratch[:0], utf8.AppendRune(one[:0], r)...)...)
}

// needle is text to be found.
type needle []byte

func newNeedle(text string) needle { return casemap(nil, []byte(text)) }

// in reports whether the needle is a substring of text.
func (n needle) in(text string) bool {
	return len(n) == 0 || bytes.Contains(casemap(make([]byte, 0, len(text)+16), []byte(text)), n)
}

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
	whole := len(text) - unfinished(text)
	f.mapped = casemap(f.mapped, text[:whole])
	f.cut = append(f.cut, text[whole:]...)
	if len(f.mapped) > finderBytes+len(f.needle) {
		f.look()
	}
	if f.found {
		return len(b), errFound
	}
	return len(b), nil
}

// unfinished is how many bytes at the end of b begin a character that is not
// whole.
func unfinished(b []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if c := b[len(b)-n]; utf8.RuneStart(c) {
			if !utf8.FullRune(b[len(b)-n:]) {
				return n
			}
			return 0
		}
	}
	return 0
}

// look searches what is there and keeps its end.
func (f *finder) look() {
	f.found = f.found || bytes.Contains(f.mapped, f.needle)
	keep := min(len(f.mapped), max(len(f.needle)-1, 0))
	f.mapped = append(f.mapped[:0], f.mapped[len(f.mapped)-keep:]...)
}

// end reports whether the needle was in all that was written.
func (f *finder) end() bool {
	f.look()
	return f.found
}
