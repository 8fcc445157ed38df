package itip

import (
	"strings"
	"testing"
	"time"

	"lockstep/internal/mail"
)

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

const dinner = `BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//Sample//EN
METHOD:REQUEST
BEGIN:VTIMEZONE
TZID:Europe/Berlin
BEGIN:STANDARD
DTSTART:19701025T030000
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
END:STANDARD
END:VTIMEZONE
BEGIN:VEVENT
UID:dinner@sample.test
DTSTAMP:20260711T090000Z
DTSTART;TZID=Europe/Berlin:20260712T200000
DTEND;TZID=Europe/Berlin:20260712T220000
SEQUENCE:2
SUMMARY:Dinner\, at eight
ORGANIZER;CN=Carla:mailto:carla@sample.test
ATTENDEE;CN="Alice, A.";PARTSTAT=NEEDS-ACTION:MAILTO:alice@example.test
ATTENDEE:mailto:bob@example.test
RRULE:FREQ=WEEKLY
DESCRIPTION:Bring wine.
BEGIN:VALARM
SUMMARY:in an alarm
ATTENDEE:mailto:alarm@sample.test
END:VALARM
END:VEVENT
END:VCALENDAR
`

var at = time.Date(2026, 7, 11, 10, 0, 0, 0, time.UTC)

func read(t testing.TB, s string) *Invitation {
	t.Helper()
	i, err := Read(strings.NewReader(crlf(s)))
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestInvitationsAreRead(t *testing.T) {
	i := read(t, dinner)
	if i.Summary() != "Dinner, at eight" || i.Organizer() != "carla@sample.test" || strings.Join(i.Attendees(), " ") != "alice@example.test bob@example.test" || !i.IsRecurring() {
		t.Errorf("%q %q %q", i.Summary(), i.Organizer(), i.Attendees())
	}
	if i := read(t, strings.Replace(dinner, "BEGIN:VCALENDAR", "Begin: vCalendar", 1)); i.Summary() == "" {
		t.Error("a space behind BEGIN: is in the way")
	}
	for name, s := range map[string]string{
		"another method": strings.Replace(dinner, "REQUEST", "CANCEL", 1),
		"no event":       "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\nMETHOD:REQUEST\nEND:VCALENDAR\n",
		"no organizer":   strings.Replace(dinner, "ORGANIZER", "X-ORGANIZER", 1),
		"no calendar":    "hello",
		"nothing":        "",
		"too much":       dinner + strings.Repeat("\n", MaxBytes),
	} {
		if _, err := Read(strings.NewReader(crlf(s))); mail.KindOf(err) != mail.Invalid {
			t.Errorf("%s: %v, want Invalid", name, err)
		}
	}
}

func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		answer Answer
		want   []string
	}{
		{Answer{Attendee: "alice@example.test", Status: Accepted, At: at},
			[]string{"METHOD:REPLY", "UID:dinner@sample.test", "SEQUENCE:2", "ATTENDEE;CN=\"Alice, A.\";PARTSTAT=ACCEPTED:mailto:alice@example.test", "DTSTAMP:20260711T100000Z", "DTSTART;TZID=Europe/Berlin:20260712T200000", "TZID:Europe/Berlin"}},
		{Answer{Attendee: "tea@example.test", Status: Declined, At: at, Instance: time.Date(2026, 7, 19, 18, 0, 0, 0, time.UTC)},
			[]string{"ATTENDEE;PARTSTAT=DECLINED:mailto:tea@example.test", "RECURRENCE-ID:20260719T180000Z"}},
		{Answer{Attendee: "bob@example.test", Status: Tentative, At: at, Start: at.Add(time.Hour), End: at.Add(2 * time.Hour)},
			[]string{"METHOD:COUNTER", "DTSTART:20260711T110000Z", "DTEND:20260711T120000Z", "ATTENDEE;PARTSTAT=TENTATIVE:mailto:bob@example.test"}},
	} {
		b := read(t, dinner).Answer(c.answer)
		for _, want := range c.want {
			if !strings.Contains(unfold(b), "\n"+want+"\n") {
				t.Errorf("no %q in\n%s", want, b)
			}
		}
		for _, bad := range []string{"RRULE", "DESCRIPTION", "alarm", "NEEDS-ACTION"} {
			if strings.Contains(b, bad) {
				t.Errorf("%s is in\n%s", bad, b)
			}
		}
		if n := strings.Count(b, "ATTENDEE"); n != 1 {
			t.Errorf("%d attendees in\n%s", n, b)
		}
	}
}

// Whatever comes is read or refused, and what was read can be answered or not.
func FuzzRead(f *testing.F) {
	f.Add(crlf(dinner))
	f.Fuzz(func(t *testing.T, s string) {
		i, err := Read(strings.NewReader(s))
		if err != nil {
			if mail.KindOf(err) != mail.Invalid {
				t.Fatal(err)
			}
			return
		}
		answer := i.Answer(Answer{Attendee: "a@b.test", Status: Accepted, At: at})
		calendar, children, err := parse(answer)
		if err != nil || calendar.get("METHOD").value != "REPLY" || len(children) != len(i.zones)+1 {
			t.Fatalf("%v: %s", err, answer)
		}
		if e := children[len(i.zones)]; e.get("UID").value != i.event.get("UID").value || e.get("ORGANIZER").address() != i.Organizer() {
			t.Errorf("the answer is to another event:\n%s", answer)
		}
	})
}

func TestBoundsOfAnInvitation(t *testing.T) {
	for name, s := range map[string]string{
		"lines":      strings.Replace(dinner, "RRULE", strings.Repeat("X:1\n", MaxLines)+"RRULE", 1),
		"components": strings.Replace(dinner, "END:VCALENDAR", strings.Repeat("BEGIN:VEVENT\nEND:VEVENT\n", MaxComponents)+"END:VCALENDAR", 1),
		"depth":      strings.Replace(dinner, "RRULE", strings.Repeat("BEGIN:X\n", 20)+strings.Repeat("END:X\n", 20)+"RRULE", 1),
	} {
		if _, err := Read(strings.NewReader(crlf(s))); mail.KindOf(err) != mail.Invalid {
			t.Errorf("%s: %v, want Invalid", name, err)
		}
	}
	long := strings.Replace(dinner, "CN=Carla", "CN="+strings.Repeat("ü", 1000), 1)
	for l := range strings.SplitSeq(read(t, long).Answer(Answer{Attendee: "alice@example.test", At: at}), "\r\n") {
		if len(l) > 75 {
			t.Errorf("a line of %d bytes", len(l))
		}
	}
}
