package eas

import (
	"encoding/base64"
	"strings"
	"testing"

	"lockstep/internal/device"
	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/pim"
)

// inviting is a message with a calendar part.
func inviting(method string, event ...string) string {
	return "From: carla@sample.test\r\nSubject: Dinner\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nDinner?\r\n" +
		"--b\r\nContent-Type: text/calendar; charset=utf-8; method=" + method + "\r\nContent-Transfer-Encoding: 8bit\r\n\r\nBEGIN:VCALENDAR\r\nVERSION:2.0\r\nMETHOD:" + method + "\r\nBEGIN:VEVENT\r\n" +
		strings.Join(event, "\r\n") + "\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n--b--\r\n"
}

var dinner = []string{"UID:dinner@sample.test", "DTSTAMP:20260701T080000Z", "DTSTART;TZID=Europe/Berlin:20260712T200000", "DTEND;TZID=Europe/Berlin:20260712T213000",
	"SUMMARY:Dinner", "LOCATION:Caf\xc3\xa9", "ORGANIZER;CN=Carla:mailto:carla@sample.test", "ATTENDEE;RSVP=TRUE;PARTSTAT=NEEDS-ACTION:mailto:alice@example.test",
	"RRULE:FREQ=MONTHLY;BYDAY=2SU;COUNT=5;WKST=MO", "BEGIN:VALARM", "ACTION:DISPLAY", "TRIGGER:-PT15M", "END:VALARM"}

func TestInvitationsByVersion(t *testing.T) {
	w := newTown(t)
	m := w.item("INBOX", w.put("INBOX", inviting("REQUEST", dinner...)), nil)
	global := base64.StdEncoding.EncodeToString(pim.GlobalObjID("dinner@sample.test"))
	const head = "MeetingRequest(AllDayEvent=0 StartTime=2026-07-12T18:00:00.000Z DtStamp=2026-07-01T08:00:00.000Z EndTime=2026-07-12T19:30:00.000Z InstanceType=1 "
	const people = ` Organizer="Carla" <carla@sample.test> Reminder=900 ResponseRequested=1 `
	rest := func(recurrence string) string {
		return "Recurrences(Recurrence(Type=3 Interval=1 Occurrences=5 WeekOfMonth=2 DayOfWeek=1" + recurrence + ")) Sensitivity=0 BusyStatus=2 TimeZone=Z"
	}
	for v, want := range map[version]string{
		v121: head + "Location=Café" + people + rest("") + " GlobalObjId=" + global + ")",
		v140: head + "Location=Café" + people + rest(" CalendarType=1") + " GlobalObjId=" + global + " DisallowNewTimeProposal=0)",
		v141: head + "Location=Café" + people + rest(" CalendarType=1 FirstDayOfWeek=1") + " GlobalObjId=" + global + " DisallowNewTimeProposal=0 MeetingMessageType=1)",
		v160: head + "Location(DisplayName=Café)" + people + rest(" CalendarType=1 FirstDayOfWeek=1") + " DisallowNewTimeProposal=0 MeetingMessageType=1 UID=dinner@sample.test)",
		v161: head + "Location(DisplayName=Café)" + people + rest(" CalendarType=1 FirstDayOfWeek=1") + " DisallowNewTimeProposal=0 MeetingMessageType=1 UID=dinner@sample.test)",
	} {
		e := w.shown(v, m, noBodyOptions())
		request := e.Child(wbxml.EmailMeetingRequest)
		if request == nil {
			t.Fatalf("%v: %s", v, short(e))
		}
		zone := request.Child(wbxml.EmailTimeZone)
		if !strings.HasPrefix(zone.Text, "xP///1cALgAgAEUAdQByAG8AcABlACAAUwB0") {
			t.Errorf("%v: zone %s", v, zone.Text)
		}
		zone.Text = "Z"
		if got := short(request); got != want {
			t.Errorf("%v:\n got %s\nwant %s", v, got, want)
		}
		if e.Get(wbxml.EmailMessageClass) != "IPM.Schedule.Meeting.Request" || e.Get(wbxml.EmailContentClass) != contentCalendar || e.Has(wbxml.BaseAttachments) {
			t.Errorf("%v: %s", v, names(e))
		}
	}
	// It is one also to who wishes no body.
	o := noBodyOptions()
	o.none = true
	if e := w.shown(v161, m, o); !e.Has(wbxml.EmailMeetingRequest) || e.Has(wbxml.BaseBody) {
		t.Errorf("without a body: %s", names(e))
	}
}

func TestClassesOfMeetings(t *testing.T) {
	w := newTown(t)
	answer := func(status string) []string {
		return []string{"UID:d", "DTSTART:20260712T200000Z", "ATTENDEE;PARTSTAT=" + status + ":mailto:bob@example.test"}
	}
	for _, c := range []struct{ name, text, class string }{
		{"cancelled", inviting("CANCEL", "UID:d", "DTSTART:20260712T200000Z"), "IPM.Schedule.Meeting.Canceled"},
		{"accepted", inviting("REPLY", answer("ACCEPTED")...), "IPM.Schedule.Meeting.Resp.Pos"},
		{"declined", inviting("REPLY", answer("DECLINED")...), "IPM.Schedule.Meeting.Resp.Neg"},
		{"tentative", inviting("REPLY", answer("TENTATIVE")...), "IPM.Schedule.Meeting.Resp.Tent"},
		{"answered somehow", inviting("REPLY", answer("DELEGATED")...), "IPM.Note"},
		{"published", inviting("PUBLISH", "UID:d", "DTSTART:20260712T200000Z"), "IPM.Note"},
		{"broken", inviting("REQUEST", "UID:d"), "IPM.Note"},
		{"another day is proposed", inviting("COUNTER", "UID:d", "DTSTART:20260712T200000Z"), "IPM.Note"},
	} {
		e := w.shown(v161, w.item("INBOX", w.put("INBOX", c.text), nil), noBodyOptions())
		if got := e.Get(wbxml.EmailMessageClass); got != c.class || e.Has(wbxml.EmailMeetingRequest) != (c.class != "IPM.Note") {
			t.Errorf("%s: %s, %s", c.name, got, names(e))
		}
	}
}

func TestOneOccurrenceOfASeries(t *testing.T) {
	w := newTown(t)
	p := w.put("INBOX", inviting("REQUEST", "UID:d", "SEQUENCE:3", "RECURRENCE-ID:20260712T200000Z", "DTSTART:20260713T200000Z", "X-MICROSOFT-CDO-BUSYSTATUS:TENTATIVE", "CLASS:PRIVATE"))
	e := w.shown(v141, w.item("INBOX", p, nil), noBodyOptions()).Child(wbxml.EmailMeetingRequest)
	for tag, want := range map[wbxml.Tag]string{
		wbxml.EmailInstanceType: "3", wbxml.EmailRecurrenceId: "2026-07-12T20:00:00.000Z", wbxml.EmailBusyStatus: "1", wbxml.EmailSensitivity: "2", wbxml.Email2MeetingMessageType: "2", wbxml.EmailResponseRequested: "0",
	} {
		if got := e.Get(tag); got != want {
			t.Errorf("%v is %q, want %q", tag, got, want)
		}
	}
	if zone := e.Get(wbxml.EmailTimeZone); strings.Trim(zone, "A=") != "" {
		t.Errorf("UTC is %s", zone)
	}
}

func TestThePolicyBoundsWhatIsFetched(t *testing.T) {
	w := newTown(t)
	p := w.put("INBOX", letter)
	reference := fileReference(w.email(p).EmailID, "2")
	for _, c := range []struct {
		policy device.Policy
		want   int
	}{
		{device.Policy{NewDevices: mail.Allowed, MaxAttachment: 9}, 0},
		{device.Policy{NewDevices: mail.Allowed, MaxAttachment: 8}, itemsDenied},
		{device.Policy{NewDevices: mail.Allowed, Forbid: []device.Feature{device.Attachments}}, itemsDenied},
	} {
		q := w.phone(v161).request()
		q.policy = c.policy
		_, err := q.openFile(reference)
		got := 0
		if err != nil {
			if got, err = q.itemsStatus(err); err != nil {
				t.Fatal(err)
			}
		}
		if got != c.want {
			t.Errorf("%+v: status %d, want %d", c.policy, got, c.want)
		}
	}
	q := w.phone(v161).request()
	q.policy = device.Policy{MaxBody: 3, MaxHTMLBody: 5}
	o, ok, err := q.bodyOptions(nil)
	if !ok || err != nil || o.textCap != 3 || o.htmlCap != 5 {
		t.Errorf("%+v", o)
	}
}
