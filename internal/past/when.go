package past

import (
	"strconv"
	"strings"
	"time"

	"lockstep/internal/mail"
)

// When is a moment as people say it: a time, or just before an act.
type When struct {
	Time   time.Time
	Before mail.ActID // if not 0
}

// understood is what ParseWhen reads.
const understood = `"2026-11-20 14:00", "14:00" (the last time it was that late), "yesterday 14:00", "3 days ago", "90m" (ago), RFC 3339, or "before act 1234"`

// layouts are in local time where they name no zone.
var layouts = []string{time.RFC3339Nano, "2006-01-02 15:04:05 MST", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02"}

// ParseWhen reads a moment that has been; times without a zone are in that of now. A
// time without fractions is the end of its second: what is listed as of then is not
// after it.
func ParseWhen(text string, now time.Time) (When, error) {
	text = strings.Join(strings.Fields(text), " ")
	if act, ok := strings.CutPrefix(text, "before act "); ok {
		if n, err := strconv.ParseInt(act, 10, 64); err == nil && n > 0 {
			return When{Before: mail.ActID(n)}, nil
		}
	}
	t, ok := parseTime(text, now)
	if !ok {
		t, ok = ago(text, now)
		if ok {
			return When{Time: t}, nil
		}
	}
	switch {
	case !ok:
		return When{}, mail.Errorf(mail.Invalid, "%q is no time: write %s", text, understood)
	case t.After(now):
		return When{}, mail.Errorf(mail.Invalid, "%s is still to come", t.Format(time.RFC3339))
	case t.Nanosecond() == 0:
		t = t.Add(time.Second - 1)
	}
	return When{Time: t}, nil
}

func parseTime(text string, now time.Time) (time.Time, bool) {
	for _, layout := range layouts {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t, true
		}
	}
	if day, clock, ok := strings.Cut(text, " "); ok && (day == "today" || day == "yesterday") {
		return atClock(now, map[string]int{"today": 0, "yesterday": 1}[day], clock)
	}
	t, ok := atClock(now, 0, text)
	if ok && t.After(now) {
		t, ok = atClock(now, 1, text)
	}
	return t, ok
}

// atClock is a time of a day so many days ago.
func atClock(now time.Time, days int, clock string) (time.Time, bool) {
	for _, layout := range []string{"15:04", "15:04:05"} {
		if c, err := time.Parse(layout, clock); err == nil {
			y, m, d := now.Date()
			return time.Date(y, m, d-days, c.Hour(), c.Minute(), c.Second(), 0, now.Location()), true
		}
	}
	return time.Time{}, false
}

// maxAgo bounds the number before a unit.
const maxAgo = 1_000_000

// ago reads "3 days ago", "3h" and "2d ago". A day is a day of the calendar, which may
// have 23 hours.
func ago(text string, now time.Time) (time.Time, bool) {
	text = strings.TrimSuffix(text, " ago")
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), true
	}
	number := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyz ")
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 || n > maxAgo {
		return time.Time{}, false
	}
	switch unit := strings.TrimSpace(text[len(number):]); strings.TrimSuffix(unit, "s") {
	case "second":
		return now.Add(-time.Duration(n) * time.Second), true
	case "minute":
		return now.Add(-time.Duration(n) * time.Minute), true
	case "hour":
		return now.Add(-time.Duration(n) * time.Hour), true
	case "day", "d":
		return now.AddDate(0, 0, -n), true
	case "week", "w":
		return now.AddDate(0, 0, -7*n), true
	}
	return time.Time{}, false
}
