package pim

import (
	"encoding/base64"
	"encoding/binary"
	"strings"
	"time"
	"unicode/utf16"
)

// Zone is a time zone by the two rules that a year of it has. The zero zone is UTC.
type Zone struct {
	Name     string // as the calendar has it
	standard int    // seconds east of UTC
	daylight int
	begins   transition // of daylight time, by the clock on the wall
	ends     transition
	saves    bool // it has daylight time
	location *time.Location
}

// transition is when the clock is changed in a year: on the week-th weekday of a
// month, 5 being the last.
type transition struct {
	month, weekday, week int
	hour, minute, second int
}

// in is the moment in a year, by the clock on the wall.
func (t transition) in(year int) time.Time {
	first := time.Date(year, time.Month(t.month), 1, t.hour, t.minute, t.second, 0, time.UTC)
	days := (t.weekday-int(first.Weekday())+7)%7 + 7*(t.week-1)
	at := first.AddDate(0, 0, days)
	if int(at.Month()) != t.month {
		at = at.AddDate(0, 0, -7)
	}
	return at
}

// transitionAt is the rule that a moment on the wall follows.
func transitionAt(t time.Time) transition {
	week := (t.Day()-1)/7 + 1
	if t.AddDate(0, 0, 7).Month() != t.Month() {
		week = 5
	}
	return transition{int(t.Month()), int(t.Weekday()), week, t.Hour(), t.Minute(), t.Second()}
}

// saving reports whether daylight time holds at a moment on the wall.
func (z Zone) saving(wall time.Time) bool {
	if !z.saves {
		return false
	}
	begins, ends := z.begins.in(wall.Year()), z.ends.in(wall.Year())
	if begins.Before(ends) {
		return !wall.Before(begins) && wall.Before(ends)
	}
	return !wall.Before(begins) || wall.Before(ends)
}

// utc is the moment when the clock on the wall shows wall.
func (z Zone) utc(wall time.Time) time.Time {
	if z.location != nil {
		return time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(), 0, z.location).UTC()
	}
	offset := z.standard
	if z.saving(wall) {
		offset = z.daylight
	}
	return wall.Add(-time.Duration(offset) * time.Second)
}

// wall is what the clock on the wall shows at a moment, as if that were UTC.
func (z Zone) wall(t time.Time) time.Time {
	if z.location != nil {
		_, offset := t.In(z.location).Zone()
		return t.UTC().Add(time.Duration(offset) * time.Second)
	}
	standard := t.UTC().Add(time.Duration(z.standard) * time.Second)
	if daylight := t.UTC().Add(time.Duration(z.daylight) * time.Second); z.saving(daylight) {
		return daylight
	}
	return standard
}

// zoneIn is the zone of a location, with the rules of a year.
func zoneIn(name string, location *time.Location, year int) Zone {
	z := Zone{Name: name, location: location}
	var changes []time.Time
	at := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
	_, z.standard = at.In(location).Zone()
	for at.Year() == year {
		_, until := at.In(location).ZoneBounds()
		if until.IsZero() || until.UTC().Year() != year {
			break
		}
		changes = append(changes, until.UTC())
		at = until.UTC()
	}
	if len(changes) != 2 {
		_, z.standard = time.Date(year, 12, 31, 0, 0, 0, 0, time.UTC).In(location).Zone()
		return z
	}
	_, before := changes[0].Add(-time.Second).In(location).Zone()
	_, after := changes[0].In(location).Zone()
	z.saves, z.standard, z.daylight = true, min(before, after), max(before, after)
	first := transitionAt(changes[0].Add(time.Duration(before) * time.Second))
	second := transitionAt(changes[1].Add(time.Duration(after) * time.Second))
	if z.begins, z.ends = first, second; after < before {
		z.begins, z.ends = second, first
	}
	return z
}

// blobSize is that of a TimeZone (MS-ASDTYPE §2.7.6).
const blobSize = 172

// Blob is the zone as ActiveSync says it, in base64: zeroes for UTC.
func (z Zone) Blob() string {
	b := make([]byte, 0, blobSize)
	if z.isUTC() {
		return base64.StdEncoding.EncodeToString(b[:blobSize])
	}
	name := z.Name
	if z.location != nil {
		name = z.location.String() // without a prefix that a program put before it
	}
	standard := windowsName(name)
	b = appendInt32(b, -z.standard/60)
	b = appendName(b, standard)
	b = appendTransition(b, z.ends, z.saves)
	b = appendInt32(b, 0)
	b = appendName(b, strings.Replace(standard, "Standard", "Daylight", 1))
	b = appendTransition(b, z.begins, z.saves)
	bias := 0
	if z.saves {
		bias = -(z.daylight - z.standard) / 60
	}
	return base64.StdEncoding.EncodeToString(appendInt32(b, bias))
}

func (z Zone) isUTC() bool { return z.standard == 0 && !z.saves }

func appendInt32(b []byte, n int) []byte {
	return binary.LittleEndian.AppendUint32(b, uint32(int32(n)))
}

// appendName writes 32 UTF-16 units, the last of them zero at least.
func appendName(b []byte, name string) []byte {
	units := utf16.Encode([]rune(name))
	units = units[:min(len(units), 31)]
	for _, u := range units {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return append(b, make([]byte, 2*(32-len(units)))...)
}

// appendTransition writes a SYSTEMTIME that is a rule: no year, and for the day the
// week in the month.
func appendTransition(b []byte, t transition, saves bool) []byte {
	if !saves {
		return append(b, make([]byte, 16)...)
	}
	for _, n := range []int{0, t.month, t.weekday, t.week, t.hour, t.minute, t.second, 0} {
		b = binary.LittleEndian.AppendUint16(b, uint16(n))
	}
	return b
}
