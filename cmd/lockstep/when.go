package main

import (
	"fmt"
	"strings"
	"time"

	"lockstep/internal/config"
)

// whenHelp says how times are written.
const whenHelp = `"2026-11-20 15:04", "15:04" (the last time it was that late), "3h" (ago), or RFC 3339`

// parseWhen reads a moment of the past, on this machine's clock where no zone is
// written. A time without fractions is the end of its second: what is listed as of then
// is not after it.
func parseWhen(text string, now time.Time) (time.Time, error) {
	text = strings.TrimSpace(text)
	var ago config.Duration
	if ago.UnmarshalText([]byte(strings.TrimSpace(strings.TrimSuffix(text, "ago")))) == nil {
		return now.Add(-time.Duration(ago)), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05 MST", "2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return endOfSecond(t), nil
		}
	}
	for _, layout := range []string{"15:04:05", "15:04"} {
		clock, err := time.Parse(layout, text)
		if err != nil {
			continue
		}
		y, m, d := now.Date()
		t := time.Date(y, m, d, clock.Hour(), clock.Minute(), clock.Second(), 0, now.Location())
		if t.After(now) {
			t = time.Date(y, m, d-1, clock.Hour(), clock.Minute(), clock.Second(), 0, now.Location())
		}
		return endOfSecond(t), nil
	}
	return time.Time{}, fmt.Errorf("%q is no time: write %s", text, whenHelp)
}

func endOfSecond(t time.Time) time.Time {
	if t.Nanosecond() != 0 {
		return t
	}
	return t.Add(time.Second - 1)
}
