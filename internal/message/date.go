package message

import (
	"strings"
	"time"
)

// ParseDate reads the value of a Date field (RFC 5322 §3.3, the obsolete forms of
// §4.3) and what programs write in its place: two-digit and three-digit years, no
// seconds, no or a named zone, the order of asctime, ISO 8601. It says false when
// there is no day, month and year in it. Without a zone that makes sense it is
// UTC, without such a time midnight.
func ParseDate(value string) (time.Time, bool) {
	value = strings.Trim(value, " \t\r\n")
	value = value[:min(len(value), maxDateBytes)]
	if t, err := time.Parse(time.RFC3339, value); err == nil && inRange(t.Year()) {
		return inZone(t.Year(), t.Month(), t.Day(), [3]int{t.Hour(), t.Minute(), t.Second()}, zoneOf(t)), true
	}
	d := dateParser{day: -1, year: -1}
	for word := range strings.FieldsFuncSeq(joinClock(value), isDateSpace) {
		d.token(word)
	}
	return d.result()
}

func isDateSpace(r rune) bool { return r == ' ' || r == '\t' || r == ',' }

// joinClock takes comments away, and the space that RFC 5322 §4.3 allows around
// the colons of a time.
func joinClock(s string) string {
	for i := strings.IndexByte(s, '('); i >= 0; i = strings.IndexByte(s, '(') {
		_, rest := cutComment(s[i:])
		s = s[:i] + " " + rest
	}
	if strings.Contains(s, " :") || strings.Contains(s, ": ") {
		s = strings.ReplaceAll(strings.ReplaceAll(collapse(s), " :", ":"), ": ", ":")
	}
	return s
}

const maxDateBytes = 256

// inRange reports whether mail can have been sent in the year (RFC 5322 §3.3).
func inRange(year int) bool { return year >= 1900 && year <= 9999 }

func zoneOf(t time.Time) int {
	_, offset := t.Zone()
	return offset
}

// inZone makes a time whose zone has an offset and no name, so that equal dates
// are equal values.
func inZone(year int, month time.Month, day int, clock [3]int, offset int) time.Time {
	loc := time.UTC
	if offset != 0 {
		loc = time.FixedZone("", offset)
	}
	return time.Date(year, month, day, clock[0], clock[1], clock[2], 0, loc)
}

type dateParser struct {
	day, year int
	month     time.Month
	clock     [3]int
	hasClock  bool
	zone      int // seconds east
}

func (d *dateParser) token(s string) {
	switch {
	case strings.IndexByte(s, ':') > 0 && !d.hasClock:
		d.setClock(s)
	case s[0] == '+' || s[0] == '-':
		d.setOffset(s)
	case isDigit(s[0]) && strings.IndexByte(s, '-') > 0:
		for piece := range strings.SplitSeq(s, "-") { // 2-Jan-2006
			if piece != "" {
				d.token(piece)
			}
		}
	case isDigit(s[0]):
		d.setNumber(s)
	default:
		d.setWord(s)
	}
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// digits reads the number s begins with; n is how many digits it has.
func digits(s string) (value, n int) {
	for n < len(s) && n < 9 && isDigit(s[n]) {
		value = value*10 + int(s[n]-'0')
		n++
	}
	return value, n
}

// setClock reads hours:minutes[:seconds], and a zone that touches it.
func (d *dateParser) setClock(s string) {
	d.hasClock = true
	for i := range d.clock {
		v, n := digits(s)
		d.clock[i] = v
		s = s[n:]
		if !strings.HasPrefix(s, ":") {
			break
		}
		s = s[1:]
	}
	if i := strings.IndexAny(s, "+-"); i >= 0 {
		d.setOffset(s[i:])
	}
}

// setOffset reads +hhmm or +hh:mm.
func (d *dateParser) setOffset(s string) {
	v, n := digits(strings.Replace(s[1:], ":", "", 1))
	if n <= 2 {
		v *= 100
	}
	d.zone = (v/100*60 + v%100) * 60
	if s[0] == '-' {
		d.zone = -d.zone
	}
}

// setNumber takes the day of the month, then the year (RFC 5322 §4.3 for those of
// two and three digits).
func (d *dateParser) setNumber(s string) {
	v, n := digits(s)
	switch {
	case d.day < 0 && n <= 2:
		d.day = v
	case d.year >= 0:
	case n <= 2 && v < 50:
		d.year = 2000 + v
	case n <= 3:
		d.year = 1900 + v
	default:
		d.year = v
	}
}

// setWord takes a month or a zone; names of days are passed over.
func (d *dateParser) setWord(s string) {
	if i := strings.IndexAny(s, "+-"); i > 0 { // GMT+0200
		d.setOffset(s[i:])
		return
	}
	s = strings.ToLower(strings.TrimRight(s, ".;"))
	if d.month == 0 && len(s) >= 3 {
		if i := strings.Index("janfebmaraprmayjunjulaugsepoctnovdec", s[:3]); i >= 0 && i%3 == 0 {
			d.month = time.Month(i/3 + 1)
			return
		}
	}
	if hours, ok := zoneHours[s]; ok {
		d.zone = hours * 3600
	}
}

// zoneHours has the zones of RFC 5322 §4.3, and a few that are as plain. Military
// letters and others unknown count as -0000.
var zoneHours = map[string]int{"ut": 0, "gmt": 0, "utc": 0, "z": 0, "est": -5, "edt": -4, "cst": -6, "cdt": -5,
	"mst": -7, "mdt": -6, "pst": -8, "pdt": -7, "cet": 1, "cest": 2, "met": 1, "mest": 2, "jst": 9}

func (d *dateParser) result() (time.Time, bool) {
	if d.day < 1 || d.day > 31 || d.month == 0 || !inRange(d.year) {
		return time.Time{}, false
	}
	c := d.clock
	if c[0] > 23 || c[1] > 59 || c[2] > 60 {
		c = [3]int{} // RFC 5256 §2.2: the day still counts
	}
	if d.zone <= -24*3600 || d.zone >= 24*3600 {
		d.zone = 0
	}
	return inZone(d.year, d.month, d.day, c, d.zone), true
}
