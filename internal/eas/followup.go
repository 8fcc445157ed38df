package eas

import (
	"cmp"
	"encoding/json"
	"time"

	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
)

// The states of a flag (MS-ASEMAIL §2.2.2.74).
const (
	flagNone     = 0
	flagComplete = 1
	flagActive   = 2
)

// defaultFlagType is what a flag is called that was set elsewhere.
const defaultFlagType = "for Follow Up"

// followUp is a flag on a message with what IMAP's \Flagged doesn't say: when it is
// due, when it was done. It is kept as an annotation.
type followUp struct {
	Status       int        `json:"status"`
	Type         string     `json:"type,omitempty"`
	Subject      string     `json:"subject,omitempty"`
	Completed    *time.Time `json:"completed,omitempty"`    // tasks:DateCompleted
	CompleteTime *time.Time `json:"completeTime,omitempty"` // email:CompleteTime
	Start        *time.Time `json:"start,omitempty"`        // by the clock on the wall, as if that were UTC
	Due          *time.Time `json:"due,omitempty"`
	UTCStart     *time.Time `json:"utcStart,omitempty"`
	UTCDue       *time.Time `json:"utcDue,omitempty"`
	ReminderSet  bool       `json:"reminderSet,omitempty"`
	ReminderTime *time.Time `json:"reminderTime,omitempty"`
	Ordinal      *time.Time `json:"ordinal,omitempty"`
	SubOrdinal   string     `json:"subOrdinal,omitempty"`
}

// note is the flag as an annotation; none where \Flagged says it all.
func (f *followUp) note() mail.Annotation {
	a := mail.Annotation{Name: followUpEntry}
	if f != nil && *f != (followUp{Status: flagActive}) && f.Status != flagNone {
		a.Value, _ = json.Marshal(f) // of texts and times: no error
	}
	return a
}

// parseFollowUp reads a Flag (MS-ASEMAIL §2.2.2.34). An empty one takes the flag away:
// it is nil. Not ok is one that says nothing that holds.
func parseFollowUp(e *wbxml.Element) (f *followUp, ok bool) {
	if len(e.Children) == 0 {
		return nil, true
	}
	f = new(followUp)
	status := false
	for _, c := range e.Children {
		if !f.set(c) {
			return nil, false
		}
		status = status || c.Tag == wbxml.EmailStatus
	}
	if !status || !f.holds() {
		return nil, false
	}
	if f.Status == flagNone {
		return nil, true
	}
	return f, true
}

// set takes a child of a Flag.
func (f *followUp) set(c *wbxml.Element) (ok bool) {
	switch c.Tag {
	case wbxml.EmailStatus:
		f.Status, ok = number(c.Text, flagActive)
		return ok
	case wbxml.EmailFlagType:
		f.Type = c.Text
		return len(c.Text) <= maxFlagText
	case wbxml.TasksSubject:
		f.Subject = c.Text
		return len(c.Text) <= maxFlagText
	case wbxml.TasksSubOrdinalDate:
		f.SubOrdinal = c.Text
		return len(c.Text) <= maxFlagText
	case wbxml.TasksReminderSet:
		f.ReminderSet, ok = boolean(c.Text)
		return ok
	}
	for tag, at := range f.times() {
		if tag == c.Tag {
			t, ok := parseDateTime(c.Text)
			*at = &t
			return ok
		}
	}
	return true // of another version
}

// times are the dates of a flag and where they are said.
func (f *followUp) times() map[wbxml.Tag]**time.Time {
	return map[wbxml.Tag]**time.Time{
		wbxml.TasksDateCompleted: &f.Completed, wbxml.EmailCompleteTime: &f.CompleteTime, wbxml.TasksStartDate: &f.Start, wbxml.TasksDueDate: &f.Due,
		wbxml.TasksUtcStartDate: &f.UTCStart, wbxml.TasksUtcDueDate: &f.UTCDue, wbxml.TasksReminderTime: &f.ReminderTime, wbxml.TasksOrdinalDate: &f.Ordinal,
	}
}

// holds reports whether what belongs together is there together (MS-ASEMAIL
// §3.1.5.3.3), and dates in their order.
func (f *followUp) holds() bool {
	dates := 0
	for _, t := range []*time.Time{f.Start, f.Due, f.UTCStart, f.UTCDue} {
		if t != nil {
			dates++
		}
	}
	switch {
	case dates != 0 && dates != 4:
		return false
	case dates == 4 && (f.Start.After(*f.Due) || f.UTCStart.After(*f.UTCDue)):
		return false
	case f.Status == flagComplete && (f.CompleteTime == nil || f.Completed == nil):
		return false
	case f.Status == flagActive && f.Type == "" && dates == 0:
		return false
	case f.ReminderSet && f.ReminderTime == nil:
		return false
	}
	return true
}

// flagElement is a message's flag. Flags decide whether there is one: another program
// may have taken it away since, or set it anew.
func (m *mailItem) flagElement() *wbxml.Element {
	f := m.notes.followUp
	flagged := m.placement.Flags.Has(mail.Flagged)
	e := wbxml.New(wbxml.EmailFlag)
	switch {
	case flagged && (f == nil || f.Status != flagActive):
		f = &followUp{Status: flagActive}
	case !flagged && (f == nil || f.Status != flagComplete):
		return e
	}
	text := func(t wbxml.Tag, s string) {
		if s != "" {
			e.Add(wbxml.Text(t, s))
		}
	}
	moment := func(t wbxml.Tag, at *time.Time) {
		if at != nil {
			e.Add(wbxml.Text(t, dateTime(*at)))
		}
	}
	text(wbxml.TasksSubject, f.Subject)
	e.Add(wbxml.Int(wbxml.EmailStatus, f.Status))
	text(wbxml.EmailFlagType, cmp.Or(f.Type, defaultFlagType))
	moment(wbxml.TasksDateCompleted, f.Completed)
	moment(wbxml.EmailCompleteTime, f.CompleteTime)
	moment(wbxml.TasksStartDate, f.Start)
	moment(wbxml.TasksDueDate, f.Due)
	moment(wbxml.TasksUtcStartDate, f.UTCStart)
	moment(wbxml.TasksUtcDueDate, f.UTCDue)
	if f.Due != nil || f.ReminderSet {
		e.Add(wbxml.Bool(wbxml.TasksReminderSet, f.ReminderSet))
	}
	moment(wbxml.TasksReminderTime, f.ReminderTime)
	moment(wbxml.TasksOrdinalDate, f.Ordinal)
	text(wbxml.TasksSubOrdinalDate, f.SubOrdinal)
	return e
}

// dateTime is a moment as mail says it (MS-ASDTYPE §2.7.2).
func dateTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// parseDateTime reads either form.
func parseDateTime(s string) (time.Time, bool) {
	for _, layout := range []string{"2006-01-02T15:04:05Z07:00", "20060102T150405Z"} {
		if t, err := time.Parse(layout, s); err == nil && t.Year() >= 1601 && t.Year() < 9999 {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}
