package message

import "strings"

var plainParams = []Param{{"charset", "us-ascii"}}

// makePlain is what a part becomes that says nothing usable of itself (RFC 2045
// §5.2).
func (p *Part) makePlain() {
	p.Type, p.Subtype, p.Params = "text", "plain", plainParams
}

// makeOpaque is what a part becomes that is not looked into.
func (p *Part) makeOpaque() {
	p.Type, p.Subtype = "application", "octet-stream"
	if p.Encoding == "" {
		p.Encoding = "7bit"
	}
}

func (p *Part) isMessage() bool {
	return p.Type == "message" && (p.Subtype == "rfc822" || p.Subtype == "global")
}

// readFields takes what a part's header block says of the part, and of the
// message if the part is the root of one.
func (p *Part) readFields(block string, to *frame, inDigest bool) {
	references := ""
	for f := range Header(block).Fields() {
		name := newFoldedName(f.Name)
		switch {
		case name.hasPrefix("content-"):
			p.contentField(name, f)
		case name.is("references"):
			setFirst(&references, f)
		case to.message != nil && name.is("x-universally-unique-identifier"):
			setFirst(&to.message.DraftID, f)
		case to.envelope != nil:
			to.envelope.field(name, f)
		}
	}
	if to.message != nil {
		to.message.readThreading(references)
	}
	switch {
	case p.Type == "" && inDigest:
		p.Type, p.Subtype = "message", "rfc822"
	case p.Type == "", p.Type == "multipart" && strings.TrimRight(p.Param("boundary"), " \t") == "":
		p.makePlain()
	}
	if p.Encoding == "" {
		p.Encoding = "7bit"
	}
}

// foldedName is a field name in lower case, made without allocation. The names
// we know are short.
type foldedName struct {
	buf [32]byte
	n   int
}

func newFoldedName(s string) (f foldedName) {
	if len(s) > len(f.buf) {
		return f
	}
	f.n = copy(f.buf[:], s)
	for i, c := range f.buf[:f.n] {
		if c >= 'A' && c <= 'Z' {
			f.buf[i] = c + 'a' - 'A'
		}
	}
	return f
}

func (f *foldedName) hasPrefix(s string) bool {
	return f.n >= len(s) && string(f.buf[:len(s)]) == s
}

func (f *foldedName) is(s string) bool { return string(f.buf[:f.n]) == s }

// contentField takes a MIME field; the first of a name counts.
func (p *Part) contentField(name foldedName, f Field) {
	switch string(name.buf[:name.n]) {
	case "content-type":
		if p.Type == "" {
			p.Type, p.Subtype, p.Params = parseContentType(f.Value())
		}
	case "content-transfer-encoding":
		if p.Encoding == "" {
			p.Encoding, _ = cutToken(f.Value())
		}
	case "content-disposition":
		if p.Disposition == "" {
			p.Disposition, p.DispositionParams = parseDisposition(f.Value())
		}
	case "content-id":
		setFirst(&p.ID, f)
	case "content-description":
		setFirst(&p.Description, f)
	case "content-md5":
		setFirst(&p.MD5, f)
	case "content-location":
		setFirst(&p.Location, f)
	case "content-language":
		if p.Language == nil {
			p.Language = parseLanguages(f.Value())
		}
	}
}

func setFirst(s *string, f Field) {
	if *s == "" {
		*s = f.Value()
	}
}

// field takes a field of a message's header into the envelope. Of fields that
// may stand once the first counts; recipients of all fields are put together, as
// people mean it who write To twice.
func (e *Envelope) field(name foldedName, f Field) {
	switch string(name.buf[:name.n]) {
	case "date":
		if e.Date == "" {
			e.setFirst(&e.Date, f, DateField)
			e.SentAt, _ = ParseDate(e.Date)
		}
	case "subject":
		e.setFirst(&e.Subject, f, SubjectField)
	case "message-id":
		e.setFirst(&e.MessageID, f, MessageIDField)
	case "in-reply-to":
		e.setFirst(&e.InReplyTo, f, InReplyToField)
	case "from":
		setFirstAddresses(&e.From, f)
	case "sender":
		setFirstAddresses(&e.Sender, f)
	case "reply-to":
		setFirstAddresses(&e.ReplyTo, f)
	case "to":
		e.To = appendAddresses(e.To, f.Value())
	case "cc":
		e.Cc = appendAddresses(e.Cc, f.Value())
	case "bcc":
		e.Bcc = appendAddresses(e.Bcc, f.Value())
	}
}

// setFirst is setFirst for a field that may be blank.
func (e *Envelope) setFirst(s *string, f Field, which Fields) {
	setFirst(s, f)
	e.Blank &^= which
	if *s == "" {
		e.Blank |= which
	}
}

func setFirstAddresses(list *[]Address, f Field) {
	if *list == nil {
		*list = appendAddresses(nil, f.Value())
	}
}

// hasAttachment reports whether p, in the multipart parent, is something a
// person would call attached: not the text, its pictures or its signature.
func (p *Part) hasAttachment(parent *Part) bool {
	if p.IsMultipart() {
		for _, c := range p.Parts {
			if c.hasAttachment(p) {
				return true
			}
		}
		return false
	}
	switch {
	case strings.HasSuffix(p.Subtype, "-signature"):
		return false
	case p.Disposition == "attachment", p.isMessage():
		return true
	case parent != nil && parent.Is("multipart", "related"), p.Disposition == "inline" && p.ID != "":
		return false
	case p.Disposition == "inline", p.Type == "text":
		return p.Filename() != "" && p.Subtype != "calendar"
	}
	return !p.Is("message", "delivery-status")
}
