package jmap

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/message/compose"
)

// A newEmail is what a client wants made (RFC 8621 §4.6).
type newEmail struct {
	mailboxIDs json.RawMessage // looked up when it is made
	keywords   mail.Flags
	receivedAt time.Time // zero is now
	fields     map[string][]byte
	root       *compose.Part
	rootFields map[string]string // header fields that the root itself gives
	blobs      []blobUse
	source     string // the blob that it is, if it is imported
	arrival    mail.Arrival
	wrong      *setError
}

// isDraft reports whether it is to be a draft.
func (e *newEmail) isDraft() bool { return e.keywords.Has(mail.Draft) }

// A blobUse is a part whose body is a blob.
type blobUse struct {
	id   string
	part *compose.Part
}

// emailReader reads an Email that is to be made. It goes on after what is wrong, so
// that the client hears of all of it.
type emailReader struct {
	email   *newEmail
	values  map[string]string // of bodyValues
	given   map[string]string // header fields, in lower case, to the property that gives them
	headers map[*compose.Part]map[string]string
	parts   int
	wrong   []string // properties
	details []string
}

// parseNewEmail reads an Email. What is wrong with it is in it.
func parseNewEmail(raw json.RawMessage) *newEmail {
	r := &emailReader{email: &newEmail{fields: map[string][]byte{}}, given: map[string]string{}, headers: map[*compose.Part]map[string]string{}}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil || all == nil {
		r.email.wrong = invalidProperties("an email is an object")
		return r.email
	}
	maps.DeleteFunc(all, func(_ string, v json.RawMessage) bool { return isNull(v) }) // each is null by default
	r.metadata(all)
	r.readValues(all["bodyValues"])
	for _, property := range slices.Sorted(maps.Keys(all)) {
		r.property(property, all[property])
	}
	r.body(all)
	r.checkRoot()
	if size := r.headerSize(); size > message.MaxHeaderBytes/2 {
		r.bad("headers", fmt.Sprintf("a header has at most %d bytes", message.MaxHeaderBytes/2))
	}
	if len(r.wrong) > 0 {
		r.email.wrong = invalidProperties(strings.Join(r.details, "; "), r.wrong...)
	}
	return r.email
}

func isNull(v json.RawMessage) bool { return strings.TrimSpace(string(v)) == "null" }

// bad notes that a property is wrong.
func (r *emailReader) bad(property, detail string) {
	if slices.Contains(r.wrong, property) || len(r.wrong) >= maxWrongProperties {
		return
	}
	r.wrong, r.details = append(r.wrong, property), append(r.details, property+": "+detail)
}

// metadata reads what is not of the message itself.
func (r *emailReader) metadata(all map[string]json.RawMessage) {
	e := r.email
	if e.mailboxIDs = all["mailboxIds"]; e.mailboxIDs == nil {
		r.bad("mailboxIds", "an email is in one mailbox at least")
	}
	if raw, ok := all["keywords"]; ok {
		var wrong *setError
		if e.keywords, wrong = parseKeywords(raw); wrong != nil && wrong.Type == "invalidProperties" {
			r.bad("keywords", wrong.Description)
		} else if wrong != nil {
			e.wrong = wrong
		}
	}
	if raw, ok := all["receivedAt"]; ok {
		var wrong bool
		if e.receivedAt, wrong = parseUTCDate(raw); wrong {
			r.bad("receivedAt", "a time is said in UTC, such as 2026-11-22T08:00:00Z")
		}
	}
}

// parseUTCDate reads a UTCDate (§1.4).
func parseUTCDate(raw json.RawMessage) (at time.Time, wrong bool) {
	var s string
	if json.Unmarshal(raw, &s) != nil || !strings.HasSuffix(s, "Z") {
		return at, true
	}
	at, err := time.Parse(time.RFC3339, s)
	return at, err != nil || at.Year() < 1
}

// convenient are the properties that name a header field in one form (RFC 8621 §4.1.3).
var convenient = map[string]struct {
	field string
	form  headerForm
}{
	"messageId": {"Message-ID", asMessageIDs}, "inReplyTo": {"In-Reply-To", asMessageIDs}, "references": {"References", asMessageIDs},
	"sender": {"Sender", asAddresses}, "from": {"From", asAddresses}, "to": {"To", asAddresses}, "cc": {"Cc", asAddresses}, "bcc": {"Bcc", asAddresses},
	"replyTo": {"Reply-To", asAddresses}, "subject": {"Subject", asText}, "sentAt": {"Date", asDate},
}

// property reads one property of the Email.
func (r *emailReader) property(name string, raw json.RawMessage) {
	if c, ok := convenient[name]; ok {
		r.field(r.given, r.email.fields, name, c.field, headerProperty{form: c.form}, raw)
		return
	}
	switch name {
	case "mailboxIds", "keywords", "receivedAt", "bodyValues", "bodyStructure", "textBody", "htmlBody", "attachments":
		return // read elsewhere
	case "id", "blobId", "threadId", "size", "hasAttachment", "preview":
		r.bad(name, "the server sets it")
		return
	case "headers":
		r.bad(name, "fields are given one by one, as header:Name")
		return
	}
	h, field, err := parseGivenHeader(name)
	switch {
	case err != nil:
		r.bad(name, "there is no such property, or not in this form")
	case strings.HasPrefix(h.field, "content-"):
		r.bad(name, "a field of this name belongs to a part of the body")
	case h.field == "mime-version":
		r.bad(name, "the server sets it")
	default:
		r.field(r.given, r.email.fields, name, field, h, raw)
	}
}

// parseGivenHeader is parseHeaderProperty that also says how the client spells the
// field.
func parseGivenHeader(property string) (h headerProperty, field string, err error) {
	if h, err = parseHeaderProperty(property); err != nil {
		return h, "", err
	}
	field, _, _ = strings.Cut(strings.TrimPrefix(property, headerPrefix), ":")
	if !compose.IsFieldName(field) {
		return h, "", fmt.Errorf("%s is no name of a field", field)
	}
	return h, field, nil
}

// field takes in a header field, once.
func (r *emailReader) field(given map[string]string, fields map[string][]byte, property, field string, h headerProperty, raw json.RawMessage) {
	name := strings.ToLower(field)
	if other, twice := given[name]; twice {
		r.bad(property, "it is the same field as "+other)
		return
	}
	given[name] = property
	values := []json.RawMessage{raw}
	if h.all {
		values = nil
		if err := json.Unmarshal(raw, &values); err != nil {
			r.bad(property, "with :all it is a list")
			return
		}
	}
	var b []byte
	for _, v := range values {
		line, err := h.form.write(field, v)
		if err != nil {
			r.bad(property, mail.DetailOf(err))
			return
		}
		b = append(b, line...)
	}
	fields[name] = b
}

func (r *emailReader) headerSize() (n int) {
	for _, b := range r.email.fields {
		n += len(b)
	}
	if r.email.root != nil {
		n += len(r.email.root.Fields)
	}
	return n
}

// checkRoot finds fields that both the email and the part at its root give: they stand
// in one header.
func (r *emailReader) checkRoot() {
	r.email.rootFields = r.headers[r.email.root]
	for name, property := range r.email.rootFields {
		if other, twice := r.given[name]; twice {
			r.bad(property, "it is the same field as "+other)
		}
	}
}

// complete adds the fields that every message has: who says nothing has written it now.
func (e *newEmail) complete(id string, now time.Time, from message.Address) {
	if e.lacks("message-id") {
		e.fields["message-id"], _ = compose.IDField("Message-ID", []string{id})
	}
	if e.lacks("date") {
		e.fields["date"], _ = compose.DateField("Date", now)
	}
	if e.lacks("from") {
		e.fields["from"] = compose.AddressField("From", []message.Address{from})
	}
}

func (e *newEmail) lacks(field string) bool {
	_, inRoot := e.rootFields[field]
	return e.fields[field] == nil && !inRoot
}

// fieldOrder is the order in which people know the fields; any others follow.
var fieldOrder = []string{"date", "from", "sender", "reply-to", "to", "cc", "bcc", "subject", "message-id", "in-reply-to", "references"}

// header is the header of the message, but for what is of its body.
func (e *newEmail) header() (b []byte) {
	at := func(name string) int {
		if i := slices.Index(fieldOrder, name); i >= 0 {
			return i
		}
		return len(fieldOrder)
	}
	names := slices.SortedFunc(maps.Keys(e.fields), func(a, b string) int { return cmp.Or(cmp.Compare(at(a), at(b)), cmp.Compare(a, b)) })
	for _, name := range names {
		b = append(b, e.fields[name]...)
	}
	return b
}
