package wire

import (
	"strings"
	"time"
)

// A Date is date of RFC 9051 §9: a day without time or zone.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// DateOf returns the day of t in its own zone.
func DateOf(t time.Time) Date {
	y, m, d := t.Date()
	return Date{y, m, d}
}

// Time returns the day's beginning in UTC.
func (d Date) Time() time.Time { return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC) }

// Compare orders days.
func (d Date) Compare(e Date) int { return d.Time().Compare(e.Time()) }

// String is the form 1-Feb-2026.
func (d Date) String() string { return string(d.appendTo(nil)) }

func (d Date) appendTo(b []byte) []byte { return d.Time().AppendFormat(b, "2-Jan-2006") }

const months = "janfebmaraprmayjunjulaugsepoctnovdec"

// ParseDate reads date-text: one or two digits of day, such as 1-Feb-2026.
func ParseDate(s string) (Date, bool) {
	day, rest, ok1 := strings.Cut(s, "-")
	month, year, ok2 := strings.Cut(rest, "-")
	if !ok1 || !ok2 || len(day) < 1 || len(day) > 2 || len(month) != 3 || len(year) != 4 {
		return Date{}, false
	}
	d, ok1 := digits(day)
	y, ok2 := digits(year)
	m := strings.Index(months, strings.ToLower(month))
	date := Date{y, time.Month(m/3 + 1), d}
	return date, ok1 && ok2 && m >= 0 && m%3 == 0 && DateOf(date.Time()) == date
}

// digits reads a number of up to nine digits and nothing else.
func digits(s string) (n int, ok bool) {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, s != "" && len(s) <= 9
}

const dateTimeFormat = "_2-Jan-2006 15:04:05 -0700"

// AppendDateTime appends date-time of RFC 9051 §9 without its quotes.
func AppendDateTime(b []byte, t time.Time) []byte { return t.AppendFormat(b, dateTimeFormat) }

// ParseDateTime reads date-time of RFC 9051 §9 without its quotes. A leap second
// becomes the second before it.
func ParseDateTime(s string) (time.Time, bool) {
	if len(s) != 26 || s[11] != ' ' || s[14] != ':' || s[17] != ':' || s[20] != ' ' {
		return time.Time{}, false
	}
	date, ok := ParseDate(strings.TrimPrefix(s[:11], " "))
	hour, ok1 := digits(s[12:14])
	minute, ok2 := digits(s[15:17])
	second, ok3 := digits(s[18:20])
	zone, ok4 := parseZone(s[21:])
	if !ok || !ok1 || !ok2 || !ok3 || !ok4 || hour > 23 || minute > 59 || second > 60 {
		return time.Time{}, false
	}
	return time.Date(date.Year, date.Month, date.Day, hour, minute, min(second, 59), 0, zone), true
}

// parseZone reads zone: +hhmm or -hhmm.
func parseZone(s string) (*time.Location, bool) {
	hours, ok1 := digits(s[1:3])
	minutes, ok2 := digits(s[3:5])
	seconds := hours*3600 + minutes*60
	switch {
	case !ok1 || !ok2 || hours > 23 || minutes > 59 || s[0] != '+' && s[0] != '-':
		return nil, false
	case seconds == 0:
		return time.UTC, true
	case s[0] == '-':
		seconds = -seconds
	}
	return time.FixedZone("", seconds), true
}

// date reads date-text, quoted or not.
func (p *parser) date() Date {
	quoted := p.accept('"')
	d, ok := ParseDate(string(p.while(isWordChar)))
	if !ok {
		p.expected("a date such as 1-Feb-2026")
	}
	if quoted {
		p.expect('"', `"`)
	}
	return d
}

func (p *parser) dateTime() time.Time {
	if p.peek() != '"' {
		p.expected("a date-time")
		return time.Time{}
	}
	t, ok := ParseDateTime(p.quoted())
	if !ok {
		p.expected(`a date-time such as " 1-Feb-2026 03:04:05 +0000"`)
	}
	return t
}
