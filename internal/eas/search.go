package eas

import (
	"strconv"
	"strings"
	"time"

	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/search/kql"
	"lockstep/internal/store"
)

// Statuses of a store in Search (MS-ASCMD §2.2.3.177.13).
const (
	searchOK         = 1
	searchInvalid    = 2
	searchNotFound   = 6
	searchTooComplex = 8
	searchFolderSync = 11
	searchEndOfRange = 12
)

// The classes that a search can ask for; only mail is kept.
const classEmail = "Email"

var knownClasses = map[string]bool{classEmail: true, "Tasks": true, "Calendar": true, "Contacts": true, "Notes": true, "SMS": true}

// A span is the results that are asked for: from the first to the last, counted from
// zero.
type span struct{ first, last int }

// parseSpan reads a Range (MS-ASCMD §2.2.3.143); without one it is all that can be
// asked for.
func parseSpan(options *wbxml.Element, t wbxml.Tag) (s span, status int) {
	text := options.Get(t)
	if !options.Has(t) {
		return span{0, maxFindRange}, searchOK
	}
	first, last, ok := strings.Cut(text, "-")
	var errFirst, errLast error
	s.first, errFirst = strconv.Atoi(first)
	s.last, errLast = strconv.Atoi(last)
	switch {
	case !ok || errFirst != nil || errLast != nil || s.first < 0 || s.last < s.first:
		return s, searchInvalid
	case s.last > maxFindRange:
		return s, searchEndOfRange
	}
	return s, searchOK
}

// part is what of a list is asked for.
func part[T any](s span, all []T) []T {
	return all[min(s.first, len(all)):min(s.last+1, len(all))]
}

// told is what was really returned: so many.
func (s span) told(returned int) string {
	return strconv.Itoa(s.first) + "-" + strconv.Itoa(s.first+returned-1)
}

// search looks for mail, or for people in the directory (MS-ASCMD §2.2.1.16). There
// are no document libraries. More than one Store is not foreseen; the first counts.
func (q *request) search() (*answer, error) {
	in := q.in.Child(wbxml.SearchStore)
	var said []*wbxml.Element
	status, err := searchInvalid, error(nil)
	switch name := strings.ToLower(in.Get(wbxml.SearchName)); {
	case in.Child(wbxml.SearchQuery) == nil:
	case name == "mailbox":
		said, status, err = q.searchMailbox(in)
	case name == "gal":
		said, status, err = q.searchGAL(in)
	case name == "documentlibrary":
		status = searchDocuments(in)
	}
	if err != nil {
		return nil, err
	}
	to := wbxml.New(wbxml.SearchStore, wbxml.Int(wbxml.SearchStatus, status)).Add(said...)
	return &answer{root: wbxml.New(wbxml.SearchSearch, wbxml.Int(wbxml.SearchStatus, searchOK), wbxml.New(wbxml.SearchResponse, to))}, nil
}

// searchDocuments refuses a document: there is none here.
func searchDocuments(in *wbxml.Element) int {
	e := in.Child(wbxml.SearchQuery).Child(wbxml.SearchEqualTo)
	if e == nil || !e.Has(wbxml.DocumentsLinkId) || e.Get(wbxml.SearchValue) == "" {
		return searchInvalid
	}
	return searchNotFound
}

// results closes a list of results: none is an empty one.
func results(list []*wbxml.Element, s span, total int) []*wbxml.Element {
	if len(list) == 0 {
		return []*wbxml.Element{wbxml.New(wbxml.SearchResult), wbxml.Int(wbxml.SearchTotal, total)}
	}
	return append(list, wbxml.Text(wbxml.SearchRange, s.told(len(list))), wbxml.Int(wbxml.SearchTotal, total))
}

// searchGAL looks for people: each word begins a word of their name or address.
func (q *request) searchGAL(in *wbxml.Element) ([]*wbxml.Element, int, error) {
	query, options := in.Child(wbxml.SearchQuery), in.Child(wbxml.SearchOptions)
	asked, status := parseSpan(options, wbxml.SearchRange)
	if status != searchOK {
		return nil, status, nil
	}
	if len(query.Children) > 0 || strings.TrimSpace(query.Text) == "" {
		return nil, searchInvalid, nil
	}
	found, err := q.people(query.Text, store.MaxPeople)
	if err != nil {
		return nil, 0, err
	}
	var picture *wbxml.Element
	if p := options.Child(wbxml.SearchPicture); p != nil && q.version >= v141 {
		picture = galPicture(p.Get(wbxml.SearchMaxPictures))
	}
	var list []*wbxml.Element
	for _, p := range part(asked, found) {
		list = append(list, wbxml.New(wbxml.SearchResult, galProperties(wbxml.SearchProperties, p, true, picture)))
	}
	return results(list, asked, len(found)), searchOK, nil
}

// searchMailbox looks for mail by words, dates, folders and conversations.
func (q *request) searchMailbox(in *wbxml.Element) ([]*wbxml.Element, int, error) {
	options := in.Child(wbxml.SearchOptions)
	asked, status := parseSpan(options, wbxml.SearchRange)
	if status != searchOK {
		return nil, status, nil
	}
	bodies, ok, err := q.bodyOptions(options)
	if isBodyPartType(err) {
		return nil, int(statusBodyPartType), nil
	}
	if err != nil || !ok {
		return nil, searchInvalid, err
	}
	s, status := q.parseSearch(in.Child(wbxml.SearchQuery))
	if status != searchOK {
		return nil, status, nil
	}
	f, known, err := q.inFolders(s.finding, s.folders, options.Has(wbxml.SearchDeepTraversal))
	if err != nil {
		return nil, 0, err
	}
	if !known {
		return nil, searchFolderSync, nil
	}
	var found []foundMail
	if s.mail {
		if found, err = q.find(f); err != nil {
			return nil, 0, err
		}
	}
	list, err := q.searchResults(part(asked, found), &bodies)
	if err != nil {
		return nil, 0, err
	}
	return results(list, asked, len(found)), searchOK, nil
}

// mailSearch is the Query of a Search of the mailbox.
type mailSearch struct {
	finding finding
	folders []string // ids; none is all
	mail    bool     // mail is among the classes that are asked for
}

// parseSearch reads a Query (MS-ASCMD §2.2.3.142.2): one And, and in it what is asked
// for. Anything else beside or in it is too complex.
func (q *request) parseSearch(query *wbxml.Element) (s mailSearch, status int) {
	if len(query.Children) == 0 {
		return s, searchInvalid
	}
	for _, c := range query.Children {
		if c.Tag != wbxml.SearchAnd && c.Tag.Known() {
			return s, searchTooComplex
		}
	}
	and := query.Children[0]
	if len(query.Children) > 1 {
		return s, searchTooComplex
	}
	var words []string
	classes := 0
	for _, c := range and.Children {
		switch c.Tag {
		case wbxml.AirSyncClass:
			if !knownClasses[c.Text] {
				return s, searchInvalid
			}
			classes++
			s.mail = s.mail || c.Text == classEmail
		case wbxml.AirSyncCollectionId:
			s.folders = append(s.folders, c.Text)
		case wbxml.SearchFreeText:
			words = append(words, c.Text)
		case wbxml.SearchGreaterThan, wbxml.SearchLessThan:
			if !s.finding.bound(c) {
				return s, searchInvalid
			}
		case wbxml.SearchConversationId:
			thread, ok := parseConversationID(c.Text)
			if s.finding.thread != 0 {
				return s, searchInvalid
			}
			if !ok {
				thread = -1 // of somebody else: nothing is found
			}
			s.finding.thread = thread
		case wbxml.SearchAnd, wbxml.SearchOr:
			return s, searchTooComplex
		default:
			if c.Tag.Known() {
				return s, searchInvalid
			}
		}
	}
	s.mail = s.mail || classes == 0
	s.finding.words = kql.Parse(strings.Join(words, " "))
	if f := s.finding; f.words == nil && f.thread == 0 && f.after.IsZero() && f.before.IsZero() {
		return s, searchInvalid
	}
	return s, searchOK
}

// bound reads a GreaterThan or LessThan: of DateReceived.
func (f *finding) bound(e *wbxml.Element) bool {
	at, ok := parseDateTime(e.Get(wbxml.SearchValue))
	if !ok || !e.Has(wbxml.EmailDateReceived) {
		return false
	}
	if e.Tag == wbxml.SearchGreaterThan {
		f.after = later(f.after, at)
	} else if f.before.IsZero() || at.Before(f.before) {
		f.before = at
	}
	return true
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// inFolders narrows a finding to folders, and with deep to those below them; known is
// false if there is no such folder. No id, or 0, is all folders.
func (q *request) inFolders(f finding, ids []string, deep bool) (_ finding, known bool, err error) {
	if len(ids) == 0 {
		return f, true, nil
	}
	err = q.view(func(r store.Reader) error {
		f.folders, known = nil, true
		all, err := r.Mailboxes()
		if err != nil {
			return err
		}
		chosen := map[mail.MailboxID]bool{}
		for _, id := range ids {
			if id == rootFolder {
				return nil
			}
			mb, ok := parseFolderID(id)
			below := below(all, mb)
			if id == outboxID {
				continue // nothing is ever in it
			}
			if !ok || len(below) == 0 {
				known = false
				return nil
			}
			chosen[mb] = true
			for _, b := range below {
				chosen[b.ID] = chosen[b.ID] || deep
			}
		}
		f.folders = chosen
		return nil
	})
	return f, known, err
}

// searchResults are messages as Search tells of them: as many as one answer may have,
// and one at least. The range says how many, and a device asks for the others.
func (q *request) searchResults(found []foundMail, o *bodyOptions) (list []*wbxml.Element, err error) {
	left := int64(maxSearchBytes)
	for _, f := range found {
		if left <= 0 {
			break
		}
		m, err := q.foundItem(f)
		if err != nil {
			return nil, err
		}
		properties, err := q.version.emailItem(wbxml.SearchProperties, m, o)
		if err != nil {
			return nil, err
		}
		left -= bodyBytes(properties)
		list = append(list, wbxml.New(wbxml.SearchResult, wbxml.Text(wbxml.AirSyncClass, classEmail),
			wbxml.Text(wbxml.SearchLongId, longID(m.message.EmailID, m.placement.Mailbox)),
			wbxml.Text(wbxml.AirSyncCollectionId, folderID(m.placement.Mailbox)), properties))
	}
	return list, nil
}

// foundItem reads what is told of a message. One that went this moment is still told.
func (q *request) foundItem(f foundMail) (m *mailItem, err error) {
	err = q.view(func(r store.Reader) error {
		m, err = q.itemOf(r, f.placement)
		return err
	})
	return m, err
}
