package eas

import (
	"strings"

	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Statuses of pictures (MS-ASCMD §2.2.2): nobody has one here.
const (
	pictureNone    = 173
	pictureTooMany = 175
)

// people asks the directory; nobody is found where it is turned off.
func (q *request) people(text string, limit int) ([]store.Person, error) {
	if q.srv.People == nil {
		return nil, nil
	}
	found, err := q.srv.People(q.ctx, store.PeopleQuery{Asker: q.account(), Text: text, Limit: limit})
	if err != nil && mail.KindOf(err) == mail.NotFound {
		return nil, nil
	}
	return found, err
}

// galProperties are what the directory tells of somebody (MS-ASCMD §2.2.3.139.3), in
// the order of the code page. Some clients need names also of who has none; with all
// true, as Exchange answers a Search, also what is not known is there, empty.
func galProperties(as wbxml.Tag, p store.Person, all bool, picture *wbxml.Element) *wbxml.Element {
	alias, _, _ := strings.Cut(p.Address, "@")
	shown := p.Name
	if shown == "" {
		shown = alias
	}
	first, last := namesOf(shown)
	unknown := func(t wbxml.Tag) *wbxml.Element {
		if !all {
			return nil
		}
		return wbxml.New(t)
	}
	return wbxml.New(as,
		wbxml.Text(wbxml.GALDisplayName, shown), unknown(wbxml.GALPhone), unknown(wbxml.GALOffice), unknown(wbxml.GALTitle), unknown(wbxml.GALCompany),
		wbxml.Text(wbxml.GALAlias, alias), wbxml.Text(wbxml.GALFirstName, first), wbxml.Text(wbxml.GALLastName, last),
		unknown(wbxml.GALHomePhone), unknown(wbxml.GALMobilePhone), wbxml.Text(wbxml.GALEmailAddress, p.Address), picture)
}

// namesOf divides a name where most people's are divided: before the last word.
func namesOf(name string) (first, last string) {
	i := strings.LastIndexByte(name, ' ')
	if i < 0 {
		return "", name
	}
	return strings.TrimSpace(name[:i]), name[i+1:]
}

// galPicture is what is said of the picture of somebody, if pictures were asked for:
// most is how many may come, "" any number.
func galPicture(most string) *wbxml.Element {
	return wbxml.New(wbxml.GALPicture, wbxml.Int(wbxml.GALStatus, pictureStatus(most)))
}

func pictureStatus(most string) int {
	if most == "0" {
		return pictureTooMany
	}
	return pictureNone
}
