package pim

import (
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-ical"
)

// Person is an organizer or somebody who is invited.
type Person struct {
	Name    string
	Address string
	Status  string // PARTSTAT, upper case
	Asked   bool   // an answer is asked for
}

// Invitation is what a message about a meeting says (RFC 5546): a request, an answer,
// a cancellation.
type Invitation struct {
	Method       string // upper case
	UID          string
	Sequence     int
	Stamp        time.Time // zero if unsaid
	Start, End   time.Time // UTC; of an all-day event at midnight, as dates
	AllDay       bool
	Zone         Zone // of Start
	Summary      string
	Location     string
	Organizer    Person
	Attendees    []Person
	Recurrence   *Recurrence   // nil if it does not recur, or in a way that can't be said
	Recurs       bool          // it does, whichever way
	RecurrenceID time.Time     // of the occurrence it is about; zero is all
	Reminder     time.Duration // before the start; negative is none
	Busy         int           // MS-ASCAL §2.2.2.10: 0 free, 1 tentative, 2 busy, 3 away
	Sensitivity  int           // MS-ASCAL §2.2.2.43: 0 normal, 2 private, 3 confidential
	NoCounter    bool          // no other time may be proposed
}

// ReadInvitation reads what a text/calendar part in UTF-8 says. It is Invalid if that is
// no iCalendar, nil if it is about no event, or no message of scheduling.
func ReadInvitation(r io.Reader) (*Invitation, error) {
	c, err := readCalendar(r)
	if err != nil {
		return nil, err
	}
	event := eventOf(c)
	method := word(c.Component, ical.PropMethod)
	if event == nil || method == "" || method == "PUBLISH" {
		return nil, nil
	}
	i := &Invitation{
		Method: method, UID: text(event, ical.PropUID), Summary: text(event, ical.PropSummary), Location: text(event, ical.PropLocation),
		Busy: busyOf(event), Sensitivity: sensitivityOf(event), Reminder: reminderOf(event),
		NoCounter: word(event, "X-MICROSOFT-DISALLOW-COUNTER") == "TRUE",
	}
	i.Sequence, _ = strconv.Atoi(word(event, ical.PropSequence))
	zones := zonesOf(c)
	if err := i.readTimes(event, zones); err != nil {
		return nil, err
	}
	i.readPeople(event)
	if p := event.Props.Get(ical.PropRecurrenceRule); p != nil {
		i.Recurs = true
		i.Recurrence = ParseRecurrence(p.Value, i.Zone.wall(i.Start))
	}
	return i, nil
}

// eventOf is the event that a calendar is about: the whole of a series, else the first.
func eventOf(c *ical.Calendar) *ical.Component {
	var first *ical.Component
	for _, child := range c.Children {
		switch {
		case child.Name != ical.CompEvent:
		case child.Props.Get(ical.PropRecurrenceID) == nil:
			return child
		case first == nil:
			first = child
		}
	}
	return first
}

func (i *Invitation) readTimes(event *ical.Component, zones zoneFinder) error {
	start := event.Props.Get(ical.PropDateTimeStart)
	if start == nil {
		return errCalendar
	}
	var ok bool
	if i.Start, i.Zone, i.AllDay, ok = zones.moment(start); !ok {
		return errCalendar
	}
	i.End = i.Start
	if i.AllDay {
		i.End = i.Start.AddDate(0, 0, 1)
	}
	if end := event.Props.Get(ical.PropDateTimeEnd); end != nil {
		if t, _, _, ok := zones.moment(end); ok && !t.Before(i.Start) {
			i.End = t
		}
	} else if p := event.Props.Get(ical.PropDuration); p != nil {
		if d, err := p.Duration(); err == nil && d >= 0 {
			i.End = i.Start.Add(d)
		}
	}
	if p := event.Props.Get(ical.PropRecurrenceID); p != nil {
		i.RecurrenceID, _, _, _ = zones.moment(p)
	}
	if p := event.Props.Get(ical.PropDateTimeStamp); p != nil {
		i.Stamp, _, _, _ = zones.moment(p)
	}
	return nil
}

func (i *Invitation) readPeople(event *ical.Component) {
	if p := event.Props.Get(ical.PropOrganizer); p != nil {
		i.Organizer = personOf(p)
	}
	for n := range event.Props.Values(ical.PropAttendee) {
		i.Attendees = append(i.Attendees, personOf(&event.Props.Values(ical.PropAttendee)[n]))
	}
}

func personOf(p *ical.Prop) Person {
	address := strings.TrimSpace(p.Value)
	if scheme, rest, ok := strings.Cut(address, ":"); ok && strings.EqualFold(scheme, "mailto") {
		address = rest
	}
	return Person{
		Name: clip(p.Params.Get(ical.ParamCommonName)), Address: clip(address),
		Status: strings.ToUpper(p.Params.Get(ical.ParamParticipationStatus)), Asked: strings.EqualFold(p.Params.Get(ical.ParamRSVP), "TRUE"),
	}
}

func busyOf(event *ical.Component) int {
	for _, name := range []string{"X-MICROSOFT-CDO-INTENDEDSTATUS", "X-MICROSOFT-CDO-BUSYSTATUS"} {
		switch word(event, name) {
		case "FREE":
			return 0
		case "TENTATIVE":
			return 1
		case "BUSY":
			return 2
		case "OOF":
			return 3
		}
	}
	if word(event, ical.PropTransparency) == "TRANSPARENT" {
		return 0
	}
	return 2
}

func sensitivityOf(event *ical.Component) int {
	switch word(event, ical.PropClass) {
	case "PRIVATE":
		return 2
	case "CONFIDENTIAL":
		return 3
	}
	return 0
}

// reminderOf is how long before the start the first alarm goes off.
func reminderOf(event *ical.Component) time.Duration {
	for _, child := range event.Children {
		trigger := child.Props.Get(ical.PropTrigger)
		if child.Name != ical.CompAlarm || trigger == nil || strings.EqualFold(trigger.Params.Get("RELATED"), "END") {
			continue
		}
		trigger.SetValueType(ical.ValueDuration)
		if d, err := trigger.Duration(); err == nil && d <= 0 {
			return -d
		}
	}
	return -1
}
