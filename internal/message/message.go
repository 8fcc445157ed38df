package message

import (
	"io"
	"strings"
	"time"
)

// Message is what Parse finds out about a message. All its text is valid UTF-8.
type Message struct {
	Envelope Envelope
	Root     *Part
	Size     int64
	Preview  string // plain text, at most MaxPreviewChars characters (RFC 8970)

	ID            string   // the Message-ID without its angle brackets, "" if there is none
	References    []string // ids of References, oldest first, then those only In-Reply-To has; without brackets or duplicates
	OnlyInReplyTo int      // how many of References, the last ones, only In-Reply-To has
	BaseSubject   string   // RFC 5256 §2.1, decoded
	IsReply       bool     // whether finding BaseSubject took away the mark of a reply or forward
	HasAttachment bool     // whether a person would say that something is attached
	DraftID       string   // X-Universally-Unique-Identifier: Apple's name for a draft or note, whatever its version. Encode leaves it out
}

// Envelope is the header summary of RFC 9051 §7.5.2. Its strings are unfolded
// and otherwise as they stand in the header: encoded-words are not decoded, see
// DecodeWords. An absent field is empty.
type Envelope struct {
	Date      string    // as the sender wrote it
	SentAt    time.Time // Date parsed; zero when it cannot be
	Subject   string
	From      []Address
	Sender    []Address // empty if absent: IMAP shows SenderOrFrom
	ReplyTo   []Address // empty if absent: IMAP shows ReplyToOrFrom
	To        []Address
	Cc        []Address
	Bcc       []Address
	InReplyTo string
	MessageID string
	Blank     Fields // those of its fields that are there with nothing in them
}

// Fields is a set of envelope fields. ENVELOPE tells one that is blank from one
// that is absent (RFC 9051 §7.5.2).
type Fields uint8

// The fields that can be blank.
const (
	DateField Fields = 1 << iota
	SubjectField
	InReplyToField
	MessageIDField

	allFields = DateField | SubjectField | InReplyToField | MessageIDField
)

// SenderOrFrom is the sender as ENVELOPE shows it: From when there is none.
func (e *Envelope) SenderOrFrom() []Address { return orElse(e.Sender, e.From) }

// ReplyToOrFrom is the reply-to as ENVELOPE shows it: From when there is none.
func (e *Envelope) ReplyToOrFrom() []Address { return orElse(e.ReplyTo, e.From) }

func orElse(list, other []Address) []Address {
	if len(list) == 0 {
		return other
	}
	return list
}

// Part is one body part (RFC 2045 §2.4); the root's header is the message's own.
type Part struct {
	Type, Subtype     string  // lower case
	Params            []Param // of Content-Type; RFC 2231 decoded
	ID                string  // Content-ID, with its brackets
	Description       string
	MD5               string
	Encoding          string // lower case; "7bit" if the header does not say
	Disposition       string // lower case, "" if absent
	DispositionParams []Param
	Language          []string
	Location          string

	Offset     int64 // of the first byte of the part's header
	HeaderSize int64 // with the blank line that ends it
	BodyOffset int64 // Offset + HeaderSize
	BodySize   int64 // encoded bytes; the line end before a delimiter is not of the body
	Lines      int64 // line ends in the body

	Parts   []*Part   // of a multipart: one at least
	Message *Embedded // of message/rfc822 and message/global
}

// Embedded is the message inside a message/rfc822 or message/global part. Its
// root begins where the part's body begins.
type Embedded struct {
	Envelope Envelope
	Root     *Part
}

// Param is one parameter of a MIME header field. The name is lower case.
type Param struct{ Name, Value string }

// Part returns the part with the section number path (RFC 9051 §6.4.5.1). The
// empty path is the root; 1 of a message that is no multipart is its body, which
// is the root too; numbers behind an embedded message count inside it.
func (m *Message) Part(path []int) (*Part, bool) {
	if len(path) == 0 {
		return m.Root, true
	}
	return m.Root.section(path)
}

// section looks path up where p is the root of a message, or a multipart.
func (p *Part) section(path []int) (*Part, bool) {
	child, ok := p.child(path[0])
	switch {
	case !ok || len(path) == 1:
		return child, ok
	case child.Message != nil:
		return child.Message.Root.section(path[1:])
	case child.IsMultipart():
		return child.section(path[1:])
	}
	return nil, false
}

func (p *Part) child(n int) (*Part, bool) {
	switch {
	case p.IsMultipart() && n >= 1 && n <= len(p.Parts):
		return p.Parts[n-1], true
	case !p.IsMultipart() && n == 1:
		return p, true
	}
	return nil, false
}

// IsMultipart reports whether the part has children.
func (p *Part) IsMultipart() bool { return len(p.Parts) > 0 }

// Is reports whether the part is of the media type, both words in lower case.
func (p *Part) Is(typ, subtype string) bool { return p.Type == typ && p.Subtype == subtype }

// End is the offset of the first byte behind the body.
func (p *Part) End() int64 { return p.BodyOffset + p.BodySize }

// Param returns a parameter of Content-Type, "" if it is not there.
func (p *Part) Param(name string) string { return paramOf(p.Params, name) }

// Charset is what Content-Type says, "" if nothing.
func (p *Part) Charset() string { return p.Param("charset") }

// Filename is the decoded name the sender gave the part, "" if none.
func (p *Part) Filename() string {
	name := paramOf(p.DispositionParams, "filename")
	if name == "" {
		name = p.Param("name")
	}
	return DecodeWords(name)
}

func paramOf(params []Param, name string) string {
	for _, p := range params {
		if strings.EqualFold(p.Name, name) {
			return p.Value
		}
	}
	return ""
}

// Header reads the part's header as it is, its blank line included.
func (p *Part) Header(ra io.ReaderAt) *io.SectionReader {
	return io.NewSectionReader(ra, p.Offset, p.HeaderSize)
}

// Body reads the part's body as it is, still encoded.
func (p *Part) Body(ra io.ReaderAt) *io.SectionReader {
	return io.NewSectionReader(ra, p.BodyOffset, p.BodySize)
}

// Walk calls fn for the part and all below it, embedded messages included, in
// the order of their bytes, until fn says false to skip what is below a part.
func (p *Part) Walk(fn func(*Part) bool) {
	if !fn(p) {
		return
	}
	for _, c := range p.Parts {
		c.Walk(fn)
	}
	if p.Message != nil {
		p.Message.Root.Walk(fn)
	}
}
