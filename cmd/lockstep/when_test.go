package main

import (
	"strings"
	"testing"
	"time"
)

func TestMomentsOfThePast(t *testing.T) {
	zone := time.FixedZone("", 3600)
	now := time.Date(2026, 11, 22, 9, 30, 0, 0, zone)
	for text, want := range map[string]string{
		"2026-11-20 15:04":        "2026-11-20T15:04:00.999999999+01:00",
		"2026-11-20":              "2026-11-20T00:00:00.999999999+01:00",
		"2026-11-20 15:04:05":     "2026-11-20T15:04:05.999999999+01:00",
		"2026-11-20 15:04:05 UTC": "2026-11-20T15:04:05.999999999Z",
		"2026-11-20T15:04:05Z":    "2026-11-20T15:04:05.999999999Z",
		"2026-11-20T15:04:05.25Z": "2026-11-20T15:04:05.25Z",
		"09:00":                   "2026-11-22T09:00:00.999999999+01:00",
		"23:10:01":                "2026-11-21T23:10:01.999999999+01:00",
		"3h":                      "2026-11-22T06:30:00+01:00",
		"2d ago":                  "2026-11-20T09:30:00+01:00",
	} {
		if got, err := parseWhen(text, now); err != nil || got.Format(time.RFC3339Nano) != want {
			t.Errorf("%s: %s, %v; want %s", text, got.Format(time.RFC3339Nano), err, want)
		}
	}
	for _, text := range []string{"", "yesterday", "2026-13-01", "25:00", "3"} {
		if _, err := parseWhen(text, now); err == nil || !strings.Contains(err.Error(), "is no time") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
