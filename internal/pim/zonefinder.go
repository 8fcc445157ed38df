package pim

import (
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // zones are the same wherever the server runs

	"github.com/emersion/go-ical"
)

// zoneFinder finds the zones that a calendar's times are in.
type zoneFinder map[string]*ical.Component // its VTIMEZONEs

func zonesOf(c *ical.Calendar) zoneFinder {
	f := zoneFinder{}
	for _, child := range c.Children {
		if child.Name == ical.CompTimezone {
			f[text(child, ical.PropTimezoneID)] = child
		}
	}
	return f
}

// moment reads a DATE or DATE-TIME (RFC 5545 §3.3.4, §3.3.5). A date is midnight UTC; a
// time in no zone is taken for UTC; one in a zone that nobody knows is not ok.
func (f zoneFinder) moment(p *ical.Prop) (t time.Time, z Zone, isDate, ok bool) {
	value := strings.ToUpper(strings.TrimSpace(p.Value))
	if t, err := time.Parse("20060102", value); err == nil {
		return t, z, true, true
	}
	if t, err := time.Parse("20060102T150405Z", value); err == nil {
		return t, z, false, true
	}
	wall, err := time.Parse("20060102T150405", value)
	if err != nil {
		return t, z, false, false
	}
	id := p.Params.Get(ical.ParamTimezoneID)
	if id == "" {
		return wall, z, false, true
	}
	z, ok = f.find(id, wall.Year())
	return z.utc(wall), z, false, ok
}

// find finds a zone: by its name in the time zone database, by its name in Windows,
// else by what the calendar says of it.
func (f zoneFinder) find(id string, year int) (Zone, bool) {
	if location := findLocation(id); location != nil {
		return zoneIn(id, location, year), true
	}
	c, ok := f[id]
	if !ok {
		return Zone{}, false
	}
	return zoneOf(id, c)
}

// findLocation finds a location by a name of the database, which some programs put
// behind a prefix of theirs, or by that of Windows.
func findLocation(id string) *time.Location {
	name := id
	if iana, ok := windowsZones[id]; ok {
		name = iana
	}
	parts := strings.Split(strings.Trim(name, "/"), "/")
	for n := min(len(parts), 3); n > 0; n-- {
		candidate := strings.Join(parts[len(parts)-n:], "/")
		if candidate == "" || candidate == "Local" || n == 1 && len(parts) > 1 {
			continue
		}
		if location, err := time.LoadLocation(candidate); err == nil {
			return location
		}
	}
	return nil
}

// observance is one of the rules of a VTIMEZONE.
type observance struct {
	offset  int
	rule    transition
	start   time.Time
	recurs  bool
	present bool
}

// zoneOf reads the rules of a VTIMEZONE (RFC 5545 §3.6.5) that hold in our days.
func zoneOf(id string, c *ical.Component) (Zone, bool) {
	var standard, daylight observance
	for _, child := range c.Children {
		o, ok := readObservance(child)
		switch {
		case !ok:
		case child.Name == ical.CompTimezoneStandard && standard.before(o):
			standard = o
		case child.Name == ical.CompTimezoneDaylight && daylight.before(o):
			daylight = o
		}
	}
	z := Zone{Name: id, standard: standard.offset}
	if standard.present && daylight.present && daylight.recurs && standard.recurs {
		z.saves, z.daylight, z.begins, z.ends = true, daylight.offset, daylight.rule, standard.rule
	}
	return z, standard.present
}

// before reports whether p is the better rule: one that goes on, else the newer.
func (o observance) before(p observance) bool {
	if !o.present || o.recurs != p.recurs {
		return !o.present || p.recurs
	}
	return !p.start.Before(o.start)
}

func readObservance(c *ical.Component) (o observance, ok bool) {
	o.present = true
	if o.offset, ok = parseOffset(word(c, ical.PropTimezoneOffsetTo)); !ok {
		return o, false
	}
	start, err := time.Parse("20060102T150405", word(c, ical.PropDateTimeStart))
	if err != nil {
		return o, false
	}
	o.start, o.rule = start, transitionAt(start)
	if rule := word(c, ical.PropRecurrenceRule); rule != "" {
		r := ParseRecurrence(yearly(rule), start)
		if r == nil || !r.Until.IsZero() && r.Until.Year() < 2020 || r.Occurrences != 0 {
			return o, true
		}
		o.recurs = true
		if r.Type == YearlyOnDay {
			o.rule.month, o.rule.week, o.rule.weekday = r.MonthOfYear, r.WeekOfMonth, weekdayOf(r.DayOfWeek)
		}
	}
	return o, true
}

// yearly puts the way of some programs to say a week, BYDAY=SU;BYMONTHDAY=8,9,10,…,
// into the usual one.
func yearly(rule string) string {
	var parts []string
	week := ""
	for part := range strings.SplitSeq(rule, ";") {
		if days, ok := strings.CutPrefix(part, "BYMONTHDAY="); ok {
			first, _, several := strings.Cut(days, ",")
			if n, err := strconv.Atoi(first); err == nil && several && n > 0 {
				week = strconv.Itoa((n-1)/7 + 1)
				continue
			}
		}
		parts = append(parts, part)
	}
	for i, part := range parts {
		if day, ok := strings.CutPrefix(part, "BYDAY="); ok && week != "" && len(day) == 2 {
			parts[i] = "BYDAY=" + week + day
		}
	}
	return strings.Join(parts, ";")
}

func weekdayOf(bit int) int {
	for day := range 7 {
		if bit == 1<<day {
			return day
		}
	}
	return 0
}

// parseOffset reads a UTC-OFFSET (RFC 5545 §3.3.14), in seconds.
func parseOffset(s string) (int, bool) {
	if len(s) != 5 && len(s) != 7 || s[0] != '+' && s[0] != '-' {
		return 0, false
	}
	seconds := 0
	for i, unit := range []int{3600, 60, 1} {
		if 1+2*i >= len(s) {
			break
		}
		n, err := strconv.ParseUint(s[1+2*i:3+2*i], 10, 8)
		if err != nil || n > 59 {
			return 0, false
		}
		seconds += int(n) * unit
	}
	if s[0] == '-' {
		seconds = -seconds
	}
	return seconds, true
}
