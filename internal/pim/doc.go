// Package pim reads what calendars are written in (iCalendar, RFC 5545) and says it in
// the words of ActiveSync: invitations, recurrences, time zones, identities. Its
// functions are pure; what they read is bounded, and broken input is an error or is
// left out, never a guess that shows a wrong time.
package pim

// What one calendar can make us hold.
const (
	MaxCalendarBytes = 512 << 10 // read of one; a longer one is refused
	MaxComponents    = 2000      // in one
	MaxParamBytes    = 4 << 10   // before the value of a line
	MaxTextBytes     = 32 << 10  // of a place or a summary; the rest is left out
)
