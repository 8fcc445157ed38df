package eas

import (
	"encoding/binary"
	"strings"
	"time"

	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/message/render"
)

// emailItem is a message as an element of the given tag, ApplicationData or Properties,
// with everything that a device of the version is told (MS-ASEMAIL §2.2.2), in the
// order Exchange says it.
//
// It costs the decoding of the message's row; and if a body is wished, or something in
// the message can only be told from its bytes (an invitation, winmail.dat), one reading
// of its texts, or for MIME of the whole. It holds at most render.MaxHeld of the body;
// a larger one is read again when the element is written. A message whose bytes are
// damaged is told with a notice in their place, so that it never holds up its folder.
func (v version) emailItem(as wbxml.Tag, m *mailItem, o *bodyOptions) (*wbxml.Element, error) {
	parsed, err := m.structure()
	if err != nil {
		return nil, err
	}
	c := &composer{version: v, item: m, parsed: parsed, options: o, root: wbxml.New(as)}
	if err := c.read(); err != nil {
		return nil, err
	}
	c.header()
	c.attachments()
	c.bodies()
	c.classes()
	c.states()
	c.conversation()
	return c.root, nil
}

// emailFlags is what changes of a message, as an element of the given tag: for a
// device that has the rest. It costs nothing.
func (v version) emailFlags(as wbxml.Tag, m *mailItem, changed aspects) *wbxml.Element {
	c := &composer{version: v, item: m, options: &bodyOptions{}, root: wbxml.New(as)}
	if changed&aspectRead != 0 {
		c.add(wbxml.Bool(wbxml.EmailRead, m.placement.Flags.Has(mail.Seen)))
	}
	if changed&aspectFlag != 0 {
		c.add(m.flagElement())
	}
	if changed&aspectCategories != 0 {
		c.categories()
	}
	if changed&aspectVerb != 0 {
		c.lastVerb()
	}
	if len(c.root.Children) == 0 { // nothing of it is told to this version
		c.add(wbxml.Bool(wbxml.EmailRead, m.placement.Flags.Has(mail.Seen)))
	}
	return c.root
}

// composer puts the elements of one message together.
type composer struct {
	version version
	item    *mailItem
	parsed  *message.Message
	options *bodyOptions
	root    *wbxml.Element

	files   []render.Attachment
	native  render.Type
	body    *wbxml.Element // nil if none is wished
	part    *wbxml.Element
	meeting *meeting // nil if the message is about none
	urgency int
}

func (c *composer) add(list ...*wbxml.Element) {
	for _, e := range list {
		if e != nil && c.options.wants(e.Tag) {
			c.root.Add(e)
		}
	}
}

func (c *composer) text(t wbxml.Tag, s string) {
	if s != "" {
		c.add(wbxml.Text(t, s))
	}
}

func (c *composer) header() {
	e := &c.parsed.Envelope
	c.text(wbxml.EmailTo, addressText(e.To, ", ", maxAddressText))
	c.text(wbxml.EmailCc, addressText(e.Cc, ", ", maxAddressText))
	c.text(wbxml.EmailFrom, addressText(e.From, ", ", maxAddressText))
	c.add(wbxml.Text(wbxml.EmailSubject, message.DecodeWords(e.Subject)))
	c.text(wbxml.EmailReplyTo, addressText(e.ReplyTo, "; ", maxAddressText))
	c.add(wbxml.Text(wbxml.EmailDateReceived, dateTime(c.item.message.InternalDate)))
	c.text(wbxml.EmailDisplayTo, displayTo(e.To))
	c.add(wbxml.Text(wbxml.EmailThreadTopic, c.parsed.BaseSubject))
	c.add(wbxml.Int(wbxml.EmailImportance, c.urgency))
	c.add(wbxml.Bool(wbxml.EmailRead, c.item.placement.Flags.Has(mail.Seen)))
}

// attachments lists what is attached (MS-ASAIRS §2.2.2.8).
func (c *composer) attachments() {
	list := wbxml.New(wbxml.BaseAttachments)
	for _, a := range c.files {
		e := wbxml.New(wbxml.BaseAttachment,
			wbxml.Text(wbxml.BaseDisplayName, a.Name),
			wbxml.Text(wbxml.BaseFileReference, fileReference(c.item.message.EmailID, a.Path)),
			wbxml.Int(wbxml.BaseMethod, int(a.Method)),
			wbxml.Int(wbxml.BaseEstimatedDataSize, min(a.Size, maxUint32)))
		if a.ContentID != "" {
			e.Add(wbxml.Text(wbxml.BaseContentId, a.ContentID))
		}
		if a.Location != "" {
			e.Add(wbxml.Text(wbxml.BaseContentLocation, a.Location))
		}
		if a.Inline {
			e.Add(wbxml.Bool(wbxml.BaseIsInline, true))
		}
		list.Add(e)
	}
	if len(list.Children) > 0 {
		c.add(list)
	}
}

// maxUint32 is the most that a size can say.
const maxUint32 = 1<<32 - 1

func (c *composer) bodies() { c.add(c.body, c.part) }

func (c *composer) classes() {
	class, content := classOf(c.parsed.Root, c.meeting)
	c.text(wbxml.EmailMessageClass, class)
	if c.meeting != nil {
		c.add(c.meeting.element(c.version, c.item.message.InternalDate))
	}
	c.text(wbxml.EmailInternetCPID, "65001") // all that is said here is UTF-8
	c.add(c.item.flagElement())
	c.text(wbxml.EmailContentClass, content)
	c.add(wbxml.Int(wbxml.BaseNativeBodyType, int(c.native)))
}

func (c *composer) states() {
	c.categories()
	c.lastVerb()
	if c.version < v160 {
		return
	}
	if isDraft := c.item.drafts || c.item.placement.Flags.Has(mail.Draft); isDraft {
		c.add(wbxml.Bool(wbxml.Email2IsDraft, true))
		c.text(wbxml.Email2Bcc, addressText(c.parsed.Envelope.Bcc, ", ", maxBccText))
		return
	}
	c.add(wbxml.Bool(wbxml.Email2IsDraft, false))
}

// categories are always said: where there are none, none were left.
func (c *composer) categories() {
	if c.version < v140 {
		return
	}
	e := wbxml.New(wbxml.EmailCategories)
	for _, name := range categoriesOf(c.item.placement.Flags) {
		e.Add(wbxml.Text(wbxml.EmailCategory, name))
	}
	c.add(e)
}

func (c *composer) lastVerb() {
	last, ok := c.item.lastVerbOf()
	if c.version < v140 || !ok {
		return
	}
	c.add(wbxml.Int(wbxml.Email2LastVerbExecuted, int(last.Verb)))
	if !last.At.IsZero() {
		c.add(wbxml.Text(wbxml.Email2LastVerbExecutionTime, dateTime(last.At)))
	}
}

func (c *composer) conversation() {
	if c.version < v140 {
		return
	}
	sent := c.item.message.SentAt
	if sent.IsZero() {
		sent = c.item.message.InternalDate
	}
	c.add(wbxml.Bytes(wbxml.Email2ConversationId, conversationID(c.item.message.Thread)))
	c.add(wbxml.Bytes(wbxml.Email2ConversationIndex, conversationIndex(sent, len(c.parsed.References))))
	e := &c.parsed.Envelope
	if len(e.Sender) > 0 && len(e.From) > 0 && e.Sender[0].String() != e.From[0].String() {
		c.text(wbxml.Email2Sender, addressText(e.Sender[:1], ", ", maxAddressText))
	}
}

// conversationIndex says when a message was sent and how deep among the answers it is
// (MS-ASEMAIL §2.2.2.22): five bytes of the time, and five for each level.
func conversationIndex(sent time.Time, level int) []byte {
	const secondsTo1970 = 11_644_473_600
	filetime := uint64(max(sent.Unix()+secondsTo1970, 0)) * 10_000_000
	b := binary.BigEndian.AppendUint64(nil, filetime)[:5]
	return append(b, make([]byte, 5*min(level, maxReplyLevels))...)
}

// addressText is a list of addresses as people read them, of at most limit bytes.
func addressText(list []message.Address, separator string, limit int) string {
	var out strings.Builder
	for _, a := range list {
		s := oneAddress(a)
		if s == "" {
			continue
		}
		if out.Len()+len(separator)+len(s) > limit {
			break
		}
		if out.Len() > 0 {
			out.WriteString(separator)
		}
		out.WriteString(s)
	}
	return out.String()
}

// oneAddress is "Name" <local@domain>. Groups are left out: devices would take
// undisclosed-recipients for somebody.
func oneAddress(a message.Address) string {
	if a.Host == "" || a.Mailbox == message.MissingMailbox && a.Host == message.MissingHost {
		return ""
	}
	name := wbxml.Clean(message.DecodeWords(a.Name))
	if a.Host == message.MissingHost {
		return a.Mailbox
	}
	if name == "" || name == a.String() {
		return a.String()
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `" <` + a.String() + ">"
}

// displayTo is whom a message is to, by names.
func displayTo(list []message.Address) string {
	var names []string
	size := 0
	for _, a := range list {
		if oneAddress(a) == "" {
			continue
		}
		name := a.DisplayName()
		if size += len(name) + 2; size > maxAddressText {
			break
		}
		names = append(names, name)
	}
	return strings.Join(names, "; ")
}

// cutChars is the beginning of s of at most n characters.
func cutChars(s string, n int) string {
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}

// The content classes (MS-ASEMAIL §2.2.2.20).
const (
	contentMessage  = "urn:content-classes:message"
	contentCalendar = "urn:content-classes:calendarmessage"
)

// classOf is what kind of message it is (MS-ASEMAIL §2.2.2.49), by which a device
// chooses how it is shown.
func classOf(root *message.Part, m *meeting) (class, content string) {
	if m != nil {
		return m.class(), contentCalendar
	}
	switch security := render.SecurityOf(root); {
	case security == render.SMIMESigned:
		return "IPM.Note.SMIME.MultipartSigned", contentMessage
	case security == render.SMIMEOpaque:
		return "IPM.Note.SMIME", contentMessage
	case root.Is("multipart", "report"):
		return reportClass(root), contentMessage
	}
	return "IPM.Note", contentMessage
}

// reportClass is the class of a report about a message that was sent (RFC 6522).
func reportClass(root *message.Part) string {
	switch strings.ToLower(root.Param("report-type")) {
	case "delivery-status":
		return "REPORT.IPM.NOTE.NDR"
	case "disposition-notification":
		return "REPORT.IPM.NOTE.IPNRN"
	}
	return "IPM.Note"
}

// urgencyOf is how urgent a header says the message is: 0 low, 1 normal, 2 high.
func urgencyOf(h message.Header) int {
	for _, name := range []string{"Importance", "X-Priority", "Priority", "X-MSMail-Priority"} {
		value, ok := h.Get(name)
		if !ok {
			continue
		}
		value = strings.ToLower(strings.TrimSpace(value))
		switch {
		case strings.HasPrefix(value, "high"), strings.HasPrefix(value, "urgent"), strings.HasPrefix(value, "1"), strings.HasPrefix(value, "2"):
			return 2
		case strings.HasPrefix(value, "low"), strings.HasPrefix(value, "non-urgent"), strings.HasPrefix(value, "4"), strings.HasPrefix(value, "5"):
			return 0
		}
		return 1
	}
	return 1
}
