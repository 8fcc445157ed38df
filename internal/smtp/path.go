package smtp

import (
	"slices"
	"strings"
	"unicode/utf8"

	"lockstep/internal/mail"
)

var errSyntax = mail.Errorf(mail.Invalid, "syntax error")

// parsePath reads a path (RFC 5321 §4.1.2) from the beginning of s and returns
// the address in it, without source route and needless quotes, and what follows.
// The null path is "". Without angle brackets it ends at a space, as some scripts
// write it.
func parsePath(s string) (address, rest string, err error) {
	s = strings.TrimLeft(s, " ")
	inner, rest, err := cutPath(s)
	if err != nil {
		return "", "", err
	}
	if rest != "" && rest[0] != ' ' {
		return "", "", errSyntax
	}
	if strings.HasPrefix(inner, "@") { // a source route, to be ignored (appendix C)
		_, after, found := strings.Cut(inner, ":")
		if !found {
			return "", "", errSyntax
		}
		inner = after
	}
	address, err = canonicalAddress(inner)
	return address, rest, err
}

func cutPath(s string) (inner, rest string, err error) {
	if s == "" {
		return "", "", errSyntax
	}
	if s[0] != '<' {
		inner, rest, _ = strings.Cut(s, " ")
		if rest != "" {
			rest = " " + rest
		}
		return inner, rest, nil
	}
	quoted := false
	for i := 1; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '>' && !quoted:
			return s[1:i], s[i+1:], nil
		}
	}
	return "", "", errSyntax
}

// canonicalAddress checks the form of a mailbox and drops quotes that are not
// needed, so that one mailbox has one spelling.
func canonicalAddress(a string) (string, error) {
	if a == "" || strings.EqualFold(a, "postmaster") {
		return a, nil
	}
	at := strings.LastIndexByte(a, '@')
	if at <= 0 || at == len(a)-1 || !utf8.ValidString(a) {
		return "", errSyntax
	}
	local, domain := a[:at], a[at+1:]
	if strings.ContainsAny(domain, " <>\"\t()\\,;") || hasControls(a) {
		return "", errSyntax
	}
	if local[0] != '"' {
		if !isDotString(local) {
			return "", errSyntax
		}
		return a, nil
	}
	text, ok := unquote(local)
	if !ok {
		return "", errSyntax
	}
	if isDotString(text) {
		return text + "@" + domain, nil
	}
	return a, nil
}

func unquote(q string) (string, bool) {
	if len(q) < 2 || q[len(q)-1] != '"' {
		return "", false
	}
	var b strings.Builder
	for i := 1; i < len(q)-1; i++ {
		switch q[i] {
		case '\\':
			i++
			if i == len(q)-1 {
				return "", false
			}
		case '"':
			return "", false
		}
		b.WriteByte(q[i])
	}
	return b.String(), true
}

// isDotString reports whether s needs no quotes. Dots at the ends or in a row,
// which are not allowed, are let through: such addresses are in use.
func isDotString(s string) bool {
	return s != "" && !strings.ContainsAny(s, " \t\"(),:;<>@[\\]") && !hasControls(s)
}

func hasControls(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// param is an ESMTP parameter, its keyword in upper case.
type param struct{ key, value string }

// parseParams reads the ESMTP parameters behind a path, in the order in which they
// come. One that comes twice is an error.
func parseParams(s string) ([]param, error) {
	var params []param
	for field := range strings.FieldsSeq(s) {
		key, value, _ := strings.Cut(field, "=")
		key = strings.ToUpper(key)
		if key == "" || slices.ContainsFunc(params, func(p param) bool { return p.key == key }) {
			return nil, errSyntax
		}
		params = append(params, param{key, value})
	}
	return params, nil
}

// decodeXtext reads xtext (RFC 3461 §4).
func decodeXtext(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '+' {
			if i+2 >= len(s) {
				return "", false
			}
			hi, lo := hexDigit(s[i+1]), hexDigit(s[i+2])
			if hi < 0 || lo < 0 {
				return "", false
			}
			c, i = byte(hi<<4|lo), i+2
		}
		b.WriteByte(c)
	}
	text := b.String()
	return text, utf8.ValidString(text) && !hasControls(text)
}

func hexDigit(c byte) int { return strings.IndexByte("0123456789ABCDEF", c) }
