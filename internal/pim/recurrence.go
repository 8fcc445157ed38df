package pim

import (
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Recurrence is how an event recurs, as ActiveSync says it (MS-ASCAL §2.2.2.37).
type Recurrence struct {
	Type        int       // 0 daily, 1 weekly, 2 monthly, 3 monthly on a weekday, 5 yearly, 6 yearly on a weekday
	Interval    int       // at least 1
	Until       time.Time // UTC; zero is for ever, or Occurrences
	Occurrences int       // 0 is for ever, or Until
	DayOfWeek   int       // a bit for each, Sunday is 1
	DayOfMonth  int
	WeekOfMonth int // 5 is the last
	MonthOfYear int
	FirstDay    int // of the week, Sunday is 0; -1 if unsaid
}

// The types.
const (
	Daily         = 0
	Weekly        = 1
	Monthly       = 2
	MonthlyOnDay  = 3
	Yearly        = 5
	YearlyOnDay   = 6
	lastOfMonth   = 5
	allDays       = 127
	weekdays      = 62
	weekendDays   = 65
	maxInterval   = 999
	maxOccurrence = 999
)

var dayBits = map[string]int{"SU": 1, "MO": 2, "TU": 4, "WE": 8, "TH": 16, "FR": 32, "SA": 64}

// ParseRecurrence reads an RRULE of an event that starts at start by the clock on the
// wall. It is nil for one that can't be said: a simplified rule would show days that
// are none.
func ParseRecurrence(rule string, start time.Time) *Recurrence {
	parts := map[string]string{}
	for part := range strings.SplitSeq(strings.ToUpper(strings.TrimSpace(rule)), ";") {
		name, value, ok := strings.Cut(part, "=")
		if _, twice := parts[name]; !ok || twice {
			return nil
		}
		parts[name] = value
	}
	r := &Recurrence{Interval: 1, FirstDay: -1}
	if !r.readBounds(parts) || !r.readDays(parts, start) {
		return nil
	}
	return r
}

// readBounds reads how often, and until when.
func (r *Recurrence) readBounds(parts map[string]string) bool {
	var ok bool
	if s, there := parts["INTERVAL"]; there {
		if r.Interval, ok = numberIn(s, 1, maxInterval); !ok {
			return false
		}
	}
	if s, there := parts["COUNT"]; there {
		if r.Occurrences, ok = numberIn(s, 1, maxOccurrence); !ok {
			return false
		}
	} else if s, there := parts["UNTIL"]; there {
		if r.Until, ok = parseUntil(s); !ok {
			return false
		}
	}
	if s, there := parts["WKST"]; there {
		bit, ok := dayBits[s]
		if !ok {
			return false
		}
		r.FirstDay = bits.TrailingZeros(uint(bit))
	}
	return true
}

func numberIn(s string, least, most int) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= least && n <= most
}

func parseUntil(s string) (time.Time, bool) {
	for _, layout := range []string{"20060102T150405Z", "20060102T150405", "20060102"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// readDays reads on which days. What is not known there is not said.
func (r *Recurrence) readDays(parts map[string]string, start time.Time) bool {
	known := []string{"FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST"}
	allow := func(names ...string) bool {
		for name := range parts {
			if !slices.Contains(known, name) && !slices.Contains(names, name) {
				return false
			}
		}
		return true
	}
	startDay := 1 << int(start.Weekday())
	switch parts["FREQ"] {
	case "DAILY":
		if _, there := parts["BYDAY"]; there { // on weekdays, as some programs say it
			r.Type = Weekly
			return allow("BYDAY") && r.Interval == 1 && r.days(parts["BYDAY"])
		}
		r.Type = Daily
		return allow()
	case "WEEKLY":
		r.Type, r.DayOfWeek = Weekly, startDay
		_, there := parts["BYDAY"]
		return allow("BYDAY") && (!there || r.days(parts["BYDAY"]))
	case "MONTHLY":
		return allow("BYDAY", "BYMONTHDAY", "BYSETPOS") && r.inMonth(parts, start, Monthly)
	case "YEARLY":
		r.MonthOfYear = int(start.Month())
		if s, there := parts["BYMONTH"]; there {
			var ok bool
			if r.MonthOfYear, ok = numberIn(s, 1, 12); !ok {
				return false
			}
		}
		return allow("BYDAY", "BYMONTHDAY", "BYSETPOS", "BYMONTH") && r.inMonth(parts, start, Yearly)
	}
	return false
}

// days reads weekdays without numbers.
func (r *Recurrence) days(list string) bool {
	r.DayOfWeek = 0
	for day := range strings.SplitSeq(list, ",") {
		bit, ok := dayBits[day]
		if !ok {
			return false
		}
		r.DayOfWeek |= bit
	}
	return true
}

// inMonth reads the day of a month: by its number, or as the n-th of some weekdays.
func (r *Recurrence) inMonth(parts map[string]string, start time.Time, typ int) bool {
	day, byNumber := parts["BYMONTHDAY"]
	list, byDay := parts["BYDAY"]
	position, positioned := parts["BYSETPOS"]
	switch {
	case byNumber && byDay:
		return false
	case byDay:
		r.Type = typ + 1
		return r.weekday(list, position, positioned)
	case positioned:
		return false
	case byNumber && day == "-1":
		r.Type, r.DayOfWeek, r.WeekOfMonth = typ+1, allDays, lastOfMonth
		return true
	}
	var ok bool
	r.Type, r.DayOfMonth = typ, start.Day()
	if byNumber {
		r.DayOfMonth, ok = numberIn(day, 1, 31)
		return ok
	}
	return true
}

// weekday reads "2MO", or several days of which a position is meant.
func (r *Recurrence) weekday(list, position string, positioned bool) bool {
	if !positioned {
		cut := max(len(list)-2, 0)
		position, list = list[:cut], list[cut:]
	}
	n, err := strconv.Atoi(position)
	if n == -1 {
		n = lastOfMonth
	}
	r.WeekOfMonth = n
	if err != nil || n < 1 || n > lastOfMonth || position == "5" || !r.days(list) {
		return false
	}
	return bits.OnesCount(uint(r.DayOfWeek)) == 1 || r.DayOfWeek == allDays || r.DayOfWeek == weekdays || r.DayOfWeek == weekendDays
}
