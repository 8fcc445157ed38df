package compose

import (
	"io"
	"mime"
	"strings"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/message"
)

// Importance is what a message is to its sender; the zero one says nothing.
type Importance int

// The importances a message can name.
const (
	NormalImportance Importance = iota
	LowImportance
	HighImportance
)

// Draft is a message in its fields. Each reader is read once, as it is written.
type Draft struct {
	From, Sender, ReplyTo []message.Address
	To, Cc, Bcc           []message.Address
	Subject               string
	Date                  time.Time // zero: no field
	MessageID             string    // without its brackets, as those below; "": no field
	InReplyTo, References []string
	Importance            Importance
	DraftID               string // X-Universally-Unique-Identifier, which survives its versions

	Text, HTML  io.Reader // UTF-8; nil is none
	Attachments []Attachment
	Calendar    *Calendar // a scheduling message (RFC 6047)

	// Forwards is the message whose text and attachments follow those of the draft.
	Forwards *Source
}

// Attachment is a part that is no text of the message.
type Attachment struct {
	Name      string
	Type      string // media type with its parameters; "" is application/octet-stream
	ContentID string // without its brackets
	Inline    bool   // shown in the HTML, which names it by its ContentID
	Body      io.Reader
}

// Calendar is an iTIP message (RFC 5546), one more form of the text.
type Calendar struct {
	Method string // such as REPLY
	Body   io.Reader
}

// Write writes the draft. Limit if there is too much of something.
func (d *Draft) Write(w io.Writer) error {
	if err := d.check(); err != nil {
		return err
	}
	return d.entity().write(&lineEnds{w: w}, append(d.fields(), "MIME-Version: 1.0\r\n"...))
}

func (d *Draft) check() error {
	for _, list := range [][]message.Address{d.From, d.Sender, d.ReplyTo, d.To, d.Cc, d.Bcc} {
		if len(list) > MaxRecipients {
			return mail.Errorf(mail.Limit, "a message has at most %d recipients", MaxRecipients)
		}
	}
	if len(d.Attachments) > MaxAttachments {
		return mail.Errorf(mail.Limit, "a message has at most %d attachments", MaxAttachments)
	}
	return nil
}

func (d *Draft) fields() []byte {
	var b []byte
	if !d.Date.IsZero() {
		b = append(b, "Date: "+d.Date.Format(time.RFC1123Z)+"\r\n"...)
	}
	b = appendAddresses(b, "From", d.From)
	b = appendAddresses(b, "Sender", d.Sender)
	b = appendAddresses(b, "Reply-To", d.ReplyTo)
	b = appendAddresses(b, "To", d.To)
	b = appendAddresses(b, "Cc", d.Cc)
	b = appendAddresses(b, "Bcc", d.Bcc)
	b = appendText(b, "Subject", d.Subject)
	b = appendIDs(b, "Message-ID", []string{d.MessageID})
	b = appendIDs(b, "In-Reply-To", d.InReplyTo)
	b = appendIDs(b, "References", d.References)
	b = appendText(b, "X-Universally-Unique-Identifier", cut(d.DraftID, maxNameBytes))
	return append(b, d.Importance.fields()...)
}

// fields are those that programs look at: RFC 2156 §5.3.6, and the older one.
func (i Importance) fields() string {
	switch i {
	case LowImportance:
		return "Importance: low\r\nX-Priority: 5\r\n"
	case HighImportance:
		return "Importance: high\r\nX-Priority: 1\r\n"
	}
	return ""
}

// entity puts the parts together: forms of the text in an alternative, what the
// HTML shows beside it in a related, all else in a mixed.
func (d *Draft) entity() *entity {
	var inline, attached []*entity
	for i := range d.Attachments {
		a := &d.Attachments[i]
		if a.Inline && a.ContentID != "" && d.HTML != nil {
			inline = append(inline, a.entity())
		} else {
			attached = append(attached, a.entity())
		}
	}
	text, html := d.texts()
	if d.Forwards != nil {
		q := newQuote(*d.Forwards, true)
		text, html = d.forwarding(q)
		pictures, rest := q.others()
		if html != nil {
			inline = append(inline, pictures...)
		} else {
			attached = append(attached, pictures...)
		}
		attached = append(attached, rest...)
	}
	var forms []*entity
	if text != nil {
		forms = append(forms, text)
	}
	if html != nil {
		forms = append(forms, related(html, inline))
	}
	if d.Calendar != nil {
		forms = append(forms, d.Calendar.entity())
	}
	return multipart("mixed", append([]*entity{multipart("alternative", forms...)}, attached...)...)
}

// related puts what a document shows beside it (RFC 2387).
func related(html *entity, inline []*entity) *entity {
	e := multipart("related", append([]*entity{html}, inline...)...)
	if e.parts != nil {
		e.params = []message.Param{{Name: "type", Value: "text/html"}}
	}
	return e
}

// texts are the forms of the text there are, one at least.
func (d *Draft) texts() (text, html *entity) {
	if d.HTML != nil {
		html = textEntity("html", copyFrom(d.HTML))
	}
	if plain := d.plain(); plain != nil {
		text = textEntity("plain", copyFrom(plain))
	}
	return text, html
}

// forwarding is texts with what is forwarded behind them.
func (d *Draft) forwarding(q *quote) (text, html *entity) {
	if d.HTML != nil {
		html = q.htmlBehind(d.HTML)
	}
	if plain := d.plain(); plain != nil {
		text = q.textBehind(plain)
	}
	return text, html
}

// plain is the plain text; an empty one where there is no text at all.
func (d *Draft) plain() io.Reader {
	if d.Text == nil && d.HTML == nil {
		return strings.NewReader("")
	}
	return d.Text
}

func (a *Attachment) entity() *entity {
	typ, params := a.mediaType()
	name := cut(clean(a.Name), maxNameBytes)
	var named []message.Param
	if name != "" {
		named = []message.Param{{Name: "filename", Value: name}}
	}
	disposition := "attachment"
	if a.Inline {
		disposition = "inline"
	}
	h := appendParams(nil, "Content-Type", typ, params)
	h = appendParams(h, "Content-Disposition", disposition, named)
	if isID(a.ContentID) {
		h = append(h, "Content-ID: <"+a.ContentID+">\r\n"...)
	}
	if typ == "message/rfc822" { // RFC 2046 §5.2.1: it must not be encoded
		h = append(h, "Content-Transfer-Encoding: 8bit\r\n"...)
		return &entity{header: h, eightBit: true, body: copyFrom(a.Body)}
	}
	h = append(h, "Content-Transfer-Encoding: base64\r\n"...)
	return &entity{header: h, body: base64Body(a.Body)}
}

// mediaType is the type as it may be written. What has parts cannot be encoded, so
// that such a type is given up.
func (a *Attachment) mediaType() (string, []message.Param) {
	typ, params, err := mime.ParseMediaType(a.Type)
	if err != nil || !strings.Contains(typ, "/") || len(typ) > maxNameBytes || strings.HasPrefix(typ, "multipart/") ||
		strings.HasPrefix(typ, "message/") && typ != "message/rfc822" {
		return "application/octet-stream", nil
	}
	if charset := params["charset"]; charset != "" {
		return typ, []message.Param{{Name: "charset", Value: charset}}
	}
	return typ, nil
}

func (c *Calendar) entity() *entity {
	e := textEntity("calendar", copyFrom(c.Body))
	e.header = appendParams(nil, "Content-Type", "text/calendar", []message.Param{{Name: "charset", Value: "utf-8"}, {Name: "method", Value: c.Method}})
	e.header = append(e.header, "Content-Transfer-Encoding: quoted-printable\r\n"...)
	return e
}
