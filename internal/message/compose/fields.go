package compose

import (
	"strings"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/message"
)

// The functions below write one header field whose name is given, for programs that
// put a header together themselves. Each writes a whole field, folded; what can't be
// written as that form is Invalid.

// IsFieldName reports whether a header field can be called so (RFC 5322 §2.2).
func IsFieldName(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f || s[i] == ':' {
			return false
		}
	}
	return s != "" && len(s) <= maxFieldName
}

// TextField writes an unstructured field, also an empty one.
func TextField(name, text string) ([]byte, error) {
	if len(text) > maxSubjectBytes {
		return nil, mail.Errorf(mail.Invalid, "it has at most %d bytes", maxSubjectBytes)
	}
	if b := appendText(nil, name, text); b != nil {
		return b, nil
	}
	return []byte(name + ":\r\n"), nil
}

// RawField writes a field as it is said: ASCII, folded already where it is long. White
// space before the value is added if there is none.
func RawField(name, value string) ([]byte, error) {
	if value != "" && value[0] != ' ' && value[0] != '\t' {
		value = " " + value
	}
	for i, line := range strings.Split(value, "\r\n") {
		switch {
		case i > 0 && (line == "" || line[0] != ' ' && line[0] != '\t'):
			return nil, mail.Errorf(mail.Invalid, "a line end stands before white space, or the field ends there")
		case strings.ContainsFunc(line, func(r rune) bool { return r != '\t' && r < ' ' || r >= 0x7f }):
			return nil, mail.Errorf(mail.Invalid, "a field as it stands in a message has only ASCII; as text it can have anything")
		case len(line) > maxLineBytes-len(name)-1:
			return nil, mail.Errorf(mail.Invalid, "a line of a header has at most %d bytes", maxLineBytes)
		}
	}
	return []byte(name + ":" + value + "\r\n"), nil
}

// DateField writes a date (RFC 5322 §3.3).
func DateField(name string, t time.Time) ([]byte, error) {
	if t.IsZero() || t.Year() < 1900 || t.Year() > 9999 {
		return nil, mail.Errorf(mail.Invalid, "no message has such a date")
	}
	return []byte(name + ": " + t.Format(time.RFC1123Z) + "\r\n"), nil
}

// IDField writes message ids, given without their brackets. Of more than MaxReferences
// the first and the newest are written.
func IDField(name string, ids []string) ([]byte, error) {
	for _, id := range ids {
		if !isID(id) {
			return nil, mail.Errorf(mail.Invalid, "a message id is printing ASCII without < and >, and has at most %d bytes", maxIDBytes)
		}
	}
	if b := appendIDs(nil, name, ids); b != nil {
		return b, nil
	}
	return []byte(name + ":\r\n"), nil
}

// URLField writes URLs (RFC 2369 §2).
func URLField(name string, urls []string) ([]byte, error) {
	var all []string
	for _, u := range urls {
		if !isID(u) {
			return nil, mail.Errorf(mail.Invalid, "a URL is printing ASCII without < and >, and has at most %d bytes", maxIDBytes)
		}
		all = append(all, "<"+u+">")
	}
	if all == nil {
		return []byte(name + ":\r\n"), nil
	}
	return appendField(nil, name, strings.Join(all, ", ")), nil
}

// A Group is some addresses in a row, under a name or under none (RFC 5322 §3.4).
type Group struct {
	Name      string
	IsNamed   bool
	Addresses []message.Address
}

// GroupField writes addresses as an author who is not done yet has typed them: what is
// none is kept, so that it can be put right later, in a form that every program reads.
func GroupField(name string, groups []Group) ([]byte, error) {
	n := 0
	var all []string
	for _, g := range groups {
		if n += len(g.Addresses); n > MaxRecipients {
			return nil, mail.Errorf(mail.Invalid, "a message has at most %d recipients", MaxRecipients)
		}
		var list []string
		for _, a := range g.Addresses {
			if s, ok := spellUnfinished(a); ok {
				list = append(list, s)
			}
		}
		switch text := strings.Join(list, ", "); {
		case g.IsNamed:
			all = append(all, phrase(g.Name)+": "+text+";")
		case text != "":
			all = append(all, text)
		}
	}
	if all == nil {
		return []byte(name + ":\r\n"), nil
	}
	return appendField(nil, name, strings.Join(all, ", ")), nil
}

// spellUnfinished is spell for what may be no address yet.
func spellUnfinished(a message.Address) (string, bool) {
	if s, ok := spell(a); ok {
		return s, true
	}
	text := strings.TrimSpace(cut(clean(addressText(a)), maxNameBytes))
	name := strings.TrimSpace(cut(clean(a.Name), maxNameBytes))
	if text == "" && name == "" {
		return "", false
	}
	if name == "" {
		return "<" + quoted(text) + ">", true
	}
	return phrase(name) + " <" + quoted(text) + ">", true
}

func addressText(a message.Address) string {
	if a.Host == "" || a.Host == message.MissingHost {
		return a.Mailbox
	}
	return a.Mailbox + "@" + a.Host
}

// phrase is a display name as it stands before an address.
func phrase(name string) string {
	name = strings.TrimSpace(cut(clean(name), maxNameBytes))
	if isASCII(name) && !strings.Contains(name, "=?") {
		return quoted(name)
	}
	return asciiOrWords(name)
}

var quoting = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

func quoted(s string) string { return `"` + quoting.Replace(s) + `"` }

// ParamField writes a field that has parameters (RFC 2045 §5.1, RFC 2183), each of
// them in RFC 2231 where it has to be.
func ParamField(name, value string, params []message.Param) []byte {
	return appendParams(nil, name, value, params)
}
