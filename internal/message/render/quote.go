package render

import (
	"bytes"
	"regexp"
	"strings"

	"golang.org/x/net/html"
)

// Part makes the part of the message that is its own: its body as HTML without the
// messages it quotes (MS-ASCON §3.2.4.3), cut like Body. A quotation that something is
// written below or in between is kept, for without it the answer makes no sense; so is
// all of a message that has nothing else, such as a forward. Of a body larger than
// MaxHeld only a quotation that begins before that is found.
func (d *Document) Part(limit int64) (*Body, error) {
	native, err := d.Native()
	if err != nil {
		return nil, err
	}
	k := &keeper{room: MaxHeld}
	if err := d.write(k, native); err != nil {
		return nil, err
	}
	part, found := k.held, false
	if native == HTML {
		part, found = ownHTML(k.held)
	} else if n := ownText(k.held); n < len(k.held) {
		part, found = page(k.held[:n]), true
	}
	if !found {
		return d.Body(HTML, limit)
	}
	b := &Body{Type: HTML, Size: int64(len(part)), held: part}
	if limit >= 0 && b.Size > limit {
		b.held, b.Truncated = cut(HTML, part, limit), true
	}
	return b, nil
}

// page makes a page of a text.
func page(text []byte) []byte {
	var b bytes.Buffer
	b.WriteString(pageStart)
	plainLines(&htmlSink{w: &b}, bytes.NewReader(text)) // in memory: no error
	b.WriteString(pageEnd)
	return b.Bytes()
}

// ownHTML cuts a document before what it quotes at its end, and closes what is open.
func ownHTML(b []byte) (part []byte, found bool) {
	q := quoteFinder{cutter: cutter{limit: 1 << 62}}
	z := html.NewTokenizer(bytes.NewReader(b))
	for typ := z.Next(); typ != html.ErrorToken && !q.ended; typ = z.Next() {
		q.token(z, typ)
	}
	if q.quote == nil {
		return b, false
	}
	return q.quote.close(b), true
}

// quoteFinder goes through a document. quote is where it could be cut, if nothing
// but quotations follows.
type quoteFinder struct {
	cutter
	text   bool    // something of the message's own was there
	quote  *cutter // where the quotation began
	inside string  // the element that holds it
	depth  int     // of elements of that name in it
	hidden bool    // in a style or the like
	ended  bool    // all that follows is quoted
}

func (q *quoteFinder) token(z *html.Tokenizer, typ html.TokenType) {
	size := len(z.Raw())
	switch typ {
	case html.TextToken:
		if q.inside == "" && !q.hidden && len(bytes.TrimSpace(bytes.ReplaceAll(z.Text(), []byte("\u00a0"), nil))) > 0 {
			q.text, q.quote = true, nil
		}
	case html.StartTagToken:
		q.start(z, size)
		return
	case html.EndTagToken:
		name, _ := z.TagName()
		q.endTag(string(name))
	case html.SelfClosingTagToken:
		name, more := z.TagName()
		q.begins(string(name), tagAttributes(z, more))
	}
	q.at += size
}

func (q *quoteFinder) start(z *html.Tokenizer, size int) {
	tag, more := z.TagName()
	name := string(tag)
	if q.begins(name, tagAttributes(z, more)) || q.ended {
		return
	}
	if q.inside == name {
		q.depth++
	}
	q.hidden = q.hidden || name == "style" || name == "title" || name == "script"
	if isClosed([]byte(name)) && len(q.open) < maxOpen {
		q.open = append(q.open, name)
		q.closers += len(name) + len("</>")
	}
	q.at += size
}

func (q *quoteFinder) endTag(name string) {
	q.hidden = q.hidden && name != "style" && name != "title" && name != "script"
	q.end(name)
	if q.inside == name {
		if q.depth--; q.depth == 0 {
			q.inside = ""
		}
	}
}

// begins notes where a quotation begins. It reports whether the rest is one.
func (q *quoteFinder) begins(name string, a map[string]string) bool {
	if q.inside != "" || !q.text {
		return false
	}
	rest, element := separates(name, a), isQuotation(name, a)
	if !rest && !element {
		return false
	}
	if q.quote == nil {
		here := q.cutter
		here.open = append([]string(nil), q.open...)
		q.quote = &here
	}
	if q.ended = rest; !rest {
		q.inside, q.depth = name, 0 // start counts it
	}
	return rest
}

func tagAttributes(z *html.Tokenizer, more bool) map[string]string {
	found := map[string]string{}
	for more {
		var key, value []byte
		key, value, more = z.TagAttr()
		switch string(key) {
		case "id", "class", "type", "style":
			found[string(key)] = strings.ToLower(string(value))
		}
	}
	return found
}

// separates reports whether a tag stands between a message and the one it answers:
// Outlook's marks, on the web, on phones and on the desk.
func separates(name string, a map[string]string) bool {
	switch strings.TrimPrefix(a["id"], "x_") {
	case "appendonsend", "divrplyfwdmsg", "stopspelling", "mail-editor-reference-message-container":
		return true
	}
	style := strings.ReplaceAll(a["style"], " ", "")
	return name == "div" && strings.Contains(style, "border-top:solid#") && strings.Contains(style, "padding:3.0pt0")
}

// isQuotation reports whether an element is one, or says whom it is from.
func isQuotation(name string, a map[string]string) bool {
	if name == "blockquote" && a["type"] == "cite" {
		return true
	}
	for _, class := range strings.Fields(a["class"]) {
		switch class {
		case "gmail_quote", "gmail_quote_container", "gmail_extra", "yahoo_quoted", "moz-cite-prefix", "protonmail_quote", "zmail_extra", "quote":
			return true
		}
	}
	return false
}

// separator is a line between a message and the one it answers, in any language.
var separator = regexp.MustCompile(`^\s*(-{4,}\s?\pL.{2,60}\s?-{4,}|_{20,})\s*$`)

// ownText is how much of a text stands before what it quotes at its end; all of it if
// it quotes nothing or else is nothing.
func ownText(b []byte) int {
	f := textQuotes{cut: -1}
	at := 0
	for line := range bytes.Lines(b) {
		if f.line(bytes.TrimSpace(line), at); f.ended {
			break
		}
		at += len(line)
	}
	if f.cut < 0 {
		return len(b)
	}
	return f.cut
}

// textQuotes goes through lines. cut is where the quotation at the end begins, -1 if
// there is none.
type textQuotes struct {
	cut, attribution int  // where the last lines of the message's own begin
	text             bool // there is something of its own
	before           bool // something of its own stands before the last line of its own
	colon            bool // which ends in a colon
	ended            bool
}

func (f *textQuotes) line(line []byte, at int) {
	switch {
	case len(line) == 0:
	case f.text && separator.Match(line):
		if f.cut < 0 {
			f.cut = at
		}
		f.ended = true
	case line[0] == '>':
		f.quoted(at)
	default:
		f.own(line, at)
	}
}

func (f *textQuotes) quoted(at int) {
	switch {
	case f.cut >= 0 || !f.text:
	case f.colon && f.before:
		f.cut = f.attribution
	case f.colon:
	default:
		f.cut = at
	}
}

func (f *textQuotes) own(line []byte, at int) {
	f.cut = -1
	f.colon = line[len(line)-1] == ':'
	f.attribution = at
	f.before, f.text = f.text, true
}
