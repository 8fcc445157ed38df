package eas

import (
	"cmp"
	"encoding/base64"
	"io"
	"time"

	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/message/render"
	"lockstep/internal/pim"
)

// meeting is what a message says about a meeting.
type meeting struct{ *pim.Invitation }

// readMeeting reads the invitation in a message, or the answer to one; nil if there is
// none, or one that can't be read: then it is a message like others. It costs reading
// that part.
func readMeeting(root *message.Part, ra io.ReaderAt) (*meeting, error) {
	p := render.Calendar(root)
	if p == nil {
		return nil, nil
	}
	i, err := pim.ReadInvitation(message.PartUTF8(ra, p))
	if err != nil && mail.KindOf(err) != mail.Invalid {
		return nil, err
	}
	if i == nil || (&meeting{i}).class() == "" {
		return nil, nil
	}
	return &meeting{i}, nil
}

// class is the message class (MS-ASEMAIL §2.2.2.49), "" for what phones have no class
// for.
func (m *meeting) class() string {
	switch m.Method {
	case "REQUEST":
		return "IPM.Schedule.Meeting.Request"
	case "CANCEL":
		return "IPM.Schedule.Meeting.Canceled"
	case "REPLY":
		return m.answerClass()
	}
	return ""
}

func (m *meeting) answerClass() string {
	for _, a := range m.Attendees {
		switch a.Status {
		case "ACCEPTED":
			return "IPM.Schedule.Meeting.Resp.Pos"
		case "DECLINED":
			return "IPM.Schedule.Meeting.Resp.Neg"
		case "TENTATIVE":
			return "IPM.Schedule.Meeting.Resp.Tent"
		}
	}
	return ""
}

// The types of instances (MS-ASEMAIL §2.2.2.40).
const (
	meetingSingle    = 0
	meetingSeries    = 1
	meetingException = 3
)

// maxReminder is the most seconds that a reminder says.
const maxReminder = 65535

// element is the MeetingRequest (MS-ASEMAIL §2.2.2.48), in the order of its schema.
func (m *meeting) element(v version, received time.Time) *wbxml.Element {
	stamp := m.Stamp
	if stamp.IsZero() {
		stamp = received
	}
	e := wbxml.New(wbxml.EmailMeetingRequest,
		wbxml.Bool(wbxml.EmailAllDayEvent, m.AllDay),
		wbxml.Text(wbxml.EmailStartTime, dateTime(m.Start)),
		wbxml.Text(wbxml.EmailDtStamp, dateTime(stamp)),
		wbxml.Text(wbxml.EmailEndTime, dateTime(m.End)),
		wbxml.Int(wbxml.EmailInstanceType, m.instanceType()),
		m.location(v),
		textElement(wbxml.EmailOrganizer, oneAddress(addressOf(m.Organizer))))
	if !m.RecurrenceID.IsZero() {
		e.Add(wbxml.Text(wbxml.EmailRecurrenceId, dateTime(m.RecurrenceID)))
	}
	if m.Reminder >= 0 {
		e.Add(wbxml.Int(wbxml.EmailReminder, min(int(m.Reminder/time.Second), maxReminder)))
	}
	e.Add(wbxml.Bool(wbxml.EmailResponseRequested, m.asks()), m.recurrences(v),
		wbxml.Int(wbxml.EmailSensitivity, m.Sensitivity), wbxml.Int(wbxml.EmailBusyStatus, m.Busy),
		wbxml.Text(wbxml.EmailTimeZone, m.Zone.Blob()))
	if v < v160 {
		e.Add(wbxml.Text(wbxml.EmailGlobalObjId, base64.StdEncoding.EncodeToString(pim.GlobalObjID(m.UID))))
	}
	if v >= v140 {
		e.Add(wbxml.Bool(wbxml.EmailDisallowNewTimeProposal, m.NoCounter))
	}
	if v >= v141 {
		e.Add(wbxml.Int(wbxml.Email2MeetingMessageType, m.messageType()))
	}
	if v >= v160 {
		e.Add(wbxml.Text(wbxml.CalendarUID, m.UID))
	}
	return e
}

func textElement(t wbxml.Tag, s string) *wbxml.Element {
	if s == "" {
		return nil
	}
	return wbxml.Text(t, s)
}

func addressOf(p pim.Person) message.Address {
	if p.Address == "" {
		return message.Address{}
	}
	list := message.ParseAddresses(p.Address)
	if len(list) != 1 {
		return message.Address{}
	}
	list[0].Name = cmp.Or(p.Name, list[0].Name)
	return list[0]
}

func (m *meeting) instanceType() int {
	switch {
	case m.Recurs:
		return meetingSeries
	case !m.RecurrenceID.IsZero():
		return meetingException
	}
	return meetingSingle
}

func (m *meeting) location(v version) *wbxml.Element {
	switch {
	case m.Location == "":
		return nil
	case v < v160:
		return wbxml.Text(wbxml.EmailLocation, m.Location)
	}
	return wbxml.New(wbxml.BaseLocation, wbxml.Text(wbxml.BaseDisplayName, m.Location))
}

// asks reports whether somebody is asked for an answer.
func (m *meeting) asks() bool {
	for _, a := range m.Attendees {
		if a.Asked {
			return true
		}
	}
	return false
}

// messageType is what kind of message about the meeting it is (MS-ASEMAIL §2.2.2.47): a
// request is an initial one or a full update.
func (m *meeting) messageType() int {
	switch {
	case m.Method != "REQUEST":
		return 0
	case m.Sequence > 0:
		return 2
	}
	return 1
}

// recurrences say how a series recurs. One whose rule can't be said is still a series,
// by its InstanceType.
func (m *meeting) recurrences(v version) *wbxml.Element {
	r := m.Recurrence
	if r == nil {
		return nil
	}
	e := wbxml.New(wbxml.EmailRecurrence, wbxml.Int(wbxml.EmailType, r.Type), wbxml.Int(wbxml.EmailInterval, r.Interval))
	if !r.Until.IsZero() {
		e.Add(wbxml.Text(wbxml.EmailUntil, compactDateTime(r.Until)))
	}
	for _, f := range []struct {
		tag wbxml.Tag
		n   int
	}{
		{wbxml.EmailOccurrences, r.Occurrences}, {wbxml.EmailWeekOfMonth, r.WeekOfMonth}, {wbxml.EmailDayOfMonth, r.DayOfMonth},
		{wbxml.EmailDayOfWeek, r.DayOfWeek}, {wbxml.EmailMonthOfYear, r.MonthOfYear},
	} {
		if f.n != 0 {
			e.Add(wbxml.Int(f.tag, f.n))
		}
	}
	const gregorian = 1
	if v >= v140 && r.Type >= pim.Monthly {
		e.Add(wbxml.Int(wbxml.Email2CalendarType, gregorian))
	}
	if v >= v141 && r.FirstDay >= 0 {
		e.Add(wbxml.Int(wbxml.Email2FirstDayOfWeek, r.FirstDay))
	}
	return wbxml.New(wbxml.EmailRecurrences, e)
}

// compactDateTime is a moment as calendars say it.
func compactDateTime(t time.Time) string { return t.UTC().Format("20060102T150405Z") }
