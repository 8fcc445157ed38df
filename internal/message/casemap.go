package message

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// AppendCasemap appends s to b as i;unicode-casemap compares it (RFC 5051 §2.3):
// each character in title case, then decomposed. Each character is mapped by
// itself, so that of two texts one is within the other if that is so of what they
// are mapped to, wherever they are cut between characters.
func AppendCasemap(b, s []byte) []byte {
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

// Unfinished is how many bytes at the end of b begin a character that is not
// whole.
func Unfinished(b []byte) int {
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
