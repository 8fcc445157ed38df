package eas

import (
	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
)

// parseMailChange reads what a device changes of a message: whether it is read, its
// flag, its categories. Not ok is what it may not change, or what says nothing that
// holds.
func parseMailChange(data *wbxml.Element, was mail.Flags) (c mail.FlagChange, notes []mail.Annotation, ok bool) {
	is := was
	for _, e := range data.Children {
		switch e.Tag {
		case wbxml.EmailRead:
			read, ok := boolean(e.Text)
			if !ok {
				return c, nil, false
			}
			is.System = setFlag(is.System, mail.Seen, read)
		case wbxml.EmailFlag:
			f, ok := parseFollowUp(e)
			if !ok {
				return c, nil, false
			}
			is.System = setFlag(is.System, mail.Flagged, f != nil && f.Status == flagActive)
			notes = append(notes, f.note())
		case wbxml.EmailCategories:
			var names []string
			for n := range e.All(wbxml.EmailCategory) {
				names = append(names, n.Text)
			}
			words, err := withCategories(is, names)
			if err != nil {
				return c, nil, false
			}
			is = words
		default:
			if e.Tag.Known() {
				return c, nil, false
			}
		}
	}
	return mail.FlagChange{Add: is.Minus(was), Remove: was.Minus(is)}, notes, true
}

func setFlag(all, f mail.SystemFlags, on bool) mail.SystemFlags {
	if on {
		return all | f
	}
	return all &^ f
}

// flagData is what changed of a message.
func (x *exchange) flagData(it *mailItem, changed aspects) *wbxml.Element {
	if changed == 0 { // by what the journal does not tell
		changed = allAspects
	}
	return x.version.emailFlags(wbxml.AirSyncApplicationData, it, changed)
}

// itemData is all of a message that the device wishes.
func (x *exchange) itemData(it *mailItem) (*wbxml.Element, error) {
	if x.bodies == nil {
		o, _, err := x.bodyOptions(x.rel.syncOptions())
		if err != nil {
			return nil, err
		}
		x.bodies = &o
	}
	return x.version.emailItem(wbxml.AirSyncApplicationData, it, x.bodies)
}
