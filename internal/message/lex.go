package message

import "strings"

// skipCFWS takes white space and comments off the front (RFC 5322 §3.2.2). A
// comment that does not end goes to the end.
func skipCFWS(s string) string {
	for s != "" {
		switch {
		case isSpace(s[0]):
			s = s[1:]
		case s[0] == '(':
			_, s = cutComment(s)
		default:
			return s
		}
	}
	return s
}

// cutComment takes the comment s begins with off the front and returns what is
// in it. Comments nest.
func cutComment(s string) (text, rest string) {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return s[1:i], s[i+1:]
			}
		}
	}
	return s[1:], ""
}

// cutQuoted takes the quoted-string s begins with off the front and returns what
// it means (RFC 5322 §3.2.4). One that does not end goes to the end.
func cutQuoted(s string) (text, rest string) {
	s = s[1:]
	end := strings.IndexAny(s, `"\`)
	if end < 0 {
		return s, ""
	}
	if s[end] == '"' {
		return s[:end], s[end+1:]
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:]
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String(), ""
}

// cleanText takes the characters away that no parsed value has.
func cleanText(s string) string {
	if !strings.ContainsAny(s, "\r\n\x00") {
		return s
	}
	return dropControls(s)
}
