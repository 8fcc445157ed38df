package jmap

import (
	"io"

	"lockstep/internal/mail"
	"lockstep/internal/message"
)

// An email is a message that is looked at: one of the account's, or one that is taken
// apart for Email/parse.
type email struct {
	stored     *mail.Message // nil if it is only parsed
	placements []mail.Placement
	parsed     *message.Message
	blobID     string
	partPrefix string                      // of its parts' blob ids
	open       func() (io.ReaderAt, error) // its bytes; it is asked for them when they are needed
	bytes      io.ReaderAt
	damaged    bool // they can't be read: what only they tell is left empty
}

// read opens the bytes, once.
func (e *email) read() (io.ReaderAt, error) {
	if e.bytes != nil {
		return e.bytes, nil
	}
	var err error
	e.bytes, err = e.open()
	return e.bytes, err
}

// object is the email with what is wanted of it, in at most room bytes of values.
func (w *emailWish) object(e *email, room int64) (object, error) {
	o := object{}
	w.metadata(e, o)
	w.fields(e, o)
	if w.readsHeader() {
		fields, all, err := w.header(e, e.parsed.Root)
		if err != nil {
			return nil, err
		}
		w.putHeader(o, fields, all)
	}
	return o, w.bodies(e, o, room)
}

// put adds a property that is wanted.
func (w wish) put(o object, property string, value func() any) {
	if w.plain[property] {
		o[property] = value()
	}
}

// metadata adds what is not of the message itself (RFC 8621 §4.1.1). Of a message that
// is only parsed most of it is null (§4.9).
func (w *emailWish) metadata(e *email, o object) {
	w.put(o, "blobId", func() any { return e.blobID })
	w.put(o, "size", func() any { return e.parsed.Size })
	if e.stored == nil {
		for _, p := range []string{"id", "threadId", "mailboxIds", "keywords", "receivedAt"} {
			w.put(o, p, func() any { return nil })
		}
		return
	}
	o["id"] = e.stored.EmailID.String()
	w.put(o, "threadId", func() any { return e.stored.Thread.String() })
	w.put(o, "receivedAt", func() any { return utcDate(e.stored.InternalDate) })
	w.put(o, "mailboxIds", func() any { return mailboxIDsOf(e.placements) })
	w.put(o, "keywords", func() any { return emailKeywords(shownFlags(visibleFlags(e.placements))) })
}

// mailboxIDsOf are the mailboxes where a message is visible.
func mailboxIDsOf(placements []mail.Placement) map[string]bool {
	in := map[string]bool{}
	for _, p := range placements {
		if !p.Flags.Has(mail.Deleted) {
			in[p.Mailbox.String()] = true
		}
	}
	return in
}

// visibleFlags are those of the visible placements.
func visibleFlags(placements []mail.Placement) (all []mail.Flags) {
	for _, p := range placements {
		if !p.Flags.Has(mail.Deleted) {
			all = append(all, p.Flags)
		}
	}
	return all
}

// fields adds what the row has of the header (RFC 8621 §4.1.3) and of the text. Of a
// field that stands twice where it may stand once the first counts, and recipients of
// all fields are put together, as everywhere in the house; header:… has each as it is.
func (w *emailWish) fields(e *email, o object) {
	m, v := e.parsed, &e.parsed.Envelope
	w.put(o, "messageId", func() any { return listOrNil(message.ParseMessageIDs(v.MessageID)) })
	w.put(o, "inReplyTo", func() any { return listOrNil(message.ParseMessageIDs(v.InReplyTo)) })
	w.put(o, "references", func() any { return listOrNil(m.References[:len(m.References)-m.OnlyInReplyTo]) })
	w.put(o, "sender", func() any { return addressesOrNil(v.Sender) })
	w.put(o, "from", func() any { return addressesOrNil(v.From) })
	w.put(o, "to", func() any { return addressesOrNil(v.To) })
	w.put(o, "cc", func() any { return addressesOrNil(v.Cc) })
	w.put(o, "bcc", func() any { return addressesOrNil(v.Bcc) })
	w.put(o, "replyTo", func() any { return addressesOrNil(v.ReplyTo) })
	w.put(o, "sentAt", func() any { return dateOrNil(v.SentAt) })
	w.put(o, "subject", func() any {
		if v.Subject == "" && v.Blank&message.SubjectField == 0 {
			return nil
		}
		return message.Unstructured(v.Subject)
	})
	w.put(o, "hasAttachment", func() any { return m.HasAttachment })
	w.put(o, "preview", func() any { return m.Preview })
}

// header reads the header of the message or of one of its parts.
func (w wish) header(e *email, p *message.Part) (map[string][]message.Field, message.Header, error) {
	if e.damaged {
		return nil, "", nil
	}
	ra, err := e.read()
	if err != nil {
		return nil, "", err
	}
	h, err := message.ReadHeader(ra, p)
	return byName(h), h, err
}

// putHeader adds the properties that name header fields.
func (w wish) putHeader(o object, fields map[string][]message.Field, all message.Header) {
	w.put(o, "headers", func() any { return emailHeaders(all) })
	for _, h := range w.headers {
		o[h.property] = h.valueIn(fields)
	}
}
