package render

import (
	"strings"

	"lockstep/internal/message"
)

// Choice says which parts of a message are its body, as plain text and as HTML, and
// which come with it (RFC 8621 §4.1.4). Text and HTML may share parts: those of a
// message that is no alternative, and media that stand between texts.
type Choice struct {
	Text, HTML, Attachments []*message.Part
}

// Choose sorts the parts of a message, or of one that is embedded.
func Choose(root *message.Part) Choice {
	var c chooser
	c.parts([]*message.Part{root}, "mixed", false, &c.Text, &c.HTML)
	return c.Choice
}

type chooser struct{ Choice }

// parts sorts the children of one multipart. text and html are nil where an
// alternative has already been decided for the other.
func (c *chooser) parts(list []*message.Part, multipart string, inAlternative bool, text, html *[]*message.Part) {
	texts, htmls := count(text), count(html)
	for i, p := range list {
		switch {
		case p.IsMultipart():
			c.parts(p.Parts, p.Subtype, inAlternative || p.Subtype == "alternative", text, html)
		case !isBody(p, i, multipart):
			c.Attachments = append(c.Attachments, p)
		case multipart == "alternative":
			c.alternative(p, text, html)
		default:
			if inAlternative {
				text, html = narrow(p, text, html)
			}
			c.body(p, text, html)
		}
	}
	if multipart == "alternative" && text != nil && html != nil {
		share(text, html, texts, htmls)
	}
}

func count(list *[]*message.Part) int {
	if list == nil {
		return -1
	}
	return len(*list)
}

// isBody reports whether the i-th part of a multipart is shown and not attached.
func isBody(p *message.Part, i int, multipart string) bool {
	if p.Disposition == "attachment" || !isText(p) && !isMedia(p) {
		return false
	}
	return i == 0 || multipart != "related" && (isMedia(p) || p.Filename() == "")
}

func isText(p *message.Part) bool { return p.Is("text", "plain") || p.Is("text", "html") }

func isMedia(p *message.Part) bool {
	return p.Type == "image" || p.Type == "audio" || p.Type == "video"
}

func (c *chooser) alternative(p *message.Part, text, html *[]*message.Part) {
	switch {
	case p.Is("text", "plain") && text != nil:
		*text = append(*text, p)
	case p.Is("text", "html") && html != nil:
		*html = append(*html, p)
	case !isText(p):
		c.Attachments = append(c.Attachments, p)
	}
}

// narrow drops the list for which a text inside an alternative is not.
func narrow(p *message.Part, text, html *[]*message.Part) (_, _ *[]*message.Part) {
	switch {
	case p.Is("text", "plain"):
		html = nil
	case p.Is("text", "html"):
		text = nil
	}
	return text, html
}

func (c *chooser) body(p *message.Part, text, html *[]*message.Part) {
	if text != nil {
		*text = append(*text, p)
	}
	if html != nil {
		*html = append(*html, p)
	}
	if (text == nil || html == nil) && isMedia(p) {
		c.Attachments = append(c.Attachments, p)
	}
}

// share gives what an alternative has in one form only to the other list too.
func share(text, html *[]*message.Part, texts, htmls int) {
	switch newText, newHTML := (*text)[texts:], (*html)[htmls:]; {
	case len(newText) == 0 && len(newHTML) > 0:
		*text = append(*text, newHTML...)
	case len(newHTML) == 0 && len(newText) > 0:
		*html = append(*html, newText...)
	}
}

// Type is the form of a body, with the numbers of MS-ASAIRS §2.2.2.41.1.
type Type int

// The forms. RTF (3) is not made.
const (
	Text Type = 1
	HTML Type = 2
	MIME Type = 4
)

// Native is the form the body is in as it came.
func (c Choice) Native() Type {
	for _, p := range c.HTML {
		if p.Is("text", "html") {
			return HTML
		}
	}
	return Text
}

// A Security is how a message is signed or encrypted.
type Security int

// The kinds. Those that are opaque have no body that the server could read.
const (
	Clear        Security = iota
	SMIMESigned           // multipart/signed (RFC 8551 §3.5.3)
	SMIMEOpaque           // application/pkcs7-mime: encrypted, or signed with the content inside
	PGPSigned             // RFC 3156 §5
	PGPEncrypted          // RFC 3156 §4
)

// SecurityOf looks at the outermost part, which says it.
func SecurityOf(root *message.Part) Security {
	protocol := strings.ToLower(root.Param("protocol"))
	switch {
	case root.Is("multipart", "signed") && strings.Contains(protocol, "pkcs7"):
		return SMIMESigned
	case root.Is("multipart", "signed") && strings.Contains(protocol, "pgp"):
		return PGPSigned
	case root.Is("multipart", "encrypted"):
		return PGPEncrypted
	case root.Type == "application" && (root.Subtype == "pkcs7-mime" || root.Subtype == "x-pkcs7-mime"),
		strings.HasSuffix(strings.ToLower(root.Filename()), ".p7m"):
		return SMIMEOpaque
	}
	return Clear
}

// Calendar finds the part of an invitation, an answer to one or a cancellation: the
// first text/calendar, else the first iCalendar file; nil if there is none. Embedded
// messages are not looked into: what they invite to is not this message's business.
func Calendar(root *message.Part) *message.Part {
	var file, found *message.Part
	root.Walk(func(p *message.Part) bool {
		switch {
		case found != nil || p.Message != nil:
			return false
		case p.Is("text", "calendar"):
			found = p
		case file == nil && (p.Is("application", "ics") || strings.HasSuffix(strings.ToLower(p.Filename()), ".ics")):
			file = p
		}
		return true
	})
	if found == nil {
		found = file
	}
	return found
}
