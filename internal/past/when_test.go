package past

import (
	"strings"
	"testing"
	"time"
)

var berlin = time.FixedZone("CET", 3600)

func TestMomentsAreReadAsPeopleSayThem(t *testing.T) {
	now := time.Date(2026, 11, 22, 9, 30, 15, 0, berlin)
	for _, c := range []struct{ text, want string }{
		{"2026-11-20T14:00:00Z", "2026-11-20T14:00:00.999999999Z"},
		{"2026-11-20T14:00:00.5+02:00", "2026-11-20T12:00:00.5Z"},
		{"2026-11-20 14:00", "2026-11-20T13:00:00.999999999Z"},
		{"2026-11-20 14:00:07", "2026-11-20T13:00:07.999999999Z"},
		{"2026-11-20 14:00:07 UTC", "2026-11-20T14:00:07.999999999Z"},
		{" 2026-11-20  14:00 ", "2026-11-20T13:00:00.999999999Z"},
		{"2026-11-20T14:00", "2026-11-20T13:00:00.999999999Z"},
		{"2026-11-20", "2026-11-19T23:00:00.999999999Z"},
		{"09:30:15", "2026-11-22T08:30:15.999999999Z"},
		{"14:00", "2026-11-21T13:00:00.999999999Z"},
		{"today 09:30", "2026-11-22T08:30:00.999999999Z"},
		{"yesterday 14:00", "2026-11-21T13:00:00.999999999Z"},
		{"3 days ago", "2026-11-19T08:30:15Z"},
		{"2d", "2026-11-20T08:30:15Z"},
		{"2d ago", "2026-11-20T08:30:15Z"},
		{"1 week ago", "2026-11-15T08:30:15Z"},
		{"90 minutes ago", "2026-11-22T07:00:15Z"},
		{"3h", "2026-11-22T05:30:15Z"},
		{"1h30m ago", "2026-11-22T07:00:15Z"},
		{"0s", "2026-11-22T08:30:15Z"},
		{"before act 812", "before 812"},
		{"today 09:31", "error: still to come"},
		{"2026-11-22T08:30:16Z", "error: still to come"},
		{"yesterday", "error: is no time"},
		{"25:00", "error: is no time"},
		{"2026-02-30 14:00", "error: is no time"},
		{"3 months ago", "error: is no time"},
		{"3", "error: is no time"},
		{"-3 days ago", "error: is no time"},
		{"-3h", "error: is no time"},
		{"1000001 days ago", "error: is no time"},
		{"before act 0", `error: write "2026-11-20 14:00"`},
		{"", "error: is no time"},
	} {
		w, err := ParseWhen(c.text, now)
		got := w.Time.UTC().Format(time.RFC3339Nano)
		if w.Before != 0 {
			got = "before 812"
		}
		if want, fails := strings.CutPrefix(c.want, "error: "); fails {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q is %s, %v; want the error %q", c.text, got, err, want)
			}
		} else if err != nil || got != c.want {
			t.Errorf("%q is %s, %v; want %s", c.text, got, err, c.want)
		}
	}
}

func FuzzParseWhen(f *testing.F) {
	for _, s := range []string{"2026-11-20 14:00", "yesterday 14:00", "3 days ago", "before act 7", "today 7:00"} {
		f.Add(s)
	}
	now := time.Date(2026, 11, 22, 9, 30, 15, 0, berlin)
	f.Fuzz(func(t *testing.T, text string) {
		w, err := ParseWhen(text, now)
		if err == nil && (w.Time.After(now.Add(time.Second)) || w.Time.IsZero() == (w.Before == 0) && w.Time.Year() != 1) {
			t.Errorf("%q is %+v", text, w)
		}
	})
}
