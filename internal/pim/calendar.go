package pim

import (
	"bytes"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-ical"

	"lockstep/internal/mail"
)

var errCalendar = mail.Errorf(mail.Invalid, "this is no iCalendar")

// readCalendar reads an iCalendar object in UTF-8. It is Invalid if it is none, or too
// large.
func readCalendar(r io.Reader) (*ical.Calendar, error) {
	text, err := io.ReadAll(io.LimitReader(r, MaxCalendarBytes+1))
	if err != nil {
		return nil, err
	}
	text = bytes.TrimLeft(text, "\ufeff \t\r\n")
	if len(text) > MaxCalendarBytes || bytes.Count(bytes.ToUpper(text), []byte("\nBEGIN:")) > MaxComponents || hasLongParams(text) {
		return nil, errCalendar
	}
	return decode(text)
}

// hasLongParams reports whether what stands before the value of a line is longer than
// MaxParamBytes, folded lines (RFC 5545 §3.1) together. The library puts parameters
// together byte by byte: what they cost grows with the square of their length.
func hasLongParams(text []byte) bool {
	length, quoted, inValue := 0, false, false
	for i, c := range text {
		switch {
		case c == '\n' && i+1 < len(text) && (text[i+1] == ' ' || text[i+1] == '\t'):
		case c == '\n':
			length, quoted, inValue = 0, false, false
		case inValue:
		case c == '"':
			quoted = !quoted
		case c == ':' && !quoted:
			inValue = true
		default:
			if length++; length > MaxParamBytes {
				return true
			}
		}
	}
	return false
}

// decode reads a calendar. The library panics on a line that ends inside its parameters
// (go-ical of March 2025): that is broken input too.
func decode(text []byte) (c *ical.Calendar, err error) {
	defer func() {
		if recover() != nil {
			c, err = nil, errCalendar
		}
	}()
	if c, err = ical.NewDecoder(bytes.NewReader(text)).Decode(); err != nil {
		return nil, errCalendar
	}
	return c, nil
}

// text is a property's text, "" if there is none.
func text(c *ical.Component, name string) string {
	p := c.Props.Get(name)
	if p == nil {
		return ""
	}
	s, err := p.Text()
	if err != nil {
		s = p.Value
	}
	return clip(strings.ToValidUTF8(s, "\uFFFD"))
}

// word is a property's value in upper case.
func word(c *ical.Component, name string) string {
	if p := c.Props.Get(name); p != nil {
		return strings.ToUpper(strings.TrimSpace(p.Value))
	}
	return ""
}

// clip cuts a text to MaxTextBytes, between characters.
func clip(s string) string {
	if len(s) <= MaxTextBytes {
		return s
	}
	n := MaxTextBytes
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
