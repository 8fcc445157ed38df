package compose

import (
	"io"
	"strings"

	"lockstep/internal/message"
)

// A Part is one part of a message whose structure is given.
type Part struct {
	Type   string          // media type in lower case, such as text/plain; of a multipart it begins so
	Params []message.Param // of Content-Type, in order; a boundary is not among them
	Fields []byte          // other header fields, as functions of this package write them
	Parts  []*Part         // of a multipart
	// Text says that the body is UTF-8 with line ends of any kind: it is written in
	// quoted-printable, else in base64; what is itself a message as it stands.
	Text bool
	Open func() (io.ReadCloser, error) // the body of what is no multipart
}

// WriteParts writes a message: the fields, then what the structure makes of it.
func WriteParts(w io.Writer, fields []byte, root *Part) error {
	return root.entity().write(&lineEnds{w: w}, append(fields[:len(fields):len(fields)], "MIME-Version: 1.0\r\n"...))
}

func (p *Part) entity() *entity {
	if subtype, ok := strings.CutPrefix(p.Type, "multipart/"); ok {
		e := &entity{header: p.Fields, subtype: subtype, params: p.Params, parts: []*entity{}}
		for _, below := range p.Parts {
			e.parts = append(e.parts, below.entity())
		}
		return e
	}
	h := append(p.Fields[:len(p.Fields):len(p.Fields)], appendParams(nil, "Content-Type", p.Type, p.Params)...)
	switch {
	case strings.HasPrefix(p.Type, "message/"): // RFC 2046 §5.2: it must not be encoded
		return &entity{header: append(h, "Content-Transfer-Encoding: 8bit\r\n"...), eightBit: true, body: p.copyTo}
	case p.Text:
		e := quotedEntity(p.copyTo)
		e.header = append(h, e.header...)
		return e
	}
	return &entity{header: append(h, "Content-Transfer-Encoding: base64\r\n"...), body: func(w io.Writer) error {
		r, err := p.Open()
		if err != nil {
			return err
		}
		defer r.Close()
		return base64Body(r)(w)
	}}
}

func (p *Part) copyTo(w io.Writer) error {
	r, err := p.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	return copyFrom(r)(w)
}
