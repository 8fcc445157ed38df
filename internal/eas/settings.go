package eas

import (
	"slices"

	"lockstep/internal/eas/wbxml"
)

// Statuses of Settings (MS-ASCMD §2.2.3.177.15).
const (
	settingsOK        = 1
	settingsProtocol  = 2 // the command, or what it says of one property, is malformed
	settingsInvalid   = 5
	settingsConflict  = 6
	settingsForbidden = 7 // denied by policy
)

// Bounds on what Settings takes and tells.
const (
	maxDevicePasswordBytes = 255 // MS-ASCMD §2.2.3.131.2
	maxOwnAddresses        = 200
)

// A property is one of the things that Settings gets and sets.
type property struct {
	since version
	verbs []wbxml.Tag // of which a request has one
	serve func(q *request, verb *wbxml.Element) (*wbxml.Element, error)
}

// properties are what Settings knows. It is a function for the reason that commands
// is one.
func properties(t wbxml.Tag) (property, bool) {
	get, set := wbxml.SettingsGet, wbxml.SettingsSet
	switch t {
	case wbxml.SettingsOof:
		return property{verbs: []wbxml.Tag{get, set}, serve: (*request).oof}, true
	case wbxml.SettingsDeviceInformation:
		return property{verbs: []wbxml.Tag{set}, serve: (*request).setDeviceInformation}, true
	case wbxml.SettingsDevicePassword:
		return property{verbs: []wbxml.Tag{set}, serve: (*request).setDevicePassword}, true
	case wbxml.SettingsUserInformation:
		return property{verbs: []wbxml.Tag{get}, serve: (*request).userInformation}, true
	case wbxml.SettingsRightsManagementInformation:
		return property{since: v141, verbs: []wbxml.Tag{get}, serve: (*request).rightsInformation}, true
	}
	return property{}, false
}

// settings gets and sets properties of the account and the device, in the order in
// which they are asked for (MS-ASCMD §2.2.1.18). When the command is malformed
// nothing is done.
func (q *request) settings() (*answer, error) {
	root := wbxml.New(wbxml.SettingsSettings)
	if !q.settingsWellFormed() {
		return &answer{root: root.Add(wbxml.Int(wbxml.SettingsStatus, settingsProtocol))}, nil
	}
	root.Add(wbxml.Int(wbxml.SettingsStatus, settingsOK))
	for _, c := range q.in.Children {
		p, ok := properties(c.Tag)
		if !ok {
			continue // of a newer client
		}
		said, err := p.serve(q, verbOf(c, p))
		if err != nil {
			return nil, err
		}
		root.Add(said)
	}
	return &answer{root: root}, nil
}

// settingsWellFormed reports whether each property is asked for once, with one verb.
func (q *request) settingsWellFormed() bool {
	seen := map[wbxml.Tag]bool{}
	for _, c := range q.in.Children {
		p, ok := properties(c.Tag)
		if !ok && !c.Tag.Known() {
			continue
		}
		if !ok || seen[c.Tag] || q.version < p.since || verbOf(c, p) == nil {
			return false
		}
		if c.Tag == wbxml.SettingsDevicePassword && len(verbOf(c, p).Children) == 0 {
			return false
		}
		seen[c.Tag] = true
	}
	return len(seen) > 0
}

// verbOf is the one verb that a property is asked for with; nil if there is none, or
// more than one.
func verbOf(e *wbxml.Element, p property) *wbxml.Element {
	if len(e.Children) != 1 || !slices.Contains(p.verbs, e.Children[0].Tag) {
		return nil
	}
	return e.Children[0]
}

// said is the answer to one property.
func said(t wbxml.Tag, status int, rest ...*wbxml.Element) *wbxml.Element {
	return wbxml.New(t, wbxml.Int(wbxml.SettingsStatus, status)).Add(rest...)
}

// setDevicePassword is told a password by which a device that was locked could be
// opened again. No such passwords are kept here: whoever could read the server's
// data could open the device (MS-ASCMD §2.2.3.46).
func (q *request) setDevicePassword(set *wbxml.Element) (*wbxml.Element, error) {
	status := settingsForbidden
	if len(set.Get(wbxml.SettingsPassword)) > maxDevicePasswordBytes {
		status = settingsInvalid
	}
	return said(wbxml.SettingsDevicePassword, status), nil
}

// userInformation tells the addresses that the user has, which devices offer as
// senders (MS-ASCMD §2.2.3.192).
func (q *request) userInformation(*wbxml.Element) (*wbxml.Element, error) {
	own, err := q.srv.Directory.Addresses(q.ctx, q.account())
	if err != nil {
		return nil, err
	}
	primary := q.sess.Principal.Login
	addresses := wbxml.New(wbxml.SettingsEmailAddresses)
	for _, a := range own {
		if a.Local == "" || len(addresses.Children) >= maxOwnAddresses {
			continue // what catches all is no address
		}
		addresses.Add(wbxml.Text(wbxml.SettingsSMTPAddress, a.Local+"@"+a.Domain))
	}
	get := wbxml.New(wbxml.SettingsGet)
	if q.version < v141 {
		get.Add(addresses)
	} else {
		addresses.Add(wbxml.Text(wbxml.SettingsPrimarySmtpAddress, primary))
		get.Add(wbxml.New(wbxml.SettingsAccounts, wbxml.New(wbxml.SettingsAccount, addresses)))
	}
	return said(wbxml.SettingsUserInformation, settingsOK, get), nil
}

// rightsInformation tells that there are no templates for protected mail
// (MS-ASRM §2.2.2.19).
func (q *request) rightsInformation(*wbxml.Element) (*wbxml.Element, error) {
	return said(wbxml.SettingsRightsManagementInformation, settingsOK,
		wbxml.New(wbxml.SettingsGet, wbxml.New(wbxml.RightsRightsManagementTemplates))), nil
}

// setDeviceInformation notes what the device tells of itself (MS-ASCMD §2.2.3.45).
func (q *request) setDeviceInformation(set *wbxml.Element) (*wbxml.Element, error) {
	err := q.noteDeviceInformation(set)
	if err != nil {
		return nil, err
	}
	return said(wbxml.SettingsDeviceInformation, settingsOK), nil
}
