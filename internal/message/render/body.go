package render

import (
	"bufio"
	"bytes"
	"io"

	"lockstep/internal/message"
)

// Body is a body in one form, cut to a size.
type Body struct {
	Type      Type
	Size      int64 // of the whole in this form, in bytes
	Truncated bool

	held  []byte                  // what is written, if it is held
	write func(w io.Writer) error // else
}

// Len is how many bytes WriteTo writes.
func (b *Body) Len() int64 {
	if b.write != nil {
		return b.Size
	}
	return int64(len(b.held))
}

// Held is what WriteTo writes, and whether it is in memory.
func (b *Body) Held() ([]byte, bool) { return b.held, b.write == nil }

// WriteTo writes the body as it was cut. It reads the message again if the body was
// too large to be held.
func (b *Body) WriteTo(w io.Writer) (int64, error) {
	if b.write == nil {
		n, err := w.Write(b.held)
		return int64(n), err
	}
	k := &keeper{}
	err := b.write(io.MultiWriter(w, k))
	return k.size, err
}

// WriteTo writes the whole body in the form as it is made, for who knows its size.
func (d *Document) WriteTo(w io.Writer, t Type) (int64, error) {
	k := &keeper{}
	err := d.write(io.MultiWriter(w, k), t)
	return k.size, err
}

// Body makes the body in the form, and cuts it to limit bytes if that is not negative:
// between characters, HTML so that what is open is closed, MIME never inside the
// message's header. What is cut is no longer than MaxHeld.
func (d *Document) Body(t Type, limit int64) (*Body, error) {
	return d.cutBody(t, limit, func(w io.Writer) error { return d.write(w, t) })
}

func (d *Document) cutBody(t Type, limit int64, write func(io.Writer) error) (*Body, error) {
	k := &keeper{room: MaxHeld}
	switch {
	case limit >= 0 && t == MIME: // what is repaired of a header is longer than it was
		k.room = min(limit+4*d.root.HeaderSize+4096, MaxHeld)
	case limit >= 0:
		k.room = min(limit, MaxHeld)
	}
	if err := write(k); err != nil {
		return nil, err
	}
	b := &Body{Type: t, Size: k.size, held: k.held}
	switch {
	case limit < 0 || k.size <= limit:
		if k.size > MaxHeld {
			b.held, b.write = nil, write
		}
	default:
		b.held, b.Truncated = cut(t, k.held, min(limit, MaxHeld)), true
	}
	return b, nil
}

// keeper counts what is written and keeps the beginning.
type keeper struct {
	room int64
	size int64
	held []byte
}

func (k *keeper) Write(b []byte) (int, error) {
	k.size += int64(len(b))
	if room := k.room - int64(len(k.held)); room > 0 {
		k.held = append(k.held, b[:min(room, int64(len(b)))]...)
	}
	return len(b), nil
}

// write writes the whole body in the form.
func (d *Document) write(w io.Writer, t Type) error {
	out := bufio.NewWriter(w)
	if err := d.writeForm(out, t); err != nil {
		return err
	}
	return out.Flush()
}

func (d *Document) writeForm(w *bufio.Writer, t Type) error {
	switch t {
	case MIME:
		return d.writeMIME(w)
	case HTML:
		return d.writeHTML(w)
	}
	return d.writeText(w)
}

// source is one text that the body is made of.
type source struct {
	html   bool
	flowed bool
	delSp  bool
	text   io.Reader
}

// sources are the texts of the body in their order.
func (d *Document) sources(parts []*message.Part) ([]source, error) {
	m, p, err := d.wrapped()
	if err != nil {
		return nil, err
	}
	if m != nil {
		t, text := tnefText(m, d.decoded(p))
		return []source{{html: t == HTML, text: text}}, nil
	}
	var list []source
	for _, p := range parts {
		if isText(p) {
			list = append(list, source{
				html: p.Subtype == "html", flowed: isParam(p, "format", "flowed"), delSp: isParam(p, "delsp", "yes"),
				text: message.PartUTF8(d.ra, p),
			})
		}
	}
	return list, nil
}

func (d *Document) writeText(w io.Writer) error {
	list, err := d.sources(d.choice.Text)
	if err != nil {
		return err
	}
	out := &crlfWriter{w: w}
	for _, s := range list {
		if err := out.endLine(); err != nil {
			return err
		}
		if err := s.writeText(out); err != nil {
			return err
		}
	}
	return nil
}

func (s source) writeText(w io.Writer) error {
	switch {
	case s.html:
		return htmlToText(w, s.text, true)
	case s.flowed:
		return unflow(&textSink{w: w}, s.text, s.delSp)
	}
	_, err := io.Copy(w, s.text)
	return err
}

func (d *Document) writeHTML(w io.Writer) error {
	list, err := d.sources(d.choice.HTML)
	if err != nil {
		return err
	}
	switch {
	case len(list) == 0:
		return nil // nothing is nothing in every form
	case len(list) == 1 && list[0].html:
		return copyHTML(w, list[0].text)
	}
	if _, err := io.WriteString(w, pageStart); err != nil {
		return err
	}
	for _, s := range list {
		if err := s.writeHTML(w); err != nil {
			return err
		}
	}
	_, err = io.WriteString(w, pageEnd)
	return err
}

// What stands around texts that are no page by themselves.
const (
	pageStart = "<html>\r\n<head>\r\n<meta http-equiv=\"Content-Type\" content=\"text/html; charset=utf-8\">\r\n</head>\r\n<body>\r\n"
	pageEnd   = "</body>\r\n</html>\r\n"
)

func (s source) writeHTML(w io.Writer) error {
	switch {
	case s.html:
		return s.writeFragment(w)
	case s.flowed:
		return unflow(&htmlSink{w: w}, s.text, s.delSp)
	}
	return plainLines(&htmlSink{w: w}, s.text)
}

// writeFragment writes what is inside of a page.
func (s source) writeFragment(w io.Writer) error {
	if _, err := io.WriteString(w, "<div>"); err != nil {
		return err
	}
	if err := copyHTML(&unframer{w: w}, s.text); err != nil {
		return err
	}
	_, err := io.WriteString(w, "</div>\r\n")
	return err
}

// crlfWriter ends every line with CRLF.
type crlfWriter struct {
	w    io.Writer
	last byte
}

var crlf = []byte("\r\n")

func (c *crlfWriter) Write(b []byte) (int, error) {
	done := 0
	for at := 0; at < len(b); {
		n := bytes.IndexByte(b[at:], '\n')
		if n < 0 {
			break
		}
		at += n
		before := c.last
		if at > 0 {
			before = b[at-1]
		}
		if before != '\r' {
			if _, err := c.w.Write(b[done:at]); err != nil {
				return done, err
			}
			if _, err := c.w.Write(crlf[:1]); err != nil {
				return at, err
			}
			done = at
		}
		at++
	}
	if len(b) > 0 {
		c.last = b[len(b)-1]
	}
	if _, err := c.w.Write(b[done:]); err != nil {
		return done, err
	}
	return len(b), nil
}

// endLine ends the line that something stands in.
func (c *crlfWriter) endLine() error {
	if c.last == 0 || c.last == '\n' {
		return nil
	}
	_, err := c.Write(crlf)
	return err
}
