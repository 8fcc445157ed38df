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
const understood = `2026-11-20T14:00:00Z, "2026-11-20 14:00", "today 09:30", "yesterday 14:00", "90 minutes ago", "3 days ago", or "before act 1234"`

// layouts are in local time, but for the first.
var layouts = []string{time.RFC3339Nano, "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02T15:04:05", "2006-01-02T15:04"}

// ParseWhen reads a moment that has been; times without a zone are in that of now.
func ParseWhen(text string, now time.Time) (When, error) {
	text = strings.Join(strings.Fields(text), " ")
	if act, ok := strings.CutPrefix(text, "before act "); ok {
		if n, err := strconv.ParseInt(act, 10, 64); err == nil && n > 0 {
			return When{Before: mail.ActID(n)}, nil
		}
	}
	t, ok := parseTime(text, now)
	switch {
	case !ok:
		return When{}, mail.Errorf(mail.Invalid, "%q is no time: say %s", text, understood)
	case t.After(now):
		return When{}, mail.Errorf(mail.Invalid, "%s is still to come", t.Format(time.RFC3339))
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
	return ago(text, now)
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

// ago reads "3 days ago". A day is a day of the calendar, which may have 23 hours.
func ago(text string, now time.Time) (time.Time, bool) {
	words := strings.Split(text, " ")
	if len(words) != 3 || words[2] != "ago" {
		return time.Time{}, false
	}
	n, err := strconv.Atoi(words[0])
	if err != nil || n < 0 || n > maxAgo {
		return time.Time{}, false
	}
	switch strings.TrimSuffix(words[1], "s") {
	case "second":
		return now.Add(-time.Duration(n) * time.Second), true
	case "minute":
		return now.Add(-time.Duration(n) * time.Minute), true
	case "hour":
		return now.Add(-time.Duration(n) * time.Hour), true
	case "day":
		return now.AddDate(0, 0, -n), true
	case "week":
		return now.AddDate(0, 0, -7*n), true
	}
	return time.Time{}, false
}
