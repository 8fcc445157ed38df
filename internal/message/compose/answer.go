package compose

import (
	"io"
	"slices"
	"strings"

	"lockstep/internal/message"
)

// Reply writes the new message with the original's text quoted behind its own.
func Reply(w io.Writer, written, original Source) error {
	return answer(w, written, newQuote(original, false))
}

// Forward writes the new message with the original's text behind its own, and
// the original's attachments.
func Forward(w io.Writer, written, original Source) error {
	return answer(w, written, newQuote(original, true))
}

// answer writes the new message with what is taken of the original.
func answer(w io.Writer, written Source, q *quote) error {
	h, err := header(written, written.Message.Root)
	if err != nil {
		return err
	}
	a := answering{written: written, quote: q}
	a.bodies.look(written.Message.Root, false)
	root, err := a.root()
	if err != nil {
		return err
	}
	return root.write(&lineEnds{w: w}, messageFields(h))
}

// messageFields are the fields that are of the message, and not of its body.
func messageFields(h message.Header) []byte {
	var b []byte
	for f := range h.Fields() {
		if !isContentField(f.Name) && !strings.EqualFold(f.Name, "MIME-Version") {
			b = appendRaw(b, f)
		}
	}
	return append(b, "MIME-Version: 1.0\r\n"...)
}

func isContentField(name string) bool {
	return len(name) > len("Content-") && strings.EqualFold(name[:len("Content-")], "Content-")
}

// answering puts a new message and an original together.
type answering struct {
	written  Source
	bodies   bodies // of the new message
	quote    *quote
	pictures []*entity
}

// root makes the tree of the whole.
func (a *answering) root() (*entity, error) {
	top := a.written.Message.Root
	if a.bodies.closed {
		root, err := raw(a.written, top, true)
		if err != nil || !a.quote.forward {
			return root, err
		}
		return multipart("mixed", root, wholeMessage(a.quote.src)), nil
	}
	pictures, rest := a.quote.others()
	if a.bodies.html != nil {
		a.pictures = pictures
	} else if a.quote.forward {
		rest = append(pictures, rest...)
	}
	root, err := a.entity(top, nil)
	if err != nil {
		return nil, err
	}
	if a.bodies.plain == nil && a.bodies.html == nil && a.quote.hasText() {
		rest = append([]*entity{a.quote.textBehind(strings.NewReader(""))}, rest...)
	}
	if root.subtype == "mixed" && root.parts != nil {
		root.parts = append(root.parts, rest...)
		return root, nil
	}
	return multipart("mixed", append([]*entity{root}, rest...)...), nil
}

// entity makes the part of the whole that p becomes: what holds a text is built
// anew, all else stays as it is.
func (a *answering) entity(p, parent *message.Part) (*entity, error) {
	switch {
	case p == a.bodies.plain:
		return a.quote.textBehind(message.PartUTF8(a.written.Bytes, p)), nil
	case p == a.bodies.html:
		e := a.quote.htmlBehind(message.PartUTF8(a.written.Bytes, p))
		if parent != nil && parent.Is("multipart", "related") {
			return e, nil // which gets the pictures
		}
		return related(e, a.pictures), nil
	case !a.holdsText(p):
		return raw(a.written, p, parent == nil)
	}
	e := &entity{subtype: p.Subtype, params: slices.DeleteFunc(slices.Clone(p.Params), func(q message.Param) bool { return q.Name == "boundary" })}
	for _, c := range p.Parts {
		child, err := a.entity(c, p)
		if err != nil {
			return nil, err
		}
		e.parts = append(e.parts, child)
	}
	if p.Is("multipart", "related") && slices.Contains(p.Parts, a.bodies.html) {
		e.parts = append(e.parts, a.pictures...)
	}
	return e, nil
}

// holdsText reports whether one of the texts is inside the multipart.
func (a *answering) holdsText(p *message.Part) bool {
	holds := false
	p.Walk(func(c *message.Part) bool {
		holds = holds || c == a.bodies.plain || c == a.bodies.html
		return !holds && c.Message == nil
	})
	return holds
}

// raw takes a part over as it is; of the root of a message only what says how to
// read its body.
func raw(src Source, p *message.Part, root bool) (*entity, error) {
	h, err := header(src, p)
	if err != nil {
		return nil, err
	}
	e := &entity{eightBit: isEightBit(p), body: copyFrom(p.Body(src.Bytes))}
	typed := false
	for f := range h.Fields() {
		if isContentField(f.Name) || !root {
			e.header = appendRaw(e.header, f)
			typed = typed || strings.EqualFold(f.Name, "Content-Type")
		}
	}
	if !typed && p.Message != nil { // in a digest that goes without saying (RFC 2046 §5.1.5)
		e.header = append(e.header, "Content-Type: message/rfc822\r\n"...)
	}
	return e, nil
}

func isEightBit(p *message.Part) bool {
	found := false
	p.Walk(func(c *message.Part) bool {
		found = found || c.Encoding == "8bit" || c.Encoding == "binary"
		return !found
	})
	return found
}

// wholeMessage attaches a message as it is.
func wholeMessage(src Source) *entity {
	return &entity{
		header:   []byte("Content-Type: message/rfc822\r\nContent-Disposition: attachment\r\n" + encodingField(src.Message.Root)),
		eightBit: isEightBit(src.Message.Root),
		body:     copyFrom(io.NewSectionReader(src.Bytes, 0, src.Message.Size)),
	}
}

func encodingField(p *message.Part) string {
	if isEightBit(p) {
		return "Content-Transfer-Encoding: 8bit\r\n"
	}
	return ""
}
