package wire

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// separate appends a space before every member of a list but the first.
func separate(b []byte, i int) []byte {
	if i == 0 {
		return b
	}
	return append(b, ' ')
}

// appendWords appends a list in parentheses.
func appendWords[S ~string](b []byte, words []S) []byte {
	b = append(b, '(')
	for i, w := range words {
		b = append(separate(b, i), w...)
	}
	return append(b, ')')
}

// appendAString appends an astring in UTF-8, as a client may send it.
func appendAString(b []byte, s string) []byte { return appendAStringAs(b, s, true) }

func appendAStringAs(b []byte, s string, asUTF8 bool) []byte {
	if isAString(s) {
		return append(b, s...)
	}
	return appendStringAs(b, s, asUTF8, "+}\r\n")
}

// appendString appends a quoted string or a non-synchronising literal.
func appendString(b []byte, s string) []byte { return appendStringAs(b, s, true, "+}\r\n") }

// isAString says whether s can stand for itself as an astring. NIL cannot:
// where nstrings are read too, it would be none.
func isAString(s string) bool {
	for i := range len(s) {
		if !isAStringChar(s[i]) {
			return false
		}
	}
	return s != "" && !strings.EqualFold(s, "NIL")
}

// maxQuoted bounds the strings that are quoted; longer ones become literals, as
// some clients bound their lines.
const maxQuoted = 1000

// appendStringAs quotes s if that is allowed, else makes it a literal whose
// announcement ends as given. NUL, which no string may hold, becomes a space.
func appendStringAs(b []byte, s string, asUTF8 bool, literalEnd string) []byte {
	if canQuote(s, asUTF8) {
		return appendQuoted(b, s)
	}
	b = strconv.AppendInt(append(b, '{'), int64(len(s)), 10)
	b = append(b, literalEnd...)
	start := len(b)
	b = append(b, s...)
	for i := start; i < len(b); i++ {
		if b[i] == 0 {
			b[i] = ' '
		}
	}
	return b
}

func canQuote(s string, asUTF8 bool) bool {
	if len(s) > maxQuoted {
		return false
	}
	ascii := true
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\r' || c == '\n' || c == 0:
			return false
		case c >= 0x80:
			ascii = false
		}
	}
	return ascii || asUTF8 && utf8.ValidString(s)
}

func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	if strings.IndexByte(s, '"') < 0 && strings.IndexByte(s, '\\') < 0 {
		return append(append(b, s...), '"')
	}
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return append(b, '"')
}
