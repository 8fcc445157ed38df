package eas

import (
	"regexp"
	"strings"

	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/search/kql"
	"lockstep/internal/store"
)

// Statuses of Find (MS-ASCMD §2.2.3.177.2).
const (
	findOK         = 1
	findInvalid    = 2
	findFolderSync = 3
	findFromZero   = 4
)

// How the stores are called in answers.
const (
	storeMailbox = "Mailbox"
	storeGAL     = "GAL"
)

// searchID is a GUID, as clients write them.
var searchID = regexp.MustCompile(`^\{?[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\}?$|^[0-9A-Fa-f]{32}$`)

// findCommand looks for mail by a KQL query, or for people (MS-ASCMD §2.2.1.2).
func (q *request) findCommand() (*answer, error) {
	execute := q.in.Child(wbxml.FindExecuteSearch)
	inMail, inGAL := execute.Child(wbxml.FindMailBoxSearchCriterion), execute.Child(wbxml.FindGalSearchCriterion)
	if !searchID.MatchString(q.in.Get(wbxml.FindSearchId)) || (inMail == nil) == (inGAL == nil) {
		return findRefused(findInvalid), nil
	}
	if inMail != nil {
		return q.findMail(inMail)
	}
	return q.findPeople(inGAL)
}

// findRefused is the answer to a command that can't be done.
func findRefused(status int) *answer {
	return &answer{root: wbxml.New(wbxml.FindFind, wbxml.Int(wbxml.FindStatus, status))}
}

// findAnswer is the answer to a search in a store.
func findAnswer(in string, status int, rest ...*wbxml.Element) *answer {
	response := wbxml.New(wbxml.FindResponse, wbxml.Text(wbxml.ItemsStore, in), wbxml.Int(wbxml.FindStatus, status)).Add(rest...)
	return &answer{root: wbxml.New(wbxml.FindFind, wbxml.Int(wbxml.FindStatus, findOK), response)}
}

// findSpan reads a range. One that does not begin with the first result is refused:
// a search is not kept for a second question.
func findSpan(options *wbxml.Element) (span, int) {
	s, status := parseSpan(options, wbxml.FindRange)
	switch {
	case status != searchOK:
		return s, findInvalid
	case s.first != 0:
		return s, findFromZero
	}
	return s, findOK
}

// findResults closes a list of results.
func findResults(list []*wbxml.Element, s span, total int) []*wbxml.Element {
	if len(list) > 0 {
		list = append(list, wbxml.Text(wbxml.FindRange, s.told(len(list))))
	}
	return append(list, wbxml.Int(wbxml.FindTotal, total))
}

func (q *request) findPeople(in *wbxml.Element) (*answer, error) {
	options := in.Child(wbxml.FindOptions)
	asked, status := findSpan(options)
	if status != findOK {
		return findAnswer(storeGAL, status), nil
	}
	text := in.Get(wbxml.FindQuery)
	if strings.TrimSpace(text) == "" {
		return findRefused(findInvalid), nil
	}
	people, err := q.people(text, store.MaxPeople)
	if err != nil {
		return nil, err
	}
	var picture *wbxml.Element
	if p := options.Child(wbxml.FindPicture); p != nil {
		picture = galPicture(p.Get(wbxml.FindMaxPictures))
	}
	var list []*wbxml.Element
	for _, p := range part(asked, people) {
		list = append(list, wbxml.New(wbxml.FindResult, galProperties(wbxml.FindProperties, p, false, picture)))
	}
	return findAnswer(storeGAL, findOK, findResults(list, asked, len(people))...), nil
}

func (q *request) findMail(in *wbxml.Element) (*answer, error) {
	options, query := in.Child(wbxml.FindOptions), in.Child(wbxml.FindQuery)
	asked, status := findSpan(options)
	if status != findOK {
		return findAnswer(storeMailbox, status), nil
	}
	f := finding{words: kql.Parse(query.Get(wbxml.FindFreeText))}
	class := query.Get(wbxml.AirSyncClass)
	if f.words == nil || class != "" && !knownClasses[class] {
		return findRefused(findInvalid), nil
	}
	var folders []string
	for c := range query.All(wbxml.AirSyncCollectionId) {
		folders = append(folders, c.Text)
	}
	f, known, err := q.inFolders(f, folders, options.Has(wbxml.FindDeepTraversal))
	if err != nil {
		return nil, err
	}
	if !known {
		return findRefused(findFolderSync), nil
	}
	var found []foundMail
	if class == "" || class == classEmail {
		if found, err = q.find(f); err != nil {
			return nil, err
		}
	}
	var list []*wbxml.Element
	for _, f := range part(asked, found) {
		m, err := q.foundItem(f)
		if err != nil {
			return nil, err
		}
		result, err := findResult(m)
		if err != nil {
			return nil, err
		}
		list = append(list, result)
	}
	return findAnswer(storeMailbox, findOK, findResults(list, asked, len(found))...), nil
}

// findResult is a message as Find tells of it: what its row knows (MS-ASCMD
// §2.2.3.139.1).
func findResult(m *mailItem) (*wbxml.Element, error) {
	parsed, err := m.structure()
	if err != nil {
		return nil, err
	}
	e, p := &parsed.Envelope, &m.placement
	importance := 1
	if p.Flags.HasKeyword("$Important") {
		importance = 2
	}
	properties := wbxml.New(wbxml.FindProperties,
		wbxml.Text(wbxml.EmailSubject, message.DecodeWords(e.Subject)),
		wbxml.Text(wbxml.EmailDateReceived, dateTime(m.message.InternalDate)),
		wbxml.Text(wbxml.EmailDisplayTo, displayTo(e.To)),
		textOrNil(wbxml.FindDisplayCc, displayTo(e.Cc)),
		textOrNil(wbxml.FindDisplayBcc, displayTo(e.Bcc)),
		wbxml.Int(wbxml.EmailImportance, importance),
		wbxml.Bool(wbxml.EmailRead, p.Flags.Has(mail.Seen)),
		wbxml.Bool(wbxml.Email2IsDraft, m.drafts || p.Flags.Has(mail.Draft)),
		wbxml.Text(wbxml.FindPreview, cutChars(m.message.Preview, maxFindPreview)),
		wbxml.Bool(wbxml.FindHasAttachments, parsed.HasAttachment),
		textOrNil(wbxml.EmailFrom, addressText(e.From, ", ", maxAddressText)))
	return wbxml.New(wbxml.FindResult, wbxml.Text(wbxml.AirSyncClass, classEmail), wbxml.Text(wbxml.AirSyncServerId, itemID(p.Mailbox, p.Lineage)),
		wbxml.Text(wbxml.AirSyncCollectionId, folderID(p.Mailbox)), properties), nil
}

// maxFindPreview is how much of a message a result of Find shows (MS-ASCMD §2.2.3.137).
const maxFindPreview = 255

// textOrNil is a leaf, or nothing for no text.
func textOrNil(t wbxml.Tag, s string) *wbxml.Element {
	if s == "" {
		return nil
	}
	return wbxml.Text(t, s)
}
