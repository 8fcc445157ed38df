package eas

import (
	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
)

// parseMailChange reads what a device changes of a message; not ok is what it may not.
func parseMailChange(data *wbxml.Element, was mail.Flags) (c mail.FlagChange, notes []mail.Annotation, ok bool) {
	for _, e := range data.Children {
		switch e.Tag {
		case wbxml.EmailRead:
			if e.Text == "1" {
				c.Add.System |= mail.Seen
			} else {
				c.Remove.System |= mail.Seen
			}
		case wbxml.EmailFlag:
			if e.Get(wbxml.EmailStatus) == "2" {
				c.Add.System |= mail.Flagged
			} else {
				c.Remove.System |= mail.Flagged
			}
		default:
			return c, nil, false
		}
	}
	return c, nil, true
}

// flagData is what changes of a message.
func (x *exchange) flagData(it *syncItem) []*wbxml.Element {
	flag := wbxml.New(wbxml.EmailFlag)
	if it.Flags.Has(mail.Flagged) {
		flag.Add(wbxml.Text(wbxml.EmailStatus, "2"))
	}
	return []*wbxml.Element{wbxml.Bool(wbxml.EmailRead, it.Flags.Has(mail.Seen)), flag}
}

// itemData is all of a message that the device wishes.
func (x *exchange) itemData(it *syncItem) (*wbxml.Element, error) {
	return wbxml.New(wbxml.AirSyncApplicationData, wbxml.Text(wbxml.EmailSubject, it.Message.MessageID)).Add(x.flagData(it)...), nil
}
