package jmap

import (
	"io"
	"strconv"
	"strings"

	"lockstep/internal/message"
	"lockstep/internal/message/render"
)

// bodies adds what is made of the parts of a message (RFC 8621 §4.1.4).
func (w *emailWish) bodies(e *email, o object, room int64) error {
	if !w.any(emailBodies) {
		return nil
	}
	b := bodyMaker{wish: w.part, e: e, ids: partIDs(e.parsed.Root)}
	choice := render.Choose(e.parsed.Root)
	w.put(o, "bodyStructure", func() any { return b.tree(e.parsed.Root) })
	w.put(o, "textBody", func() any { return b.list(choice.Text) })
	w.put(o, "htmlBody", func() any { return b.list(choice.HTML) })
	w.put(o, "attachments", func() any { return b.list(choice.Attachments) })
	if b.err == nil && w.plain["bodyValues"] {
		o["bodyValues"], b.err = w.bodyValues(e, &b, choice, room)
	}
	return b.err
}

// partIDs numbers the parts that are no multipart, not looking into embedded messages.
// A number is a section number (RFC 9051 §6.4.5.1) with "_" for the dots.
func partIDs(root *message.Part) map[*message.Part]string {
	ids := map[*message.Part]string{}
	var walk func(p *message.Part, id string)
	walk = func(p *message.Part, id string) {
		if !p.IsMultipart() {
			ids[p] = id
			return
		}
		if id != "" {
			id += "_"
		}
		for i, c := range p.Parts {
			walk(c, id+strconv.Itoa(i+1))
		}
	}
	walk(root, "")
	if !root.IsMultipart() {
		ids[root] = "1"
	}
	return ids
}

// bodyMaker makes EmailBodyParts. It keeps the first error.
type bodyMaker struct {
	wish
	e   *email
	ids map[*message.Part]string
	err error
}

// list has a part for each, without what is below it.
func (b *bodyMaker) list(parts []*message.Part) []object {
	out := []object{}
	for _, p := range parts {
		o := b.part(p)
		if b.plain["subParts"] {
			o["subParts"] = []object{}
		}
		out = append(out, o)
	}
	return out
}

// tree has the parts below a multipart too, whether they were asked for or not: without
// them it would be no structure.
func (b *bodyMaker) tree(p *message.Part) object {
	o := b.part(p)
	if !p.IsMultipart() {
		if b.plain["subParts"] {
			o["subParts"] = []object{}
		}
		return o
	}
	below := []object{}
	for _, c := range p.Parts {
		below = append(below, b.tree(c))
	}
	o["subParts"] = below
	return o
}

// part has the properties that are wanted of one part (RFC 8621 §4.1.4).
func (b *bodyMaker) part(p *message.Part) object {
	o := object{}
	b.put(o, "partId", func() any { return textOrNil(b.ids[p]) })
	b.put(o, "blobId", func() any { return b.blobID(p) })
	b.put(o, "size", func() any { return b.size(p) })
	b.put(o, "name", func() any { return textOrNil(message.Unstructured(p.Filename())) })
	b.put(o, "type", func() any { return p.Type + "/" + p.Subtype })
	b.put(o, "charset", func() any { return charsetOf(p) })
	b.put(o, "disposition", func() any { return textOrNil(p.Disposition) })
	b.put(o, "cid", func() any { return textOrNil(strings.Trim(p.ID, "<> \t")) })
	b.put(o, "language", func() any { return listOrNil(p.Language) })
	b.put(o, "location", func() any { return textOrNil(p.Location) })
	if b.readsHeader() && b.err == nil {
		var fields map[string][]message.Field
		var all message.Header
		if fields, all, b.err = b.header(b.e, p); b.err == nil {
			b.putHeader(o, fields, all)
		}
	}
	return o
}

// charsetOf is the charset that is said of a part, or that MIME implies.
func charsetOf(p *message.Part) any {
	if charset := p.Charset(); charset != "" || p.Type != "text" {
		return textOrNil(charset)
	}
	return "us-ascii"
}

// blobID is null for a multipart, and where no id could say how deep the part lies.
func (b *bodyMaker) blobID(p *message.Part) any {
	id := b.e.partPrefix + b.ids[p]
	if p.IsMultipart() || len(id) > maxIDBytes {
		return nil
	}
	return id
}

// size is that of the part decoded; a multipart is nothing to decode.
func (b *bodyMaker) size(p *message.Part) int64 {
	switch {
	case p.IsMultipart() || b.err != nil:
		return 0
	case p.Encoding != "base64" && p.Encoding != "quoted-printable", b.e.damaged:
		return p.BodySize
	}
	var ra io.ReaderAt
	if ra, b.err = b.e.read(); b.err != nil {
		return 0
	}
	var n int64
	n, b.err = message.DecodedSize(ra, p)
	return n
}
