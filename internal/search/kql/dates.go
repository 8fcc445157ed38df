package kql

import (
	"strings"
	"time"
)

// Dates is the time that a leaf of Received or Sent allows: from the first moment up
// to but without the second; a zero one is no bound. Days are those of now's zone.
// False if the leaf names no time.
func (n *Node) Dates(now time.Time) (from, until time.Time, ok bool) {
	if first, last, isRange := strings.Cut(n.Text, ".."); isRange {
		from, _, ok = span(first, now)
		_, until, okLast := span(last, now)
		return from, until, ok && okLast
	}
	from, until, ok = span(n.Text, now)
	switch n.Compare {
	case ">":
		return until, time.Time{}, ok
	case ">=":
		return from, time.Time{}, ok
	case "<":
		return time.Time{}, from, ok
	case "<=":
		return time.Time{}, until, ok
	}
	return from, until, ok
}

// span is the time that a word for one covers.
func span(text string, now time.Time) (from, until time.Time, ok bool) {
	text = strings.ToLower(strings.TrimSpace(text))
	if from, until, ok = named(text, now); ok {
		return from, until, true
	}
	for _, l := range []struct {
		layout string
		after  func(time.Time) time.Time
	}{
		{"2006-01-02", nextDay}, {"1/2/2006", nextDay}, {"2006-01", func(t time.Time) time.Time { return t.AddDate(0, 1, 0) }},
		{"2006", func(t time.Time) time.Time { return t.AddDate(1, 0, 0) }},
		{"2006-01-02t15:04:05.999999999z07:00", nextSecond}, {"2006-01-02t15:04:05", nextSecond}, {"2006-01-02t15:04", func(t time.Time) time.Time { return t.Add(time.Minute) }},
	} {
		if t, err := time.ParseInLocation(strings.ToUpper(l.layout), strings.ToUpper(text), now.Location()); err == nil {
			return t, l.after(t), true
		}
	}
	return from, until, false
}

func nextDay(t time.Time) time.Time    { return t.AddDate(0, 0, 1) }
func nextSecond(t time.Time) time.Time { return t.Add(time.Second) }

// named are the times that have names (MS-KQL §2.1.10). Weeks begin on Monday.
func named(text string, now time.Time) (from, until time.Time, ok bool) {
	y, m, d := now.Date()
	day := time.Date(y, m, d, 0, 0, 0, 0, now.Location())
	week := day.AddDate(0, 0, -(int(day.Weekday())+6)%7)
	month, year := day.AddDate(0, 0, 1-d), time.Date(y, 1, 1, 0, 0, 0, 0, now.Location())
	switch text {
	case "today":
		return day, nextDay(day), true
	case "yesterday":
		return day.AddDate(0, 0, -1), day, true
	case "this week":
		return week, week.AddDate(0, 0, 7), true
	case "last week":
		return week.AddDate(0, 0, -7), week, true
	case "this month":
		return month, month.AddDate(0, 1, 0), true
	case "last month":
		return month.AddDate(0, -1, 0), month, true
	case "this year":
		return year, year.AddDate(1, 0, 0), true
	case "last year":
		return year.AddDate(-1, 0, 0), year, true
	}
	return from, until, false
}

// Truth is what a leaf of HasAttachment, IsRead or IsFlagged asks for; false if it
// says neither.
func (n *Node) Truth() (yes, ok bool) {
	switch strings.ToLower(n.Text) {
	case "true", "yes", "1":
		yes = true
	case "false", "no", "0":
	default:
		return false, false
	}
	return yes != (n.Compare == "<>"), true
}
