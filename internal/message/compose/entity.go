package compose

import (
	"crypto/rand"
	"encoding/base64"
	"io"
	"mime"
	"mime/quotedprintable"
	"strings"

	"lockstep/internal/message"
)

// An entity is a part that is about to be written: a multipart, or what body
// writes behind the header.
type entity struct {
	header   []byte // its MIME fields, without Content-Type if it is a multipart
	subtype  string // of a multipart
	params   []message.Param
	parts    []*entity
	eightBit bool // of a leaf: the body may have bytes beyond ASCII
	body     func(io.Writer) error
}

// multipart puts parts together; a single one stays alone.
func multipart(subtype string, parts ...*entity) *entity {
	if len(parts) == 1 {
		return parts[0]
	}
	return &entity{subtype: subtype, parts: parts}
}

// write writes fields, the entity's own header behind them, and its body.
func (e *entity) write(w io.Writer, fields []byte) error {
	if e.parts == nil {
		if _, err := w.Write(append(append(fields, e.header...), "\r\n"...)); err != nil {
			return err
		}
		return e.body(w)
	}
	boundary := "=_" + rand.Text()
	fields = append(append(fields, e.header...), e.contentType(boundary)...)
	if e.isEightBit() {
		fields = append(fields, "Content-Transfer-Encoding: 8bit\r\n"...)
	}
	if _, err := w.Write(append(fields, "\r\n"...)); err != nil {
		return err
	}
	for _, p := range e.parts {
		if _, err := io.WriteString(w, "--"+boundary+"\r\n"); err != nil {
			return err
		}
		if err := p.write(w, nil); err != nil {
			return err
		}
		if _, err := io.WriteString(w, "\r\n"); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, "--"+boundary+"--\r\n")
	return err
}

func (e *entity) contentType(boundary string) []byte {
	params := append([]message.Param{}, e.params...)
	return appendParams(nil, "Content-Type", "multipart/"+e.subtype, append(params, message.Param{Name: "boundary", Value: boundary}))
}

// isEightBit reports whether something inside is said to be in 8bit: then so is
// what is around it (RFC 2045 §6.4).
func (e *entity) isEightBit() bool {
	if e.eightBit {
		return true
	}
	for _, p := range e.parts {
		if p.isEightBit() {
			return true
		}
	}
	return false
}

// appendParams writes a field with parameters, one a line; in RFC 2231 where they
// have to be.
func appendParams(b []byte, name, value string, params []message.Param) []byte {
	b = append(append(append(b, name...), ": "...), value...)
	for _, p := range params {
		formatted := mime.FormatMediaType("x/x", map[string]string{p.Name: cut(clean(p.Value), maxNameBytes)})
		if _, param, ok := strings.Cut(formatted, "; "); ok {
			b = append(append(b, ";\r\n "...), param...)
		}
	}
	return append(b, "\r\n"...)
}

// textEntity is a text part in UTF-8 and quoted-printable.
func textEntity(subtype string, text func(io.Writer) error) *entity {
	e := quotedEntity(text)
	e.header = append([]byte("Content-Type: text/"+subtype+"; charset=utf-8\r\n"), e.header...)
	return e
}

// quotedEntity is what a writer of text writes, in quoted-printable.
func quotedEntity(text func(io.Writer) error) *entity {
	return &entity{
		header: []byte("Content-Transfer-Encoding: quoted-printable\r\n"),
		body: func(w io.Writer) error {
			q := quotedprintable.NewWriter(w)
			if err := text(q); err != nil {
				return err
			}
			return q.Close()
		},
	}
}

// copyFrom is a body that is read to its end.
func copyFrom(r io.Reader) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.Copy(w, r)
		return err
	}
}

// base64Body encodes in lines of 76 characters (RFC 2045 §6.8).
func base64Body(r io.Reader) func(io.Writer) error {
	return func(w io.Writer) error {
		lines := &lineWriter{w: w}
		e := base64.NewEncoder(base64.StdEncoding, lines)
		if _, err := io.Copy(e, r); err != nil {
			return err
		}
		return e.Close()
	}
}

// lineWriter puts a line end before each byte that a line has no room for.
type lineWriter struct {
	w   io.Writer
	has int
	buf []byte
}

func (l *lineWriter) Write(p []byte) (int, error) {
	all := len(p)
	l.buf = l.buf[:0]
	for len(p) > 0 {
		if l.has == foldAt {
			l.buf, l.has = append(l.buf, "\r\n"...), 0
		}
		n := min(foldAt-l.has, len(p))
		l.buf = append(l.buf, p[:n]...)
		l.has += n
		p = p[n:]
	}
	_, err := l.w.Write(l.buf)
	return all, err
}

// lineEnds writes CRLF for each line end, whether it came as CRLF, LF or CR: what
// is a CR alone to one program ends a line, or begins a field, for another.
type lineEnds struct {
	w   io.Writer
	cr  bool // the last byte was CR
	buf []byte
}

func (l *lineEnds) Write(p []byte) (int, error) {
	l.buf = l.buf[:0]
	for _, c := range p {
		switch {
		case c == '\n' && !l.cr:
			l.buf = append(l.buf, '\r')
		case c != '\n' && l.cr:
			l.buf = append(l.buf, '\n')
		}
		l.cr = c == '\r'
		l.buf = append(l.buf, c)
	}
	_, err := l.w.Write(l.buf)
	return len(p), err
}
