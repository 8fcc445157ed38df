package jmapclient

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Program is a mail program with a store of its own, which works offline.
type Program struct {
	*Client
	Window int                              // changes that it asks for at a time; 0 is as many as the server likes
	Blame  func(format string, args ...any) // what no server may say

	Mailboxes map[string]*Mailbox
	Emails    map[string]*Email
	Resets    int // how often it had to start over
	Entries   int // how many changes it was told of

	account           string
	emails, mailboxes string // states
	queue             []Change
	missing           map[string]bool // told of, and gone before they could be asked for
	Drafted           int             // drafts known to have been taken in
	unsure            bool            // of what became of the last change
	known             bool            // it has been in step once
	// The last delta came in several pages: what was created and left while they were
	// read was in none, and is told of as destroyed by the next.
	paged bool
}

// Mailbox is one as the program holds it.
type Mailbox struct {
	ID        string  `json:"id"`
	Name      string  `json:"name"`
	ParentID  *string `json:"parentId"`
	Role      *string `json:"role"`
	Total     int     `json:"totalEmails"`
	Unread    int     `json:"unreadEmails"`
	SortOrder int     `json:"sortOrder"`
}

// Email is one as the program holds it.
type Email struct {
	ID         string          `json:"id"`
	ThreadID   string          `json:"threadId"`
	MailboxIDs map[string]bool `json:"mailboxIds"`
	Keywords   map[string]bool `json:"keywords"`
	MessageID  []string        `json:"messageId"`
	Subject    *string         `json:"subject"`
}

// Token is the left half of its Message-ID.
func (e *Email) Token() string {
	if len(e.MessageID) == 0 {
		return ""
	}
	token, _, _ := strings.Cut(e.MessageID[0], "@")
	return token
}

// A Change is something that a person did, not yet heard of by the server.
type Change struct {
	ID      string
	Patch   map[string]any // nil destroys, or makes a draft
	Draft   map[string]any
	Token   string // of the draft
	Replace string // the draft that this one takes the place of; "" is none
}

// moves reports whether it changes mailboxes.
func (c Change) moves() bool {
	return slices.ContainsFunc(slices.Collect(maps.Keys(c.Patch)), func(path string) bool { return strings.HasPrefix(path, "mailboxIds") })
}

// New makes a program that holds nothing.
func New(c *Client) *Program {
	p := &Program{Client: c}
	p.forget()
	return p
}

// Lose forgets everything, as a program that was set up anew.
func (p *Program) Lose() {
	p.forget()
	p.queue, p.account, p.unsure = nil, "", false
}

func (p *Program) forget() {
	p.Mailboxes, p.Emails, p.missing = map[string]*Mailbox{}, map[string]*Email{}, map[string]bool{}
	p.emails, p.mailboxes, p.known = "", "", false
}

// Known reports whether it ever was in step.
func (p *Program) Known() bool { return p.known }

// Waiting is how many changes wait to be sent.
func (p *Program) Waiting() int { return len(p.queue) }

// Queue does something, here at once and there with the next Send.
func (p *Program) Queue(c Change) { p.queue = append(p.queue, c) }

// Touches reports whether something is about to happen to an email.
func (p *Program) Touches(id string) bool {
	return slices.ContainsFunc(p.queue, func(c Change) bool { return c.ID == id || c.Replace == id })
}

// Send does what waits, one by one, so that one that can't be done does not hold up
// the others.
func (p *Program) Send() error {
	for len(p.queue) > 0 {
		err := p.send(p.queue[0])
		if _, refused := errors.AsType[*Error](err); err != nil && !refused {
			p.unsure = true
			return err
		}
		p.unsure = false
		p.queue = p.queue[1:]
	}
	return nil
}

type setAnswer struct {
	Created      map[string]struct{ ID string }
	Updated      map[string]json.RawMessage
	Destroyed    []string
	NotCreated   map[string]*Error
	NotUpdated   map[string]*Error
	NotDestroyed map[string]*Error
}

// passing are reasons that go away: the change is tried again.
func passing(e *Error) bool {
	return e.Type == "serverFail" || e.Type == "rateLimit" || e.Type == "overQuota"
}

func (p *Program) send(c Change) error {
	args := map[string]any{"accountId": p.account}
	switch {
	case c.Draft != nil:
		if p.unsure { // the answer may have been lost: look before it is sent again
			if err := p.follow(); err != nil {
				return err
			}
			if slices.ContainsFunc(slices.Collect(maps.Values(p.Emails)), func(e *Email) bool { return e.Token() == c.Token }) {
				return nil
			}
		}
		args["create"] = map[string]any{"d": c.Draft}
		if _, there := p.Emails[c.Replace]; there {
			args["destroy"] = []string{c.Replace}
		}
	case c.Patch != nil:
		args["update"] = map[string]any{c.ID: c.Patch}
	default:
		args["destroy"] = []string{c.ID}
	}
	answers, err := p.Do(Call{"Email/set", args})
	if err != nil {
		return err
	}
	var a setAnswer
	if err := answers[0].Into("Email/set", &a); err != nil {
		return err
	}
	for _, refused := range []map[string]*Error{a.NotCreated, a.NotUpdated, a.NotDestroyed} {
		for id, e := range refused {
			if passing(e) {
				return fmt.Errorf("%w: %s: %v", ErrLater, id, e)
			}
			if e.Type != "notFound" && !(e.Type == "invalidProperties" && c.moves()) { // others may have deleted it, or where it was to go
				p.Blame("%v of %s was refused: %v", c, id, e)
			}
		}
	}
	return nil
}

// CatchUp does what waits, and comes into step.
func (p *Program) CatchUp() error {
	if p.account == "" {
		account, err := p.Account()
		if err != nil {
			return err
		}
		p.account = account
	}
	if err := p.Send(); err != nil {
		return err
	}
	return p.follow()
}

// follow asks for what changed, or for everything.
func (p *Program) follow() error {
	if p.emails == "" {
		return p.begin()
	}
	err := p.followEmails()
	if err == nil {
		err = p.followMailboxes()
	}
	if e, ok := errors.AsType[*Error](err); ok && e.Type == "cannotCalculateChanges" {
		p.Resets++
		p.forget()
		return p.begin()
	}
	return err
}

type getAnswer[T any] struct {
	State    string
	List     []*T
	NotFound []string
}

type changesAnswer struct {
	OldState, NewState          string
	HasMoreChanges              bool
	Created, Updated, Destroyed []string
}

var emailProperties = []string{"id", "threadId", "mailboxIds", "keywords", "messageId", "subject"}

// begin asks for everything.
func (p *Program) begin() error {
	var boxes getAnswer[Mailbox]
	answers, err := p.Do(Call{"Mailbox/get", map[string]any{"accountId": p.account, "ids": nil}})
	if err == nil {
		err = answers[0].Into("Mailbox/get", &boxes)
	}
	if err != nil {
		return err
	}
	p.forget()
	for _, mb := range boxes.List {
		p.Mailboxes[mb.ID] = mb
	}
	state, err := p.fillQuietly()
	if err != nil {
		p.forget()
		return err
	}
	p.emails, p.mailboxes = state, boxes.State
	if err := p.followEmails(); err != nil {
		return err
	}
	p.known = true
	return p.followMailboxes()
}

// fillQuietly fills until nothing changed meanwhile: pages are counted from the top, and
// what leaves above a page moves it.
func (p *Program) fillQuietly() (string, error) {
	before, err := p.state()
	for range maxFills {
		if err == nil {
			err = p.fill()
		}
		if err != nil {
			return "", err
		}
		after, err := p.state()
		if err != nil || after == before {
			return after, err
		}
		clear(p.Emails)
		before = after
	}
	return "", fmt.Errorf("%w: the account does not rest", ErrLater)
}

// maxFills bounds how often an account is read that changes while it is read.
const maxFills = 20

// state is that of emails now.
func (p *Program) state() (string, error) {
	var none getAnswer[Email]
	answers, err := p.Do(Call{"Email/get", map[string]any{"accountId": p.account, "ids": []string{}}})
	if err == nil {
		err = answers[0].Into("Email/get", &none)
	}
	return none.State, err
}

// fill asks for all emails in pages.
func (p *Program) fill() error {
	for at := 0; ; {
		answers, err := p.Do(Call{"Email/query", map[string]any{"accountId": p.account, "sort": []any{map[string]any{"property": "receivedAt", "isAscending": false}}, "position": at, "limit": 20}},
			Call{"Email/get", map[string]any{"accountId": p.account, "#ids": map[string]any{"resultOf": "0", "name": "Email/query", "path": "/ids"}, "properties": emailProperties}})
		if err != nil {
			return err
		}
		var ids struct{ IDs []string }
		var got getAnswer[Email]
		if err := errors.Join(answers[0].Into("Email/query", &ids), answers[1].Into("Email/get", &got)); err != nil {
			return err
		}
		for _, e := range got.List {
			p.Emails[e.ID] = e
		}
		if len(ids.IDs) == 0 {
			return nil
		}
		at += len(ids.IDs)
	}
}

func (p *Program) changesOf(kind, since string, window int) (c changesAnswer, err error) {
	args := map[string]any{"accountId": p.account, "sinceState": since}
	if window > 0 {
		args["maxChanges"] = window
	}
	answers, err := p.Do(Call{kind + "/changes", args})
	if err == nil {
		err = answers[0].Into(kind+"/changes", &c)
	}
	if err == nil && window > 0 && len(c.Created)+len(c.Updated)+len(c.Destroyed) > window {
		p.Blame("%s/changes tells more than %d", kind, window)
	}
	return c, err
}

// followEmails asks for what changed of emails, page by page.
func (p *Program) followEmails() error {
	pages := 0
	for more := true; more; pages++ {
		c, err := p.changesOf("Email", p.emails, p.Window)
		if err != nil {
			return err
		}
		got, err := get[Email](p, "Email", slices.Concat(c.Created, c.Updated), emailProperties)
		if err != nil {
			return err
		}
		p.takeEmails(c, got)
		p.emails, more = c.NewState, c.HasMoreChanges
	}
	p.paged = pages > 1
	return nil
}

func get[T any](p *Program, kind string, ids, properties []string) (got getAnswer[T], err error) {
	if len(ids) == 0 {
		return got, nil
	}
	answers, err := p.Do(Call{kind + "/get", map[string]any{"accountId": p.account, "ids": ids, "properties": properties}})
	if err == nil {
		err = answers[0].Into(kind+"/get", &got)
	}
	if err == nil && len(got.List)+len(got.NotFound) != len(ids) {
		p.Blame("%s/get of %d ids answers %d, and %d that are not found", kind, len(ids), len(got.List), len(got.NotFound))
	}
	return got, err
}

func (p *Program) takeEmails(c changesAnswer, got getAnswer[Email]) {
	p.Entries += len(c.Created) + len(c.Updated) + len(c.Destroyed)
	for _, id := range c.Created {
		if p.Emails[id] != nil && p.known {
			p.Blame("%s is told of as created, and was there", id)
		}
	}
	for _, id := range c.Updated {
		if p.Emails[id] == nil && !p.missing[id] && p.known {
			p.Blame("%s is told of as updated, and was never created", id)
		}
	}
	for _, id := range got.NotFound {
		p.missing[id] = true
		delete(p.Emails, id)
	}
	for _, e := range got.List {
		if was := p.Emails[e.ID]; was != nil && (was.ThreadID != e.ThreadID || was.Token() != e.Token()) {
			p.Blame("%s was %s in %s, and is %s in %s", e.ID, was.Token(), was.ThreadID, e.Token(), e.ThreadID)
		}
		p.Emails[e.ID] = e
		delete(p.missing, e.ID)
	}
	for _, id := range c.Destroyed {
		if p.Emails[id] == nil && !p.missing[id] && p.known && !p.paged {
			p.Blame("%s is told of as destroyed, and was never created", id)
		}
		delete(p.Emails, id)
		delete(p.missing, id)
	}
}

// followMailboxes likewise.
func (p *Program) followMailboxes() error {
	for more := true; more; {
		c, err := p.changesOf("Mailbox", p.mailboxes, p.Window)
		if err != nil {
			return err
		}
		got, err := get[Mailbox](p, "Mailbox", slices.Concat(c.Created, c.Updated), nil)
		if err != nil {
			return err
		}
		p.Entries += len(c.Created) + len(c.Updated) + len(c.Destroyed)
		for _, id := range slices.Concat(c.Destroyed, got.NotFound) {
			delete(p.Mailboxes, id)
		}
		for _, mb := range got.List {
			p.Mailboxes[mb.ID] = mb
		}
		p.mailboxes, more = c.NewState, c.HasMoreChanges
	}
	return nil
}

// Path is the path of a mailbox.
func (p *Program) Path(mb *Mailbox) string {
	path := mb.Name
	for up := 0; mb.ParentID != nil && up < 100; up++ {
		parent := p.Mailboxes[*mb.ParentID]
		if parent == nil {
			return "?/" + path
		}
		path, mb = parent.Name+"/"+path, parent
	}
	return path
}

// Arrange makes, changes or destroys mailboxes, at once.
func (p *Program) Arrange(args map[string]any) error {
	args["accountId"] = p.account
	answers, err := p.Do(Call{"Mailbox/set", args})
	if err != nil {
		return err
	}
	var a setAnswer
	return answers[0].Into("Mailbox/set", &a)
}
