package compose

import (
	"io"
	"strings"

	"lockstep/internal/message"
)

// bodies are the texts a person reads of a message, and what lies beside them.
type bodies struct {
	plain, html *message.Part
	pictures    []*message.Part // that the HTML may show
	rest        []*message.Part
	closed      bool // encrypted, or signed and not to be opened
}

// look finds them in p. A signed message is looked into only if its signature may
// go.
func (b *bodies) look(p *message.Part, mayOpen bool) {
	switch {
	case p.Is("multipart", "encrypted"), p.Is("multipart", "signed") && !mayOpen,
		p.Is("application", "pkcs7-mime"), p.Is("application", "x-pkcs7-mime"):
		b.closed = true
	case p.Is("multipart", "signed"):
		b.look(p.Parts[0], mayOpen)
	case p.Is("multipart", "related"):
		b.related(p, mayOpen)
	case p.Is("multipart", "alternative"):
		for _, c := range p.Parts {
			b.look(c, mayOpen)
		}
	case p.IsMultipart():
		b.mixed(p, mayOpen)
	case p.Is("text", "plain") && b.plain == nil && isText(p):
		b.plain = p
	case p.Is("text", "html") && b.html == nil && isText(p):
		b.html = p
	default:
		b.rest = append(b.rest, p)
	}
}

// isText reports whether a person reads the part as part of the message.
func isText(p *message.Part) bool { return p.Disposition != "attachment" && p.Filename() == "" }

// mixed looks for the texts in the first part that has any.
func (b *bodies) mixed(p *message.Part, mayOpen bool) {
	for _, c := range p.Parts {
		if b.plain == nil && b.html == nil {
			b.look(c, mayOpen)
		} else {
			b.rest = append(b.rest, c)
		}
	}
}

// related looks into the part all others belong to: the one that is named, else
// the first (RFC 2387 §3.2).
func (b *bodies) related(p *message.Part, mayOpen bool) {
	start := p.Parts[0]
	for _, c := range p.Parts {
		if c.ID != "" && c.ID == p.Param("start") {
			start = c
		}
	}
	b.look(start, mayOpen)
	for _, c := range p.Parts {
		switch {
		case c == start:
		case c.ID != "" && !c.IsMultipart() && len(b.pictures) < maxInlinePicture:
			b.pictures = append(b.pictures, c)
		default:
			b.rest = append(b.rest, c)
		}
	}
}

// quote is what a new message takes of the original.
type quote struct {
	src     Source
	forward bool
	bodies  bodies
}

func newQuote(src Source, forward bool) *quote {
	q := &quote{src: src, forward: forward}
	q.bodies.look(src.Message.Root, true)
	return q
}

// others are the pictures the quoted HTML shows, and of a forward the attachments.
// A part that can't be read, as its header is too long, is left out.
func (q *quote) others() (pictures, rest []*entity) {
	if q.bodies.closed {
		if q.forward {
			rest = append(rest, wholeMessage(q.src))
		}
		return nil, rest
	}
	pictures = q.entities(q.bodies.pictures)
	if q.forward {
		rest = q.entities(q.bodies.rest)
	}
	return pictures, rest
}

func (q *quote) entities(parts []*message.Part) []*entity {
	var list []*entity
	for _, p := range parts {
		if e, err := raw(q.src, p, p == q.src.Message.Root); err == nil {
			list = append(list, e)
		}
	}
	return list
}

// hasText reports whether there is anything to put behind a new text.
func (q *quote) hasText() bool {
	return !q.bodies.closed && (q.forward || q.bodies.plain != nil || q.bodies.html != nil)
}

// textBehind is a plain text with the original's behind it.
func (q *quote) textBehind(text io.Reader) *entity {
	return textEntity("plain", func(w io.Writer) error {
		if _, err := io.Copy(w, text); err != nil || !q.hasText() {
			return err
		}
		return q.text(w)
	})
}

// htmlBehind is a document with the original's text at its end.
func (q *quote) htmlBehind(document io.Reader) *entity {
	return textEntity("html", func(w io.Writer) error {
		if !q.hasText() {
			return insertHTML(w, document, nil)
		}
		return insertHTML(w, document, q.html)
	})
}

// text writes the original as plain text.
func (q *quote) text(w io.Writer) error {
	intro, prefix := q.attribution()+"\r\n\r\n", "> "
	if q.forward {
		intro, prefix = "-------- Forwarded message --------\r\n"+q.headerBlock(plainLine)+"\r\n", ""
	}
	if _, err := io.WriteString(w, "\r\n\r\n"+intro); err != nil {
		return err
	}
	p := q.bodies.plain
	if p == nil {
		p = q.bodies.html
	}
	if p == nil {
		return nil
	}
	lines := &prefixer{w: w, prefix: prefix, start: true}
	if _, err := io.Copy(lines, message.PartText(q.src.Bytes, p)); err != nil || lines.start {
		return err
	}
	_, err := io.WriteString(w, "\r\n")
	return err
}

// attribution says whose words follow.
func (q *quote) attribution() string {
	e := &q.src.Message.Envelope
	who := shownAddresses(e.From[:min(len(e.From), 1)])
	if who == "" {
		who = "somebody"
	}
	if e.SentAt.IsZero() {
		return who + " wrote:"
	}
	return "On " + e.SentAt.Format(shownDate) + ", " + who + " wrote:"
}

const shownDate = "Mon, 2 Jan 2006 15:04 -0700"

// headerBlock is what a forward says of where the original comes from.
func (q *quote) headerBlock(line func(name, value string) string) string {
	e := &q.src.Message.Envelope
	date := ""
	if !e.SentAt.IsZero() {
		date = e.SentAt.Format(shownDate)
	}
	var b strings.Builder
	for _, f := range [][2]string{
		{"From", shownAddresses(e.From)}, {"Date", date}, {"To", shownAddresses(e.To)}, {"Cc", shownAddresses(e.Cc)},
		{"Subject", clean(message.DecodeWords(e.Subject))},
	} {
		if f[1] != "" {
			b.WriteString(line(f[0], f[1]))
		}
	}
	return b.String()
}

func plainLine(name, value string) string { return name + ": " + value + "\r\n" }

// shownAddresses is a list as people read it, cut where it gets too long.
func shownAddresses(list []message.Address) string {
	var b strings.Builder
	for _, a := range list {
		if a.IsGroupStart() || a.IsGroupEnd() {
			continue
		}
		if b.Len() > maxQuotedFields {
			b.WriteString(", …")
			break
		}
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		if name := clean(message.DecodeWords(a.Name)); name != "" {
			b.WriteString(cut(name, maxNameBytes) + " <" + a.String() + ">")
		} else {
			b.WriteString(a.String())
		}
	}
	return b.String()
}

// prefixer puts a prefix before each line, without the space where the line is a
// quote already.
type prefixer struct {
	w      io.Writer
	prefix string
	start  bool // of a line
	buf    []byte
}

func (p *prefixer) Write(b []byte) (int, error) {
	p.buf = p.buf[:0]
	for _, c := range b {
		if p.start && c != '\r' {
			prefix := p.prefix
			if c == '>' || c == '\n' {
				prefix = strings.TrimRight(prefix, " ")
			}
			p.buf = append(p.buf, prefix...)
			p.start = false
		}
		p.buf = append(p.buf, c)
		p.start = p.start || c == '\n'
	}
	_, err := p.w.Write(p.buf)
	return len(b), err
}
