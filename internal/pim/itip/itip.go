// Package itip reads invitations to meetings and writes the answers to them
// (RFC 5546), as they come and go by mail (RFC 6047).
//
// An answer repeats properties of the invitation as they stand, with parameters
// nobody here knows; so what is needed of iCalendar (RFC 5545) is where its lines,
// their names and parameters end. github.com/emersion/go-ical was weighed: a line
// such as "A;B=" makes it panic, and a long parameter costs it the square of its
// length, which is no way to read what strangers send.
package itip

import (
	"io"
	"slices"
	"strings"
	"time"

	"lockstep/internal/mail"
)

// Bounds on an invitation. What is past one is Invalid.
const (
	MaxBytes      = 1 << 20
	MaxLines      = 20_000
	MaxComponents = 1000
)

// A Status is how somebody answers (RFC 5545 §3.2.12).
type Status string

// The answers.
const (
	Accepted  Status = "ACCEPTED"
	Tentative Status = "TENTATIVE"
	Declined  Status = "DECLINED"
)

// An Invitation is an event that somebody is asked to.
type Invitation struct {
	zones []component // VTIMEZONE
	event component   // the series, or the one that is meant
}

var errNone = mail.Errorf(mail.Invalid, "this is no invitation")

// Read reads an invitation: a calendar object with the method REQUEST. Anything else
// is Invalid.
func Read(r io.Reader) (*Invitation, error) {
	text, err := io.ReadAll(io.LimitReader(r, MaxBytes+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > MaxBytes:
		return nil, mail.Errorf(mail.Invalid, "an invitation has at most %d bytes", MaxBytes)
	}
	calendar, children, err := parse(string(text))
	if err != nil {
		return nil, err
	}
	inv := &Invitation{}
	for _, c := range children {
		switch {
		case c.name == "VTIMEZONE":
			inv.zones = append(inv.zones, c)
		case c.name == "VEVENT" && (inv.event.name == "" || inv.event.get("RECURRENCE-ID") != nil && c.get("RECURRENCE-ID") == nil):
			inv.event = c
		}
	}
	method := calendar.get("METHOD")
	if method == nil || !strings.EqualFold(method.value, "REQUEST") || inv.event.get("UID") == nil || inv.Organizer() == "" {
		return nil, errNone
	}
	return inv, nil
}

// Summary is what the event is called.
func (i *Invitation) Summary() string {
	p := i.event.get("SUMMARY")
	if p == nil {
		return ""
	}
	return strings.NewReplacer(`\\`, `\`, `\n`, " ", `\N`, " ", `\,`, ",", `\;`, ";").Replace(p.value)
}

// Organizer is the address the answer goes to; "" if it is none of mail.
func (i *Invitation) Organizer() string { return i.event.get("ORGANIZER").address() }

// Attendees are the addresses of who is asked.
func (i *Invitation) Attendees() []string {
	var all []string
	for p := range i.event.own() {
		if a := p.address(); p.name == "ATTENDEE" && a != "" {
			all = append(all, a)
		}
	}
	return all
}

// IsRecurring reports whether the event happens more than once.
func (i *Invitation) IsRecurring() bool {
	return i.event.get("RRULE") != nil || i.event.get("RDATE") != nil || i.event.get("RECURRENCE-ID") != nil
}

// Answer is what somebody says to an invitation.
type Answer struct {
	Attendee string // whose answer it is
	Status   Status
	At       time.Time
	Instance time.Time // the one time of a series that is meant; zero is what was asked

	// Start and End propose another time; zero proposes none.
	Start, End time.Time
}

// IsProposal reports whether another time is proposed.
func (a Answer) IsProposal() bool { return !a.Start.IsZero() && !a.End.IsZero() }

// Method is the method of the answer's calendar object: REPLY (RFC 5546 §3.2.3), or
// COUNTER if another time is proposed (§3.2.7).
func (a Answer) Method() string {
	if a.IsProposal() {
		return "COUNTER"
	}
	return "REPLY"
}

// Answer writes the calendar object of an answer.
func (i *Invitation) Answer(a Answer) string {
	var w lineWriter
	w.lines("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Lockstep//EN", "METHOD:"+a.Method())
	for _, zone := range i.zones {
		w.lines("BEGIN:VTIMEZONE")
		for _, l := range zone.lines {
			w.lines(l.raw)
		}
		w.lines("END:VTIMEZONE")
	}
	w.lines("BEGIN:VEVENT", "DTSTAMP:"+stamp(a.At))
	gone := i.gone(a)
	for _, name := range kept {
		if p := i.event.get(name); p != nil && !slices.Contains(gone, name) {
			w.lines(p.raw)
		}
	}
	if !a.Instance.IsZero() {
		w.lines("RECURRENCE-ID:" + stamp(a.Instance))
	}
	if a.IsProposal() {
		w.lines("DTSTART:"+stamp(a.Start), "DTEND:"+stamp(a.End))
	}
	w.lines(i.attendee(a), "END:VEVENT", "END:VCALENDAR")
	return w.String()
}

// kept are the properties of the invitation that an answer repeats: those that say
// which event it is, and those that programs show.
var kept = []string{"UID", "SEQUENCE", "ORGANIZER", "SUMMARY", "LOCATION", "RECURRENCE-ID", "DTSTART", "DTEND", "DURATION"}

// gone are those of them that the answer says in its own words.
func (i *Invitation) gone(a Answer) []string {
	var gone []string
	if !a.Instance.IsZero() {
		gone = append(gone, "RECURRENCE-ID")
	}
	if a.IsProposal() {
		gone = append(gone, "DTSTART", "DTEND", "DURATION")
	}
	return gone
}

// attendee is the line of who answers, called as in the invitation.
func (i *Invitation) attendee(a Answer) string {
	name := ""
	for p := range i.event.own() {
		if p.name == "ATTENDEE" && strings.EqualFold(p.address(), a.Attendee) {
			name = p.param("CN")
		}
	}
	if name != "" {
		name = ";CN=\"" + name + "\""
	}
	return "ATTENDEE" + name + ";PARTSTAT=" + string(a.Status) + ":mailto:" + a.Attendee
}

func stamp(t time.Time) string { return t.UTC().Format("20060102T150405Z") }
