package message

import (
	"slices"
	"strconv"
	"strings"
)

// parseContentType reads a Content-Type (RFC 2045 §5.1). What has no subtype is
// text/plain if it says text, as RFC 1049 had it, else opaque.
func parseContentType(s string) (typ, subtype string, params []Param) {
	typ, s = cutToken(s)
	s = skipCFWS(s)
	if strings.HasPrefix(s, "/") {
		subtype, s = cutToken(s[1:])
	}
	switch {
	case typ != "" && subtype != "":
	case typ == "text" || typ == "":
		typ, subtype = "text", "plain"
	default:
		typ, subtype = "application", "octet-stream"
	}
	return typ, subtype, parseParams(s)
}

// parseDisposition reads a Content-Disposition (RFC 2183 §2). Parameters without
// a type mean an attachment.
func parseDisposition(s string) (string, []Param) {
	disposition, rest := cutToken(s)
	params := parseParams(rest)
	if disposition == "" && params != nil {
		disposition = "attachment"
	}
	return disposition, params
}

// parseLanguages reads a Content-Language (RFC 3282).
func parseLanguages(s string) []string {
	var tags []string
	for s != "" && len(tags) < MaxParams {
		var tag string
		if tag, s = cutToken(s); tag != "" {
			tags = append(tags, tag)
		}
		if i := strings.IndexByte(s, ','); i >= 0 {
			s = s[i+1:]
		} else {
			s = ""
		}
	}
	return tags
}

// cutToken takes a token off the front, in lower case (RFC 2045 §5.1), after
// white space, comments and quotes that should not be there.
func cutToken(s string) (token, rest string) {
	s = strings.TrimLeft(skipCFWS(s), `"'`)
	n := 0
	for n < len(s) && isTokenByte(s[n]) {
		n++
	}
	return strings.ToLower(s[:n]), s[n:]
}

func isTokenByte(c byte) bool {
	return c > ' ' && c < 0x7f && strings.IndexByte(`()<>@,;:\"/[]?=`, c) < 0
}

// section is a parameter as it is written: whole, or a piece of one (RFC 2231).
type section struct {
	name, value string
	number      int  // of the piece; -1 if whole
	extended    bool // percent-encoded
}

// parseParams reads what follows the first word of a MIME field. It takes bare
// values with any bytes but a semicolon, since file names come unquoted.
func parseParams(s string) []Param {
	var params []Param
	var split []section
	for range MaxParams {
		i := strings.IndexByte(s, ';')
		if i < 0 {
			break
		}
		var sec section
		if sec, s = cutParam(s[i+1:]); sec.name == "" {
			continue
		}
		if sec.number < 0 && !sec.extended {
			params = appendParam(params, Param{sec.name, sec.value})
		} else {
			split = append(split, sec)
		}
	}
	return joinSections(params, split)
}

// appendParam adds a parameter unless there is one of that name.
func appendParam(params []Param, p Param) []Param {
	if slices.ContainsFunc(params, func(q Param) bool { return q.Name == p.Name }) {
		return params
	}
	return append(params, p)
}

// cutParam takes one "name=value" off the front; the name is empty if there is
// none.
func cutParam(s string) (sec section, rest string) {
	name, rest := cutToken(s)
	rest = skipCFWS(rest)
	if name == "" || !strings.HasPrefix(rest, "=") {
		return section{}, rest
	}
	sec = parseParamName(name)
	rest = skipCFWS(rest[1:])
	if strings.HasPrefix(rest, `"`) {
		sec.value, rest = cutQuoted(rest)
		return sec, rest
	}
	end := strings.IndexByte(rest, ';')
	if end < 0 {
		end = len(rest)
	}
	sec.value = strings.Trim(trimComment(rest[:end]), " \t")
	return sec, rest[end:]
}

// trimComment takes a comment off the end of an unquoted value that has no other
// parenthesis in it.
func trimComment(s string) string {
	if i := strings.IndexByte(s, '('); i > 0 && isSpace(s[i-1]) && strings.HasSuffix(strings.TrimRight(s, " \t"), ")") {
		return s[:i]
	}
	return s
}

// parseParamName takes apart name*number* (RFC 2231 §3 and §4).
func parseParamName(s string) section {
	sec := section{name: s, number: -1}
	s, sec.extended = strings.CutSuffix(s, "*")
	sec.name = s
	if base, digits, ok := strings.Cut(s, "*"); ok {
		if n, err := strconv.ParseUint(digits, 10, 16); err == nil {
			sec.name, sec.number = base, int(n)
		}
	}
	return sec
}

// joinSections puts the pieces of RFC 2231 parameters together and adds them. One
// so written replaces a plain one of its name, which is there for old programs.
func joinSections(params []Param, split []section) []Param {
	slices.SortStableFunc(split, func(a, b section) int {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		return a.number - b.number
	})
	for len(split) > 0 {
		name := split[0].name
		n := slices.IndexFunc(split, func(s section) bool { return s.name != name })
		if n < 0 {
			n = len(split)
		}
		p := Param{name, joinValue(split[:n])}
		if i := slices.IndexFunc(params, func(q Param) bool { return q.Name == name }); i >= 0 {
			params[i] = p
		} else {
			params = append(params, p)
		}
		split = split[n:]
	}
	return params
}

// joinValue decodes the pieces of one parameter, sorted by number.
func joinValue(pieces []section) string {
	charset := ""
	var raw []byte
	next := max(pieces[0].number, 0)
	for _, piece := range pieces {
		if piece.number > next {
			break // a piece is missing
		}
		if piece.number >= 0 && piece.number < next {
			continue // a second one of that number
		}
		next++
		value := piece.value
		if !piece.extended {
			raw = append(raw, value...)
			continue
		}
		if piece.number <= 0 {
			charset, value = cutCharset(value)
		}
		raw = appendPercentDecoded(raw, value)
		if piece.number < 0 {
			break
		}
	}
	return cleanText(decodeCharset(charset, raw))
}

// cutCharset takes charset'language' off the front (RFC 2231 §4).
func cutCharset(s string) (charset, value string) {
	charset, rest, ok := strings.Cut(s, "'")
	if !ok {
		return "", s
	}
	if _, value, ok = strings.Cut(rest, "'"); !ok {
		return "", s
	}
	return charset, value
}

func appendPercentDecoded(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if hi, lo := hexDigit(s[i+1]), hexDigit(s[i+2]); hi >= 0 && lo >= 0 {
				dst = append(dst, byte(hi<<4|lo))
				i += 2
				continue
			}
		}
		dst = append(dst, s[i])
	}
	return dst
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}
