package eas

import (
	"html"
	"strings"
	"time"

	"lockstep/internal/delivery"
	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/store"
)

// The states of automatic answers (MS-ASCMD §2.2.3.124).
const (
	oofOff     = "0"
	oofOn      = "1"
	oofBetween = "2"
)

// The forms of a reply (MS-ASCMD §2.2.3.18), as devices compare them.
const (
	oofText = "TEXT"
	oofHTML = "HTML"
)

// oofAlways and oofNever stand for the time that a device has to be told where the
// account has none.
var (
	oofAlways = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	oofNever  = time.Date(2999, 12, 31, 0, 0, 0, 0, time.UTC)
)

// audience is who hears a reply.
type audience struct {
	tag wbxml.Tag
	of  func(*mail.Vacation) *mail.VacationAnswer
}

// audiences are the three of MS-ASCMD §2.2.3.123.
var audiences = []audience{
	{wbxml.SettingsAppliesToInternal, func(v *mail.Vacation) *mail.VacationAnswer { return &v.Internal }},
	{wbxml.SettingsAppliesToExternalKnown, func(v *mail.Vacation) *mail.VacationAnswer { return &v.Known }},
	{wbxml.SettingsAppliesToExternalUnknown, func(v *mail.Vacation) *mail.VacationAnswer { return &v.Unknown }},
}

// oof gets or sets what is answered while the user is away (MS-ASCMD §2.2.3.122). It
// is the account's vacation: one for all protocols.
func (q *request) oof(verb *wbxml.Element) (*wbxml.Element, error) {
	if verb.Tag == wbxml.SettingsGet {
		return q.getOof(verb)
	}
	set, status := parseOof(verb)
	if status != settingsOK {
		return said(wbxml.SettingsOof, status), nil
	}
	_, err := q.update(func(tx store.Tx) error {
		v, err := delivery.Vacation(tx)
		if err != nil {
			return err
		}
		set.apply(&v)
		return delivery.SetVacation(tx, v)
	})
	if k := mail.KindOf(err); err != nil && (k == mail.Invalid || k == mail.Limit) {
		return said(wbxml.SettingsOof, settingsInvalid), nil
	}
	if err != nil {
		return nil, err
	}
	return said(wbxml.SettingsOof, settingsOK), nil
}

func (q *request) getOof(get *wbxml.Element) (*wbxml.Element, error) {
	form := strings.ToUpper(get.Get(wbxml.SettingsBodyType))
	if form == "" {
		form = oofText
	}
	if form != oofText && form != oofHTML {
		return said(wbxml.SettingsOof, settingsInvalid), nil
	}
	var v mail.Vacation
	err := q.view(func(r store.Reader) (err error) {
		v, err = delivery.Vacation(r)
		return err
	})
	if err != nil {
		return nil, err
	}
	told := wbxml.New(wbxml.SettingsGet)
	switch {
	case !v.Enabled:
		told.Add(wbxml.Text(wbxml.SettingsOofState, oofOff))
	case v.From.IsZero() && v.Until.IsZero():
		told.Add(wbxml.Text(wbxml.SettingsOofState, oofOn))
	default:
		told.Add(wbxml.Text(wbxml.SettingsOofState, oofBetween),
			wbxml.Text(wbxml.SettingsStartTime, oofTime(v.From, oofAlways)), wbxml.Text(wbxml.SettingsEndTime, oofTime(v.Until, oofNever)))
	}
	for _, a := range audiences {
		told.Add(oofMessage(a.tag, *a.of(&v), form))
	}
	return said(wbxml.SettingsOof, settingsOK, told), nil
}

func oofTime(t, orElse time.Time) string {
	if t.IsZero() {
		t = orElse
	}
	return dateTime(t)
}

// oofMessage tells what one audience hears. Each is always told of: some clients fail
// without.
func oofMessage(to wbxml.Tag, a mail.VacationAnswer, form string) *wbxml.Element {
	e := wbxml.New(wbxml.SettingsOofMessage, wbxml.New(to), wbxml.Bool(wbxml.SettingsEnabled, a.Enabled))
	if a.Text == "" && a.HTML == "" {
		return e
	}
	return e.Add(wbxml.Text(wbxml.SettingsReplyMessage, oofReply(a, form)), wbxml.Text(wbxml.SettingsBodyType, form))
}

// oofReply is a reply in the form that is asked for.
func oofReply(a mail.VacationAnswer, form string) string {
	switch {
	case form == oofText && a.Text == "":
		return message.PlainText(a.HTML)
	case form == oofText:
		return a.Text
	case a.HTML == "":
		return strings.ReplaceAll(html.EscapeString(a.Text), "\n", "<br>\n")
	}
	return a.HTML
}

// oofSet is what a device sets. What it leaves out stays as it is.
type oofSet struct {
	state       string // "" if it says none
	from, until time.Time
	messages    map[wbxml.Tag]mail.VacationAnswer
}

// parseOof reads a Set (MS-ASCMD §2.2.3.167).
func parseOof(e *wbxml.Element) (s oofSet, status int) {
	s.state = e.Get(wbxml.SettingsOofState)
	if e.Has(wbxml.SettingsOofState) && s.state != oofOff && s.state != oofOn && s.state != oofBetween {
		return s, settingsInvalid
	}
	if e.Has(wbxml.SettingsStartTime) != e.Has(wbxml.SettingsEndTime) {
		return s, settingsProtocol
	}
	if e.Has(wbxml.SettingsStartTime) {
		var from, until bool
		s.from, from = parseDateTime(e.Get(wbxml.SettingsStartTime))
		s.until, until = parseDateTime(e.Get(wbxml.SettingsEndTime))
		if !from || !until || !s.from.Before(s.until) {
			return s, settingsInvalid
		}
	}
	s.messages = map[wbxml.Tag]mail.VacationAnswer{}
	for m := range e.All(wbxml.SettingsOofMessage) {
		if status := s.message(m); status != settingsOK {
			return s, status
		}
	}
	return s, s.agrees()
}

// message reads what one or more audiences are to hear.
func (s *oofSet) message(e *wbxml.Element) (status int) {
	a := mail.VacationAnswer{Enabled: e.Get(wbxml.SettingsEnabled) == "1"}
	if enabled := e.Get(wbxml.SettingsEnabled); enabled != "1" && enabled != "0" && e.Has(wbxml.SettingsEnabled) {
		return settingsInvalid
	}
	form, reply := strings.ToUpper(e.Get(wbxml.SettingsBodyType)), e.Get(wbxml.SettingsReplyMessage)
	switch {
	case form != "" && form != oofText && form != oofHTML, reply != "" && form == "":
		return settingsInvalid
	case form == oofHTML:
		a.HTML = reply
	default:
		a.Text = reply
	}
	to := 0
	for _, who := range audiences {
		if !e.Has(who.tag) {
			continue
		}
		if _, again := s.messages[who.tag]; again {
			return settingsConflict
		}
		s.messages[who.tag] = a
		to++
	}
	if to == 0 {
		return settingsProtocol
	}
	return settingsOK
}

// agrees refuses two texts for people outside at once: devices have one field for
// both (MS-ASCMD §2.2.3.123, and what Exchange does). Elsewhere they can differ.
func (s *oofSet) agrees() int {
	known, a := s.messages[wbxml.SettingsAppliesToExternalKnown]
	unknown, b := s.messages[wbxml.SettingsAppliesToExternalUnknown]
	if a && b && known.Enabled && unknown.Enabled && known != unknown {
		return settingsConflict
	}
	return settingsOK
}

func (s *oofSet) apply(v *mail.Vacation) {
	switch s.state {
	case oofOff:
		v.Enabled = false
	case oofOn:
		v.Enabled, v.From, v.Until = true, time.Time{}, time.Time{}
	case oofBetween:
		v.Enabled = true
	}
	if !s.from.IsZero() && s.state != oofOn {
		v.From, v.Until = s.from, s.until
	}
	for _, who := range audiences {
		if a, ok := s.messages[who.tag]; ok {
			*who.of(v) = a
		}
	}
}
