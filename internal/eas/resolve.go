package eas

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"lockstep/internal/eas/wbxml"
	"lockstep/internal/store"
)

// Statuses of ResolveRecipients (MS-ASCMD §2.2.3.177.12): of the command, and of each
// recipient.
const (
	resolveOK        = 1
	resolveAmbiguous = 2
	resolvePartly    = 3
	resolveNobody    = 4
	resolveProtocol  = 5

	certificatesNone = 7
	availabilityNone = 163 // could not be retrieved: there are no calendars to look into
)

// Bounds of ResolveRecipients (MS-ASCMD §3.1.5.9, §2.2.3.183, §2.2.3.61.1).
const (
	maxResolve        = 100
	maxToChars        = 256
	maxResolveNumber  = 9999
	maxSuggestions    = 100 // that one name finds
	minAvailability   = 30 * time.Minute
	maxAvailability   = 42 * 24 * time.Hour
	typeFromDirectory = 1
)

// resolving is what ResolveRecipients is asked for beside the names.
type resolving struct {
	certificates, availability bool
	picture                    bool
	maxPictures                string
	most                       int // suggestions for a name that means several; -1 is any number
}

// resolveRecipients finds people by name or address (MS-ASCMD §2.2.1.15). Only those
// in the directory are known; there are no certificates, pictures or calendars.
func (q *request) resolveRecipients() (*answer, error) {
	root := wbxml.New(wbxml.ResolveResolveRecipients)
	o, ok := q.parseResolve()
	if !ok {
		return &answer{root: root.Add(wbxml.Int(wbxml.ResolveStatus, resolveProtocol))}, nil
	}
	root.Add(wbxml.Int(wbxml.ResolveStatus, resolveOK))
	for to := range q.in.All(wbxml.ResolveTo) {
		found, err := q.people(to.Text, maxSuggestions)
		if err != nil {
			return nil, err
		}
		root.Add(o.response(to.Text, meant(to.Text, found)))
	}
	return &answer{root: root}, nil
}

// parseResolve reads the options, and reports false for a command that breaks a rule.
func (q *request) parseResolve() (o resolving, ok bool) {
	o.most = -1
	n := 0
	for to := range q.in.All(wbxml.ResolveTo) {
		if n++; n > maxResolve || utf8.RuneCountInString(to.Text) > maxToChars {
			return o, false
		}
	}
	options := q.in.Child(wbxml.ResolveOptions)
	if n == 0 || options == nil {
		return o, n > 0
	}
	switch options.Get(wbxml.ResolveCertificateRetrieval) {
	case "", "1":
	case "2", "3":
		o.certificates = true
	default:
		return o, false
	}
	for _, t := range []wbxml.Tag{wbxml.ResolveMaxCertificates, wbxml.ResolveMaxAmbiguousRecipients} {
		if !options.Has(t) {
			continue
		}
		number, err := strconv.Atoi(options.Get(t))
		if err != nil || number < 0 || number > maxResolveNumber {
			return o, false
		}
		if t == wbxml.ResolveMaxAmbiguousRecipients {
			o.most = number
		}
	}
	if a := options.Child(wbxml.ResolveAvailability); a != nil {
		if q.version < v140 || !availabilityFits(a) {
			return o, false
		}
		o.availability = true
	}
	if p := options.Child(wbxml.ResolvePicture); p != nil {
		o.picture, o.maxPictures = q.version >= v141, p.Get(wbxml.ResolveMaxPictures)
	}
	return o, true
}

// availabilityFits reports whether somebody's time can be asked for so.
func availabilityFits(a *wbxml.Element) bool {
	from, ok := parseDateTime(a.Get(wbxml.ResolveStartTime))
	until := from.Add(minAvailability) // where a client asks for one interval
	if ok && a.Has(wbxml.ResolveEndTime) {
		until, ok = parseDateTime(a.Get(wbxml.ResolveEndTime))
	}
	span := until.Sub(from)
	return ok && span >= minAvailability && span <= maxAvailability
}

// meant is who a name means if it is exactly somebody's address, alias or name; else
// all whom it may mean.
func meant(to string, found []store.Person) []store.Person {
	for _, exact := range []func(store.Person) bool{
		func(p store.Person) bool { return strings.EqualFold(p.Address, to) },
		func(p store.Person) bool {
			alias, _, _ := strings.Cut(p.Address, "@")
			return strings.EqualFold(alias, to)
		},
		func(p store.Person) bool { return strings.EqualFold(p.Name, to) },
	} {
		var same []store.Person
		for _, p := range found {
			if exact(p) {
				same = append(same, p)
			}
		}
		if len(same) == 1 {
			return same
		}
	}
	if strings.Contains(to, "@") && len(found) > 1 {
		return nil // the beginning of several addresses is none
	}
	return found
}

// response says whom a name means.
func (o resolving) response(to string, found []store.Person) *wbxml.Element {
	e := wbxml.New(wbxml.ResolveResponse, wbxml.Text(wbxml.ResolveTo, to))
	switch {
	case len(found) == 0:
		return e.Add(wbxml.Int(wbxml.ResolveStatus, resolveNobody))
	case len(found) == 1:
		return e.Add(wbxml.Int(wbxml.ResolveStatus, resolveOK), wbxml.Int(wbxml.ResolveRecipientCount, 1), o.recipient(found[0], true))
	}
	status, shown := resolveAmbiguous, found
	if o.most >= 0 && o.most < len(found) {
		status, shown = resolvePartly, found[:o.most]
	}
	e.Add(wbxml.Int(wbxml.ResolveStatus, status), wbxml.Int(wbxml.ResolveRecipientCount, len(found)))
	for _, p := range shown {
		e.Add(o.recipient(p, false))
	}
	return e
}

// recipient tells of somebody; of one among several only who it is.
func (o resolving) recipient(p store.Person, alone bool) *wbxml.Element {
	shown := p.Name
	if shown == "" {
		shown = p.Address
	}
	e := wbxml.New(wbxml.ResolveRecipient, wbxml.Int(wbxml.ResolveType, typeFromDirectory),
		wbxml.Text(wbxml.ResolveDisplayName, shown), wbxml.Text(wbxml.ResolveEmailAddress, p.Address))
	if alone && o.availability {
		e.Add(wbxml.New(wbxml.ResolveAvailability, wbxml.Int(wbxml.ResolveStatus, availabilityNone)))
	}
	if alone && o.certificates {
		e.Add(wbxml.New(wbxml.ResolveCertificates, wbxml.Int(wbxml.ResolveStatus, certificatesNone), wbxml.Int(wbxml.ResolveCertificateCount, 0)))
	}
	if o.picture {
		e.Add(wbxml.New(wbxml.ResolvePicture, wbxml.Int(wbxml.ResolveStatus, pictureStatus(o.maxPictures))))
	}
	return e
}
