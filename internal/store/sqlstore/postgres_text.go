package sqlstore

import (
	"strings"
	"unicode/utf8"
)

// PostgreSQL's text holds no NUL and nothing but UTF-8, and what strangers send has
// both. A byte that can't be in it is kept as one of the last code points there are,
// which nobody assigned; so are the bytes of these themselves.
const (
	firstKept = utf8.MaxRune - 0xff
	keptLead  = "\xf4\x8f" // how each of them begins
)

// toText makes a string storable; nearly all are as they come.
func toText(s string) string {
	if strings.IndexByte(s, 0) < 0 && utf8.ValidString(s) && !strings.Contains(s, keptLead) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == 0 || r == utf8.RuneError && n == 1 || r >= firstKept {
			for _, c := range []byte(s[i : i+n]) {
				b.WriteRune(firstKept + rune(c))
			}
		} else {
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

// fromText is the string again.
func fromText(b []byte) string {
	s := string(b)
	if !strings.Contains(s, keptLead) {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r >= firstKept {
			out = append(out, byte(r-firstKept))
		} else {
			out = append(out, s[i:i+n]...)
		}
		i += n
	}
	return string(out)
}
