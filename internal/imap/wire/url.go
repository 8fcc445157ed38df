package wire

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"lockstep/internal/mail"
)

// URL is an IMAP URL of a message, or of a piece of one (RFC 5092 §6).
type URL struct {
	Server      string // host, with a port if it has one; "" in a URL that begins with the mailbox
	User        string // "" when not given
	Mailbox     string // "" in a URL that begins with the UID: the selected one
	UIDValidity mail.UIDValidity
	UID         mail.UID
	Section     Section
	Partial     *Partial // nil for all of it
}

// ParseURL reads an imap URL or one relative to a server or mailbox (RFC 5092 §7).
// Those of a server, of a list of messages and of URLAUTH are not read.
func ParseURL(s string) (URL, bool) {
	var u URL
	rest, ok := u.server(s)
	if !ok {
		return URL{}, false
	}
	if rest, ok = u.mailbox(rest); !ok {
		return URL{}, false
	}
	digits := leadingDigits(rest)
	n, ok := nzNumber(digits)
	u.UID = mail.UID(n)
	return u, ok && u.piece(rest[len(digits):])
}

// server takes what comes before the path.
func (u *URL) server(s string) (rest string, ok bool) {
	const scheme = "imap:"
	if hasPrefixFold(s, scheme) {
		s = s[len(scheme):]
		if !strings.HasPrefix(s, "//") {
			return "", false
		}
	}
	if !strings.HasPrefix(s, "//") {
		return s, true
	}
	authority, rest, ok := strings.Cut(s[2:], "/")
	if !ok {
		return "", false
	}
	user, host, hasUser := strings.Cut(authority, "@")
	if !hasUser {
		user, host = "", authority
	}
	if i := indexFold(user, ";AUTH="); i >= 0 {
		if user[i+len(";AUTH="):] == "" {
			return "", false
		}
		user = user[:i]
	}
	u.Server = host
	u.User, ok = unescape(user, false)
	return "/" + rest, ok && host != "" && isHost(host)
}

// isHost reports whether s can be a host and a port: who resolves it judges.
func isHost(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isAlnum(c) && strings.IndexByte("-._~:[]", c) < 0 {
			return false
		}
	}
	return true
}

// mailbox takes "/mailbox;UIDVALIDITY=n/;UID=", or only ";UID=".
func (u *URL) mailbox(s string) (rest string, ok bool) {
	const uid = ";UID="
	if u.Server == "" && hasPrefixFold(s, uid) {
		return s[len(uid):], true
	}
	i := indexFold(s, "/"+uid)
	if i <= 0 || s[0] != '/' {
		return "", false
	}
	name, rest := s[1:i], s[i+1+len(uid):]
	if j := indexFold(name, ";UIDVALIDITY="); j >= 0 {
		n, ok := nzNumber(name[j+len(";UIDVALIDITY="):])
		if !ok {
			return "", false
		}
		u.UIDValidity, name = mail.UIDValidity(n), name[:j]
	}
	if hasDotSegment(name) {
		return "", false
	}
	u.Mailbox, ok = unescape(name, true)
	return rest, ok && u.Mailbox != ""
}

// hasDotSegment reports whether a path would first have to be resolved.
func hasDotSegment(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

// piece takes "/;SECTION=…/;PARTIAL=…", both of which may be missing.
func (u *URL) piece(s string) bool {
	const section, partial = "/;SECTION=", "/;PARTIAL="
	if i := indexFold(s, partial); i >= 0 {
		if u.Partial = partialRange(s[i+len(partial):]); u.Partial == nil {
			return false
		}
		s = s[:i]
	}
	if s == "" {
		return true
	}
	if !hasPrefixFold(s, section) {
		return false
	}
	spec, ok := unescape(s[len(section):], true)
	if !ok || spec == "" {
		return false
	}
	u.Section, ok = parseSection(spec)
	return ok
}

// partialRange reads partial-range: an offset, and a length or all that follows.
func partialRange(s string) *Partial {
	first, second, bounded := strings.Cut(s, ".")
	offset, ok := parseDigits(first)
	length := int64(math.MaxInt64)
	if bounded && ok {
		length, ok = parseDigits(second)
		ok = ok && length > 0
	}
	if !ok {
		return nil
	}
	return &Partial{offset, length}
}

// parseSection reads section-spec outside a command: literals are not allowed.
func parseSection(spec string) (Section, bool) {
	p := &parser{limits: Limits{Items: Limits{}.orDefault().Items, Literals: -1}, buf: []byte("[" + spec + "]")}
	s := p.section()
	return s, !p.failed() && p.atEnd()
}

func parseDigits(s string) (int64, bool) {
	if leadingDigits(s) != s {
		return 0, false
	}
	return parseNumber([]byte(s))
}

func leadingDigits(s string) string {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return s[:n]
}

func nzNumber(s string) (uint32, bool) {
	n, ok := parseDigits(s)
	return uint32(n), ok && n > 0 && n <= math.MaxUint32
}

func isAlnum(c byte) bool { return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || isDigit(c) }

// isURLChar is achar of RFC 5092 §11, or bchar in a path; not the percent sign.
func isURLChar(c byte, path bool) bool {
	return isAlnum(c) || strings.IndexByte("-._~!$'()*+,&=", c) >= 0 || path && strings.IndexByte(":@/", c) >= 0
}

// unescape undoes the percent-encoding of UTF-8 text.
func unescape(s string, path bool) (string, bool) {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '%' && i+2 < len(s):
			n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil || n == 0 {
				return "", false
			}
			b = append(b, byte(n))
			i += 2
		case isURLChar(c, path):
			b = append(b, c)
		default:
			return "", false
		}
	}
	return string(b), utf8.Valid(b)
}

// escape percent-encodes what may not stand for itself.
func escape(b []byte, s string, path bool) []byte {
	for i := range len(s) {
		if isURLChar(s[i], path) {
			b = append(b, s[i])
		} else {
			b = append(b, '%', "0123456789ABCDEF"[s[i]>>4], "0123456789ABCDEF"[s[i]&15])
		}
	}
	return b
}

// String writes the URL as ParseURL reads it.
func (u URL) String() string {
	var b []byte
	if u.Server != "" {
		b = append(b, "imap://"...)
		if u.User != "" {
			b = append(escape(b, u.User, false), '@')
		}
		b = append(b, u.Server...)
	}
	if u.Mailbox != "" {
		b = u.appendMailbox(append(b, '/'))
	}
	b = strconv.AppendUint(append(b, ";UID="...), uint64(u.UID), 10)
	if section := u.Section.appendTo(nil); len(section) > 0 {
		b = escape(append(b, "/;SECTION="...), string(section), true)
	}
	if u.Partial != nil {
		b = strconv.AppendInt(append(b, "/;PARTIAL="...), u.Partial.Offset, 10)
		if u.Partial.Length < math.MaxInt64 {
			b = strconv.AppendInt(append(b, '.'), u.Partial.Length, 10)
		}
	}
	return string(b)
}

// appendMailbox appends imailbox-ref and the slash behind it. Segments that would
// be resolved are encoded, and a slash that would make a server of what follows.
func (u URL) appendMailbox(b []byte) []byte {
	name := u.Mailbox
	if u.Server == "" && strings.HasPrefix(name, "/") {
		b, name = append(b, "%2F"...), name[1:]
	}
	for i, segment := range strings.Split(name, "/") {
		if i > 0 {
			b = append(b, '/')
		}
		if hasDotSegment(segment) {
			b = append(b, strings.ReplaceAll(segment, ".", "%2E")...)
			continue
		}
		b = escape(b, segment, true)
	}
	if u.UIDValidity > 0 {
		b = strconv.AppendUint(append(b, ";UIDVALIDITY="...), uint64(u.UIDValidity), 10)
	}
	return append(b, '/')
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// indexFold is strings.Index ignoring the case of ASCII.
func indexFold(s, what string) int {
	for i := 0; i+len(what) <= len(s); i++ {
		if strings.EqualFold(s[i:i+len(what)], what) {
			return i
		}
	}
	return -1
}
