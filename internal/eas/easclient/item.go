package easclient

import (
	"slices"
	"strings"
	"time"

	"lockstep/internal/eas/wbxml"
)

// Item is a message as the phone has it.
type Item struct {
	ServerID   string
	Subject    string
	Body       string
	Read       bool
	Flagged    bool
	Categories []string // sorted
	Verb       string   // LastVerbExecuted (MS-ASEMAIL §2.2.2.42)
	VerbTime   string
	Date       time.Time
	Draft      bool
}

// take takes in what application data says; what it leaves out stays.
func (i *Item) take(data *wbxml.Element) {
	for _, e := range data.Children {
		switch e.Tag {
		case wbxml.EmailSubject:
			i.Subject = e.Text
		case wbxml.EmailRead:
			i.Read = e.Text == "1"
		case wbxml.EmailFlag:
			i.Flagged = e.Get(wbxml.EmailStatus) == "2"
		case wbxml.EmailCategories:
			i.Categories = nil
			for c := range e.All(wbxml.EmailCategory) {
				i.Categories = append(i.Categories, c.Text)
			}
			slices.Sort(i.Categories)
		case wbxml.EmailDateReceived:
			i.Date, _ = time.Parse("2006-01-02T15:04:05.000Z", e.Text)
		case wbxml.Email2LastVerbExecuted:
			i.Verb = e.Text
		case wbxml.Email2LastVerbExecutionTime:
			i.VerbTime = e.Text
		case wbxml.Email2IsDraft:
			i.Draft = e.Text == "1"
		case wbxml.BaseBody:
			i.Body = e.Get(wbxml.BaseData)
		}
	}
}

// same reports whether two items show the same.
func (i *Item) same(o *Item) bool {
	return i.Subject == o.Subject && i.Body == o.Body && i.Read == o.Read && i.Flagged == o.Flagged && slices.Equal(i.Categories, o.Categories) &&
		i.Verb == o.Verb && i.VerbTime == o.VerbTime && i.Date.Equal(o.Date) && i.Draft == o.Draft
}

// An Edit is what a person did to an item, until the server has answered it.
type Edit struct {
	Verb     wbxml.Tag // AirSyncAdd, AirSyncChange or AirSyncDelete
	ServerID string
	ClientID string
	Data     *wbxml.Element // ApplicationData; nil for a Delete
	// Final makes a Delete destroy, and not go to the trash.
	Final bool
}

func (e *Edit) element() *wbxml.Element {
	x := wbxml.New(e.Verb)
	if e.ClientID != "" {
		x.Add(wbxml.Text(wbxml.AirSyncClientId, e.ClientID))
	} else {
		x.Add(wbxml.Text(wbxml.AirSyncServerId, e.ServerID))
	}
	return x.Add(e.Data)
}

// Mark sets or takes away what is on an item; nil leaves it.
type Mark struct {
	Read, Flagged *bool
	Categories    []string // nil leaves them, empty takes them away
}

func (m Mark) data() *wbxml.Element {
	d := wbxml.New(wbxml.AirSyncApplicationData)
	if m.Read != nil {
		d.Add(wbxml.Bool(wbxml.EmailRead, *m.Read))
	}
	if m.Flagged != nil {
		flag := wbxml.New(wbxml.EmailFlag)
		if *m.Flagged {
			flag.Add(wbxml.Text(wbxml.EmailStatus, "2"), wbxml.Text(wbxml.EmailFlagType, "Flag for follow-up"))
		}
		d.Add(flag)
	}
	if m.Categories != nil {
		c := wbxml.New(wbxml.EmailCategories)
		for _, name := range m.Categories {
			c.Add(wbxml.Text(wbxml.EmailCategory, name))
		}
		d.Add(c)
	}
	return d
}

// Draft is what a person has written so far.
type Draft struct{ To, Subject, Body string }

func (d Draft) data() *wbxml.Element {
	return wbxml.New(wbxml.AirSyncApplicationData, wbxml.Text(wbxml.EmailTo, d.To), wbxml.Text(wbxml.EmailSubject, d.Subject),
		wbxml.New(wbxml.BaseBody, wbxml.Text(wbxml.BaseType, "1"), wbxml.Text(wbxml.BaseData, d.Body)))
}

// Token is the last word of the subject.
func (i *Item) Token() string {
	words := strings.Fields(i.Subject)
	if len(words) == 0 {
		return ""
	}
	token, _, _ := strings.Cut(words[len(words)-1], "@")
	return token
}
