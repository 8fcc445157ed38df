package itip

import (
	"iter"
	"strings"
	"unicode/utf8"

	"lockstep/internal/mail"
)

// A line is a content line, unfolded (RFC 5545 §3.1).
type line struct {
	name   string // upper case
	params string // as they stand, each with its semicolon
	value  string
	raw    string
}

// A component is an object's own lines, in order; those of what lies inside it are
// among them, with BEGIN and END.
type component struct {
	name  string
	lines []line
}

var errBroken = mail.Errorf(mail.Invalid, "the calendar object can't be read")

// parse takes a calendar object apart: its own properties, and the components right
// inside it.
func parse(text string) (calendar component, children []component, err error) {
	var open []string
	count := 0
	for raw := range strings.SplitSeq(unfold(text), "\n") {
		if strings.TrimSpace(raw) == "" {
			continue
		}
		l, ok := parseLine(raw)
		if l.name == "BEGIN" || l.name == "END" {
			l.value = strings.ToUpper(strings.TrimSpace(l.value)) // some write a space before it
		}
		switch {
		case count == MaxLines, !ok, len(open) == 0 && (l.name != "BEGIN" || calendar.name != ""):
			return calendar, nil, errBroken
		}
		count++
		depth := len(open)
		switch {
		case l.name == "BEGIN":
			open = append(open, l.value)
			if len(open) > 10 || len(children) == MaxComponents {
				return calendar, nil, errBroken
			}
		case l.name == "END" && l.value != open[depth-1]:
			return calendar, nil, errBroken
		case l.name == "END":
			open = open[:depth-1]
		}
		switch {
		case depth == 0:
			calendar.name = open[0]
		case depth == 1 && l.name == "BEGIN":
			children = append(children, component{name: open[1]})
		case depth == 1:
			calendar.lines = append(calendar.lines, l)
		case len(open) > 1:
			c := &children[len(children)-1]
			c.lines = append(c.lines, l)
		}
	}
	if len(open) > 0 || calendar.name != "VCALENDAR" {
		return calendar, nil, errBroken
	}
	return calendar, children, nil
}

// unfold joins the lines that were folded, and makes every line end LF.
func unfold(text string) string {
	text = strings.ToValidUTF8(strings.ReplaceAll(text, "\r\n", "\n"), "\uFFFD")
	text = strings.NewReplacer("\n ", "", "\n\t", "").Replace(text)
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, text)
}

// parseLine finds the name, the parameters and the value. A colon in quotes belongs
// to a parameter.
func parseLine(raw string) (line, bool) {
	end := strings.IndexAny(raw, ";:")
	if end <= 0 {
		return line{}, false
	}
	quoted := false
	for i := end; i < len(raw); i++ {
		switch {
		case raw[i] == '"':
			quoted = !quoted
		case raw[i] == ':' && !quoted:
			return line{name: strings.ToUpper(raw[:end]), params: raw[end:i], value: raw[i+1:], raw: raw}, true
		}
	}
	return line{}, false
}

// own yields the lines that are not of something inside, such as an alarm.
func (c *component) own() iter.Seq[*line] {
	return func(yield func(*line) bool) {
		depth := 0
		for i := range c.lines {
			switch l := &c.lines[i]; {
			case l.name == "BEGIN":
				depth++
			case l.name == "END":
				depth--
			case depth == 0 && !yield(l):
				return
			}
		}
	}
}

// get is the first line of that name; nil if there is none.
func (c *component) get(name string) *line {
	for l := range c.own() {
		if l.name == name {
			return l
		}
	}
	return nil
}

// address is the mail address of a calendar user (RFC 5545 §3.3.3); "" if it has
// none. The nil line has none either.
func (l *line) address() string {
	const scheme = "mailto:"
	if l == nil || len(l.value) <= len(scheme) || !strings.EqualFold(l.value[:len(scheme)], scheme) {
		return ""
	}
	return l.value[len(scheme):]
}

// param is the value of a parameter without its quotes.
func (l *line) param(name string) string {
	rest := l.params
	for rest != "" {
		rest = rest[1:] // the semicolon
		end, quoted := 0, false
		for end < len(rest) && (quoted || rest[end] != ';') {
			quoted = quoted != (rest[end] == '"')
			end++
		}
		if key, value, ok := strings.Cut(rest[:end], "="); ok && strings.EqualFold(key, name) {
			return strings.ReplaceAll(value, `"`, "")
		}
		rest = rest[end:]
	}
	return ""
}

// lineWriter writes content lines, folded (RFC 5545 §3.1).
type lineWriter struct{ strings.Builder }

func (w *lineWriter) lines(all ...string) {
	const most = 75
	for _, l := range all {
		room := most
		for len(l) > room {
			n := room
			for !utf8.RuneStart(l[n]) {
				n--
			}
			w.WriteString(l[:n] + "\r\n ")
			l, room = l[n:], most-1
		}
		w.WriteString(l + "\r\n")
	}
}
