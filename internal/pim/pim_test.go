package pim

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"
)

// berlin is the golden blob of Europe/Berlin.
const berlin = "xP///1cALgAgAEUAdQByAG8AcABlACAAUwB0AGEAbgBkAGEAcgBkACAAVABpAG0AZQAAAAAAAAAAAAAAAAAAAAAAAAAAAAoAAAAFAAMAAAAAAAAAAAAAAFcALgAgAEUAdQByAG8AcABlACAARABhAHkAbABpAGcAaAB0ACAAVABpAG0AZQAAAAAAAAAAAAAAAAAAAAAAAAAAAAMAAAAFAAIAAAAAAAAAxP///w=="

func TestTimeZoneBlob(t *testing.T) {
	for _, name := range []string{"Europe/Berlin", "W. Europe Standard Time", "/mozilla.org/20050126_1/Europe/Berlin"} {
		for year := 2015; year < 2035; year++ {
			z, ok := zoneFinder{}.find(name, year)
			if got := z.Blob(); !ok || got != berlin {
				t.Errorf("%s in %d: %v\n%s", name, year, ok, got)
			}
		}
	}
	if got := (Zone{}).Blob(); strings.Trim(got, "A=") != "" || len(got) != 232 {
		t.Errorf("UTC is %s", got)
	}
	sydney, _ := zoneFinder{}.find("Australia/Sydney", 2026)
	if want := (transition{10, 0, 1, 2, 0, 0}); sydney.begins != want || sydney.ends != (transition{4, 0, 1, 3, 0, 0}) || sydney.standard != 36000 {
		t.Errorf("Sydney is %+v", sydney)
	}
	kolkata, _ := zoneFinder{}.find("Asia/Kolkata", 2026)
	if kolkata.saves || kolkata.standard != 19800 {
		t.Errorf("Kolkata is %+v", kolkata)
	}
	for _, name := range []string{"", "Local", "Nowhere/Else", "../../etc/passwd", "/", "Customized Time Zone"} {
		if _, ok := (zoneFinder{}).find(name, 2026); ok {
			t.Errorf("%q is a zone", name)
		}
	}
}

const zoneByRules = "BEGIN:VTIMEZONE\r\nTZID:Ours\r\nBEGIN:STANDARD\r\nDTSTART:19701025T030000\r\nTZOFFSETFROM:+0200\r\nTZOFFSETTO:+0100\r\nRRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\r\nEND:STANDARD\r\n" +
	"BEGIN:DAYLIGHT\r\nDTSTART:19700329T020000\r\nTZOFFSETFROM:+0100\r\nTZOFFSETTO:+0200\r\nRRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU\r\nEND:DAYLIGHT\r\nEND:VTIMEZONE\r\n"

func calendar(method, event string) string {
	return "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nMETHOD:" + method + "\r\n" + zoneByRules + "BEGIN:VEVENT\r\nUID:dinner@sample.test\r\nDTSTAMP:20260701T080000Z\r\n" + event + "END:VEVENT\r\nEND:VCALENDAR\r\n"
}

func TestInvitations(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"in UTC", calendar("REQUEST", "DTSTART:20260712T200000Z\r\nDTEND:20260712T213000Z\r\nSUMMARY:Dinner\\, late\r\nLOCATION:Home\r\n"),
			"REQUEST 2026-07-12 20:00-2026-07-12 21:30 allday=false zone= Dinner, late @Home"},
		{"by rules, in summer", calendar("REQUEST", "DTSTART;TZID=Ours:20260712T200000\r\nDURATION:PT90M\r\nSUMMARY:Dinner\r\n"),
			"REQUEST 2026-07-12 18:00-2026-07-12 19:30 allday=false zone=Ours Dinner @"},
		{"by rules, in winter", calendar("CANCEL", "DTSTART;TZID=Ours:20261212T200000\r\nSUMMARY:Dinner\r\n"),
			"CANCEL 2026-12-12 19:00-2026-12-12 19:00 allday=false zone=Ours Dinner @"},
		{"by name", calendar("REPLY", "DTSTART;TZID=America/New_York:20260712T200000\r\n"), "REPLY 2026-07-13 00:00-2026-07-13 00:00 allday=false zone=America/New_York  @"},
		{"a day", calendar("REQUEST", "DTSTART;VALUE=DATE:20260712\r\n"), "REQUEST 2026-07-12 00:00-2026-07-13 00:00 allday=true zone=  @"},
		{"ends before it starts", calendar("REQUEST", "DTSTART:20260712T200000Z\r\nDTEND:20260712T100000Z\r\n"), "REQUEST 2026-07-12 20:00-2026-07-12 20:00 allday=false zone=  @"},
		{"published", calendar("PUBLISH", "DTSTART:20260712T200000Z\r\n"), "none"},
		{"no start", calendar("REQUEST", ""), "error"},
		{"nobody knows the zone", calendar("REQUEST", "DTSTART;TZID=Theirs:20260712T200000\r\n"), "error"},
		{"no calendar", "hello", "error"},
		{"cut", calendar("REQUEST", "DTSTART:20260712T200000Z\r\n")[:400], "error"},
		{"no event", "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n", "none"},
		{"too large", calendar("REQUEST", "DTSTART:20260712T200000Z\r\nX:"+strings.Repeat("x", MaxCalendarBytes)+"\r\n"), "error"},
		{"too many", "BEGIN:VCALENDAR\r\n" + strings.Repeat("BEGIN:VEVENT\r\n", MaxComponents+1), "error"},
	} {
		i, err := ReadInvitation(strings.NewReader(c.in))
		got := "none"
		if err != nil {
			got = "error"
		} else if i != nil {
			const layout = "2006-01-02 15:04"
			got = fmt.Sprintf("%s %s-%s allday=%v zone=%s %s @%s", i.Method, i.Start.Format(layout), i.End.Format(layout), i.AllDay, i.Zone.Name, i.Summary, i.Location)
		}
		if got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestInvitationsSayWhoAndHow(t *testing.T) {
	i, err := ReadInvitation(strings.NewReader(calendar("REQUEST", "DTSTART;TZID=Ours:20260712T200000\r\nSEQUENCE:2\r\nORGANIZER;CN=\"Carla, C.\":mailto:carla@sample.test\r\n"+
		"ATTENDEE;CN=Ada;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:MAILTO:ada@example.test\r\nATTENDEE:mailto:bob@example.test\r\nCLASS:PRIVATE\r\nTRANSP:TRANSPARENT\r\nRRULE:FREQ=WEEKLY;BYDAY=SU\r\n"+
		"X-MICROSOFT-DISALLOW-COUNTER:TRUE\r\nBEGIN:VALARM\r\nACTION:DISPLAY\r\nTRIGGER:-PT15M\r\nEND:VALARM\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%+v %+v %d %d %d %v %v %v %+v", i.Organizer, i.Attendees, i.Sequence, i.Busy, i.Sensitivity, i.Reminder, i.NoCounter, i.Stamp.Format(time.RFC3339), *i.Recurrence)
	want := "{Name:Carla, C. Address:carla@sample.test Status: Asked:false} [{Name:Ada Address:ada@example.test Status:NEEDS-ACTION Asked:true} {Name: Address:bob@example.test Status: Asked:false}] 2 0 2 15m0s true 2026-07-01T08:00:00Z " +
		"{Type:1 Interval:1 Until:0001-01-01 00:00:00 +0000 UTC Occurrences:0 DayOfWeek:1 DayOfMonth:0 WeekOfMonth:0 MonthOfYear:0 FirstDay:-1}"
	if got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
	z := i.Zone
	z.Name = "W. Europe Standard Time"
	if z.Blob() != berlin {
		t.Errorf("the zone by rules is %s", z.Blob())
	}
}

func TestRecurrences(t *testing.T) {
	start := time.Date(2026, 7, 14, 9, 0, 0, 0, time.UTC) // a Tuesday
	for rule, want := range map[string]string{
		"FREQ=DAILY;INTERVAL=2;COUNT=5":                  "type 0 every 2 count 5 days 0 day 0 week 0 month 0",
		"FREQ=DAILY;BYDAY=MO,TU,WE,TH,FR":                "type 1 every 1 count 0 days 62 day 0 week 0 month 0",
		"FREQ=WEEKLY":                                    "type 1 every 1 count 0 days 4 day 0 week 0 month 0",
		"FREQ=WEEKLY;BYDAY=SU,SA;WKST=MO":                "type 1 every 1 count 0 days 65 day 0 week 0 month 0",
		"FREQ=MONTHLY":                                   "type 2 every 1 count 0 days 0 day 14 week 0 month 0",
		"FREQ=MONTHLY;BYMONTHDAY=31":                     "type 2 every 1 count 0 days 0 day 31 week 0 month 0",
		"FREQ=MONTHLY;BYMONTHDAY=-1":                     "type 3 every 1 count 0 days 127 day 0 week 5 month 0",
		"FREQ=MONTHLY;BYDAY=2TU":                         "type 3 every 1 count 0 days 4 day 0 week 2 month 0",
		"FREQ=MONTHLY;BYDAY=-1FR":                        "type 3 every 1 count 0 days 32 day 0 week 5 month 0",
		"FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1":  "type 3 every 1 count 0 days 62 day 0 week 5 month 0",
		"FREQ=YEARLY":                                    "type 5 every 1 count 0 days 0 day 14 week 0 month 7",
		"FREQ=YEARLY;BYMONTH=11;BYDAY=4TH":               "type 6 every 1 count 0 days 16 day 0 week 4 month 11",
		"freq=yearly;bymonth=2;bymonthday=29;interval=4": "type 5 every 4 count 0 days 0 day 29 week 0 month 2",
		"FREQ=MONTHLY;BYMONTHDAY=1,15":                   "",
		"FREQ=MONTHLY;BYDAY=MO,TU;BYSETPOS=1":            "",
		"FREQ=MONTHLY;BYDAY=5MO":                         "",
		"FREQ=MONTHLY;BYDAY=-2MO":                        "",
		"FREQ=HOURLY":                                    "",
		"FREQ=WEEKLY;BYHOUR=9,17":                        "",
		"FREQ=YEARLY;BYMONTH=1,7":                        "",
		"FREQ=DAILY;INTERVAL=0":                          "",
		"FREQ=DAILY;COUNT=1000":                          "",
		"FREQ=DAILY;UNTIL=never":                         "",
		"FREQ=DAILY;FREQ=WEEKLY":                         "",
		"":                                               "",
	} {
		got := ""
		if r := ParseRecurrence(rule, start); r != nil {
			got = fmt.Sprintf("type %d every %d count %d days %d day %d week %d month %d", r.Type, r.Interval, r.Occurrences, r.DayOfWeek, r.DayOfMonth, r.WeekOfMonth, r.MonthOfYear)
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", rule, got, want)
		}
	}
	if r := ParseRecurrence("FREQ=DAILY;UNTIL=20260801T000000Z;WKST=SU", start); !r.Until.Equal(time.Date(2026, 8, 1, 0, 0, 0, 0, time.UTC)) || r.FirstDay != 0 {
		t.Errorf("until: %+v", r)
	}
}

func TestGlobalObjID(t *testing.T) {
	const outlook = "040000008200E00074C5B7101A82E00800000000D0A1B2C3D4E5F60100000000000000001000000000112233445566778899AABBCCDDEEFF"
	foreign := GlobalObjID("dinner@sample.test")
	if got, want := hex.EncodeToString(foreign), "040000008200e00074c5b7101a82e008"+strings.Repeat("00", 20)+"1f000000"+hex.EncodeToString([]byte("vCal-Uid\x01\x00\x00\x00dinner@sample.test\x00")); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, uid := range []string{"dinner@sample.test", outlook, "x"} {
		if back, ok := ParseGlobalObjID(GlobalObjID(uid)); !ok || back != uid {
			t.Errorf("%s came back as %s", uid, back)
		}
	}
	instance, _ := hex.DecodeString(outlook)
	copy(instance[16:20], []byte{0x07, 0xEA, 7, 12})
	if uid, ok := ParseGlobalObjID(instance); !ok || uid != outlook {
		t.Errorf("of an instance: %s", uid)
	}
	for _, bad := range [][]byte{nil, foreign[:40], append(foreign, 0), make([]byte, 60)} {
		if _, ok := ParseGlobalObjID(bad); ok {
			t.Errorf("%x is one", bad)
		}
	}
}

func FuzzReadInvitation(f *testing.F) {
	f.Add(calendar("REQUEST", "DTSTART;TZID=Ours:20260712T200000\r\nRRULE:FREQ=WEEKLY;BYDAY=SU\r\n"))
	f.Add(calendar("REPLY", "DTSTART;VALUE=DATE:20260712\r\nDURATION:P1D\r\n"))
	f.Fuzz(func(t *testing.T, in string) {
		i, err := ReadInvitation(strings.NewReader(in))
		if err != nil || i == nil {
			return
		}
		if i.End.Before(i.Start) || len(i.Zone.Blob()) != 232 {
			t.Errorf("%+v", i)
		}
		GlobalObjID(i.UID)
	})
}

// Parameters cost the library the square of their length: there is a bound on them,
// folded or not. Values have none of their own.
func TestLongParametersAreRefused(t *testing.T) {
	calendar := func(line string) string {
		return "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nUID:x\r\nDTSTART:20260712T200000Z\r\n" + line + "\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
	}
	for name, c := range map[string]struct {
		line string
		ok   bool
	}{
		"as long as may be": {"X;B=" + strings.Repeat("x", MaxParamBytes-4) + ":y", true},
		"one more":          {"X;B=" + strings.Repeat("x", MaxParamBytes-3) + ":y", false},
		"folded":            {"X;B=" + strings.Repeat("xxxxxxxxx\r\n ", MaxParamBytes/9+1) + ":y", false},
		"in quotes":         {`X;B="` + strings.Repeat(":", MaxParamBytes) + `":y`, false},
		"a long value":      {"DESCRIPTION:" + strings.Repeat("x", 4*MaxParamBytes), true},
	} {
		if _, err := ReadInvitation(strings.NewReader(calendar(c.line))); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
