package jmap

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"lockstep/internal/mail"
	"lockstep/internal/message"
)

// An emailChange is what a patch asks of an email (RFC 8621 §4.6): only keywords and
// mailboxIds can change.
type emailChange struct {
	keywords  flagPatch
	mailboxes mailboxPatch
}

// A flagPatch says what becomes of flags that JMAP shows.
type flagPatch struct {
	whole       bool // they become add
	add, remove mail.Flags
}

// on is the change for a message whose visible placements show these flags.
func (p flagPatch) on(shown mail.Flags) mail.FlagChange {
	if !p.whole {
		return mail.FlagChange{Add: p.add, Remove: p.remove}
	}
	return mail.FlagChange{Add: p.add, Remove: shown.Minus(hiddenFlags(shown)).Minus(p.add)}
}

// A mailboxPatch says in which mailboxes an email is to be.
type mailboxPatch struct {
	whole       bool // in add alone
	add, remove map[mail.MailboxID]bool
}

// on are the mailboxes that an email is to be in which is in these.
func (p mailboxPatch) on(in map[mail.MailboxID]bool) map[mail.MailboxID]bool {
	out := map[mail.MailboxID]bool{}
	if !p.whole {
		maps.Copy(out, in)
	}
	maps.Copy(out, p.add)
	maps.DeleteFunc(out, func(id mail.MailboxID, _ bool) bool { return p.remove[id] })
	return out
}

// parseEmailPatch reads a patch of an email.
func (t *emailChanging) parseEmailPatch(e *settingEmail, p patchObject) (emailChange, *setError) {
	change := emailChange{mailboxes: mailboxPatch{add: map[mail.MailboxID]bool{}, remove: map[mail.MailboxID]bool{}}}
	for _, path := range slices.Sorted(maps.Keys(p)) {
		property, below, isBelow := strings.Cut(path, "/")
		if _, both := p[property]; isBelow && both || strings.Contains(below, "/") {
			return change, &setError{Type: "invalidPatch", Description: "the patch changes " + path + " and also what it is in, or what is not there", Properties: []string{path}}
		}
		var wrong *setError
		switch {
		case property == "keywords" && isBelow:
			wrong = change.keywords.one(unescape.Replace(below), p[path])
		case property == "keywords":
			change.keywords.whole = true
			change.keywords.add, wrong = parseKeywords(p[path])
		case property == "mailboxIds" && isBelow:
			wrong = t.patchMailbox(&change.mailboxes, unescape.Replace(below), p[path])
		case property == "mailboxIds":
			change.mailboxes.whole = true
			change.mailboxes.add, wrong = t.parseMailboxIDs(p[path])
		case !e.has(path, p[path]):
			wrong = invalidProperties("of an email that is there only keywords and mailboxIds can change", path)
		}
		if wrong != nil {
			return change, wrong
		}
	}
	return change, nil
}

// has reports whether a property that never changes is what a patch says it is: who
// sends back the whole object changes nothing (§5.3). What only the bytes tell is not
// looked at.
func (e *settingEmail) has(property string, raw json.RawMessage) bool {
	if !slices.Contains(unchanging, property) {
		return false
	}
	parsed, err := message.Decode(e.message.Parsed)
	if err != nil {
		return false
	}
	w := &emailWish{wish: wish{plain: map[string]bool{property: true}}}
	o, err := w.object(&email{stored: &e.message, parsed: parsed, blobID: wholeBlobID(e.message.EmailID)}, 0)
	if err != nil {
		return false
	}
	is, err := json.Marshal(o[property])
	if err != nil {
		return false
	}
	var a, b any
	return json.Unmarshal(is, &a) == nil && json.Unmarshal(raw, &b) == nil && reflect.DeepEqual(a, b)
}

// unchanging are the properties that are known without the bytes of a message.
var unchanging = slices.Concat([]string{"id", "blobId", "threadId", "size", "receivedAt", "hasAttachment", "preview"}, emailFields)

// one takes in a patch of one keyword: true adds it, null removes it.
func (p *flagPatch) one(word string, raw json.RawMessage) *setError {
	f, wrong := keywordFlag(word)
	if wrong != nil {
		return wrong
	}
	on, ok := trueOrNull(raw)
	switch {
	case !ok:
		return invalidProperties("a keyword is true, or null to remove it", "keywords")
	case on:
		p.add = p.add.Union(f)
	default:
		p.remove = p.remove.Union(f)
	}
	return nil
}

// trueOrNull is what a patch of a member of a set may be.
func trueOrNull(raw json.RawMessage) (on, ok bool) {
	switch strings.TrimSpace(string(raw)) {
	case "true":
		return true, true
	case "null":
		return false, true
	}
	return false, false
}

// patchMailbox takes in a patch of one mailbox.
func (t *emailChanging) patchMailbox(p *mailboxPatch, said string, raw json.RawMessage) *setError {
	on, ok := trueOrNull(raw)
	if !ok {
		return invalidProperties("a mailbox id is true, or null to leave the mailbox", "mailboxIds")
	}
	id, found := t.mailbox(said)
	switch {
	case on && !found:
		return noMailbox(said)
	case on:
		p.add[id] = true
	case found:
		p.remove[id] = true
	}
	return nil
}

// parseMailboxIDs reads the mailboxIds property: one at least, all true.
func (t *emailChanging) parseMailboxIDs(raw json.RawMessage) (map[mail.MailboxID]bool, *setError) {
	var set map[string]bool
	if err := json.Unmarshal(raw, &set); err != nil {
		return nil, invalidProperties("mailboxIds is an object whose values are true", "mailboxIds")
	}
	if len(set) > maxMailboxesPerEmail {
		return nil, tooManyMailboxes()
	}
	out := map[mail.MailboxID]bool{}
	for said, on := range set {
		if !on {
			return nil, invalidProperties("a mailbox id is true, or not there", "mailboxIds")
		}
		id, ok := t.mailbox(said)
		if !ok {
			return nil, noMailbox(said)
		}
		out[id] = true
	}
	if len(out) == 0 {
		return nil, inNoMailbox()
	}
	return out, nil
}

// mailbox finds a mailbox of the account by what a client calls it.
func (t *emailChanging) mailbox(said string) (mail.MailboxID, bool) {
	name, ok := t.id(said)
	if !ok {
		return 0, false
	}
	id, ok := parseMailboxID(name)
	if !ok {
		return 0, false
	}
	known, ok := t.mailboxes[id]
	if !ok {
		_, err := t.tx.Mailbox(id)
		known = err == nil
		t.mailboxes[id] = known
	}
	return id, known
}

func noMailbox(said string) *setError {
	return invalidProperties("there is no mailbox "+strings.ToValidUTF8(said, "?"), "mailboxIds")
}

func inNoMailbox() *setError {
	return invalidProperties("an email is in one mailbox at least", "mailboxIds")
}

func tooManyMailboxes() *setError {
	return &setError{Type: "tooManyMailboxes", Description: mail.Errorf(mail.Limit, "an email is in at most %d mailboxes", maxMailboxesPerEmail).Error()}
}
