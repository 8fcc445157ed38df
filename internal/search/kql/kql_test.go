package kql

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestQueries(t *testing.T) {
	for text, want := range map[string]string{
		"":                               "",
		"  ":                             "",
		"*":                              "*",
		"mobile":                         `"mobile"`,
		"mobile phone":                   `("mobile" AND "phone")`,
		`"mobile phone"`:                 `"mobile phone"`,
		"mob*":                           `"mob"`,
		`"mobile ph"*`:                   `"mobile ph"`,
		"subject: mobile":                `subject:"mobile"`,
		"Subject:mobile":                 `subject:"mobile"`,
		`from:"Anna Berg" plan`:          `(from:"Anna Berg" AND "plan")`,
		"a AND b OR c":                   `(("a" AND "b") OR "c")`,
		"a OR b c":                       `("a" OR ("b" AND "c"))`,
		"a AND (b OR c)":                 `("a" AND ("b" OR "c"))`,
		"NOT a":                          `NOT "a"`,
		"a NOT b":                        `("a" AND NOT "b")`,
		"a -b":                           `("a" AND NOT "b")`,
		"NOT NOT a":                      `"a"`,
		"+a - b":                         `("a" AND "-" AND "b")`,
		"and or not":                     `("and" AND "or" AND "not")`,
		"ANDROID":                        `"ANDROID"`,
		"from:a from:b":                  `(from:"a" OR from:"b")`,
		"from:a from:b from:c x":         `((from:"a" OR from:"b" OR from:"c") AND "x")`,
		"from:a AND from:b":              `(from:"a" AND from:"b")`,
		"from:a to:b":                    `(from:"a" AND to:"b")`,
		"subject:(a b)":                  `(subject:"a" OR subject:"b")`,
		"subject:(a OR to:b)":            `(subject:"a" OR to:"b")`,
		"received>=2026 received<2027":   `(received>="2026" AND received<"2027")`,
		"received>=2026-01-01":           `received>="2026-01-01"`,
		"received<2026-01-01":            `received<"2026-01-01"`,
		"hasattachment=true":             `hasattachment:"true"`,
		"hasattachment<>true":            `hasattachment<>"true"`,
		"http://example.test":            `"http://example.test"`,
		"unknown:x":                      `"unknown:x"`,
		"subject:":                       "",
		"a subject: OR b":                `("a" OR "b")`,
		"((a)":                           `"a"`,
		"a) b":                           `("a" AND "b")`,
		"()":                             "",
		`"open`:                          `"open"`,
		`a"b"c`:                          `("a" AND "b" AND "c")`,
		"OR a OR":                        `"a"`,
		"AND a AND":                      `("AND" AND "a")`,
		"NOT":                            "",
		"(a) OR(b)":                      `("a" OR "b")`,
		strings.Repeat("(", 100) + "a b": `("a" AND "b")`,
	} {
		if got := Parse(text).String(); got != want {
			t.Errorf("%.60q:\n got %s\nwant %s", text, got, want)
		}
	}
}

func TestQueriesHaveBounds(t *testing.T) {
	for _, text := range []string{strings.Repeat("a ", maxLeaves+1), strings.Repeat("a OR (b ", maxLeaves), strings.Repeat("NOT ", 2000) + "a", strings.Repeat("-", 4000) + "a", strings.Repeat("ü", maxBytes)} {
		if n := len(Parse(text).Leaves()); n > maxLeaves {
			t.Errorf("%.20q: %d leaves", text, n)
		}
	}
	if n := len(Parse(strings.Repeat("a ", maxLeaves+1)).Leaves()); n != maxLeaves {
		t.Errorf("%d leaves, want %d", n, maxLeaves)
	}
}

func TestDates(t *testing.T) {
	now := time.Date(2026, 11, 22, 15, 4, 5, 0, time.UTC) // a Sunday
	for text, want := range map[string]string{
		"received:2026-01-02":               "2026-01-02T00:00 2026-01-03T00:00",
		"received:1/2/2026":                 "2026-01-02T00:00 2026-01-03T00:00",
		"received:2026-01":                  "2026-01-01T00:00 2026-02-01T00:00",
		"received:2026":                     "2026-01-01T00:00 2027-01-01T00:00",
		"received>2026-01-02":               "2026-01-03T00:00 -",
		"received>=2026-01-02":              "2026-01-02T00:00 -",
		"received<2026-01-02":               "- 2026-01-02T00:00",
		"received<=2026-01-02":              "- 2026-01-03T00:00",
		"received:2026-01-02..2026-01-04":   "2026-01-02T00:00 2026-01-05T00:00",
		"received>=2026-01-02T10:00:00Z":    "2026-01-02T10:00 -",
		"received<2026-01-02T10:00:00.000Z": "- 2026-01-02T10:00",
		"sent:today":                        "2026-11-22T00:00 2026-11-23T00:00",
		"sent:yesterday":                    "2026-11-21T00:00 2026-11-22T00:00",
		`sent:"this week"`:                  "2026-11-16T00:00 2026-11-23T00:00",
		`sent:"last week"`:                  "2026-11-09T00:00 2026-11-16T00:00",
		`sent:"this month"`:                 "2026-11-01T00:00 2026-12-01T00:00",
		`sent:"last month"`:                 "2026-10-01T00:00 2026-11-01T00:00",
		`sent:"this year"`:                  "2026-01-01T00:00 2027-01-01T00:00",
		`sent:"last year"`:                  "2025-01-01T00:00 2026-01-01T00:00",
		"sent:never":                        "no",
		"sent:2026-13-01":                   "no",
	} {
		n := Parse(text)
		got := "no"
		if from, until, ok := n.Dates(now); ok {
			got = shown(from) + " " + shown(until)
		}
		if got != want {
			t.Errorf("%s (%s): %s, want %s", text, n, got, want)
		}
	}
}

func shown(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format("2006-01-02T15:04")
}

func TestTruth(t *testing.T) {
	for text, want := range map[string]string{"isread:true": "true true", "isread:no": "false true", "isread<>true": "false true", "isread:maybe": "false false"} {
		yes, ok := Parse(text).Truth()
		if got := map[bool]string{true: "true", false: "false"}[yes] + " " + map[bool]string{true: "true", false: "false"}[ok]; got != want {
			t.Errorf("%s: %s", text, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{`from:"a b" (c OR NOT d*) -e received>=2026-01-01`, "((((", "a AND OR NOT", `subject:("x" y)`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n := Parse(text)
		if len(n.Leaves()) > maxLeaves {
			t.Errorf("%d leaves", len(n.Leaves()))
		}
		for _, l := range n.Leaves() {
			if l.Text == "" {
				t.Error("a leaf says nothing")
			}
			l.Dates(time.Unix(1_800_000_000, 0).UTC())
			l.Truth()
		}
		// What was read means the same when it is written out.
		if written := n.String(); utf8.ValidString(text) && len(written) <= maxBytes && !strings.Contains(text, `"`) {
			if again := Parse(written).String(); again != written {
				t.Errorf("%q: %s, then %s", text, written, again)
			}
		}
	})
}
