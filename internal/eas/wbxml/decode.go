package wbxml

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// The global tokens of MS-ASWBXML §2.1.2; all others of WAP's are refused.
const (
	switchPage = 0x00
	endTag     = 0x01
	inlineStr  = 0x03
	opaqueData = 0xC3

	hasContent    = 0x40
	hasAttributes = 0x80
	tokenMask     = 0x3F

	firstToken = 0x05 // lower ones are global
)

// Limits bound what one document can make us hold. Zero fields are the defaults.
type Limits struct {
	Bytes    int64 // of the whole document, what is spilled too
	Held     int64 // of content that is not spilled
	Depth    int
	Elements int
	// Spill returns where the content of an element goes instead of into memory, or
	// nil for memory. An error of the writer ends the reading.
	Spill func(Tag) io.Writer
}

// The defaults.
const (
	DefaultBytes    = 64 << 20
	DefaultHeld     = 8 << 20
	DefaultDepth    = 32
	DefaultElements = 50_000
)

func (l Limits) orDefault() Limits {
	if l.Bytes == 0 {
		l.Bytes = DefaultBytes
	}
	if l.Held == 0 {
		l.Held = DefaultHeld
	}
	if l.Depth == 0 {
		l.Depth = DefaultDepth
	}
	if l.Elements == 0 {
		l.Elements = DefaultElements
	}
	return l
}

// What is wrong with a document; errors of the reader come as they are.
var (
	ErrSyntax = errors.New("wbxml: not a document of MS-ASWBXML")
	ErrLimit  = errors.New("wbxml: larger than allowed")
)

func syntax(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrSyntax, fmt.Sprintf(format, args...))
}

// Decode reads one document. A document that is not one is ErrSyntax, one past a
// bound ErrLimit. Elements that the documents do not know are kept like others: a
// newer client may say more than we understand.
func Decode(r io.Reader, l Limits) (*Element, error) {
	l = l.orDefault()
	counted := &counter{r: r, left: l.Bytes}
	d := &decoder{r: bufio.NewReader(counted), l: l}
	if err := d.header(); err != nil {
		return nil, d.says(err)
	}
	e, err := d.document()
	return e, d.says(err)
}

type decoder struct {
	r        *bufio.Reader
	l        Limits
	page     byte
	held     int64
	elements int
}

// says turns the end of the input in the middle of a document into what it is.
func (d *decoder) says(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return syntax("it ends early")
	}
	return err
}

// header reads version, public id, charset and string table. The table is passed
// over: no token that we take refers to it.
func (d *decoder) header() error {
	version, err := d.r.ReadByte()
	if err != nil {
		return err
	}
	if version < 0x01 || version > 0x03 {
		return syntax("version %#02x", version)
	}
	if _, err := d.number(); err != nil { // public identifier
		return err
	}
	charset, err := d.number()
	if err != nil {
		return err
	}
	const utf8MIBenum = 106
	if charset != utf8MIBenum {
		return syntax("character set %d", charset)
	}
	table, err := d.number()
	if err != nil {
		return err
	}
	if int64(table) > d.l.Held {
		return ErrLimit
	}
	_, err = d.r.Discard(int(table))
	return err
}

// number reads an mb_u_int32 of at most four bytes: 28 bits are more than any
// length we take.
func (d *decoder) number() (uint32, error) {
	var n uint32
	for range 4 {
		b, err := d.r.ReadByte()
		if err != nil {
			return 0, err
		}
		n = n<<7 | uint32(b&0x7F)
		if b&0x80 == 0 {
			return n, nil
		}
	}
	return 0, syntax("a number of more than four bytes")
}

// document reads the root element and all in it, without recursion.
func (d *decoder) document() (*Element, error) {
	var root *Element
	var open []*Element
	for {
		b, err := d.r.ReadByte()
		if err != nil {
			return nil, err
		}
		if b >= firstToken && b != opaqueData {
			e, content, err := d.element(b)
			if err != nil {
				return nil, err
			}
			if len(open) == 0 {
				root = e
			} else {
				in := open[len(open)-1]
				if in.Text != "" || in.Spilled {
					return nil, syntax("%v has elements after its text", in.Tag)
				}
				in.Children = append(in.Children, e)
			}
			if content {
				if len(open) == d.l.Depth {
					return nil, ErrLimit
				}
				open = append(open, e)
			} else if len(open) == 0 {
				return root, nil
			}
			continue
		}
		if b == switchPage {
			if d.page, err = d.r.ReadByte(); err != nil {
				return nil, err
			}
			continue
		}
		if len(open) == 0 {
			return nil, syntax("token %#02x before the root element", b)
		}
		in := open[len(open)-1]
		switch b {
		case endTag:
			if open = open[:len(open)-1]; len(open) == 0 {
				return root, nil
			}
		case inlineStr:
			err = d.content(in, d.inline)
		case opaqueData:
			var n uint32
			if n, err = d.number(); err == nil {
				in.Opaque = true
				err = d.content(in, func(w io.Writer) error { return d.opaque(w, int64(n)) })
			}
		default:
			err = syntax("token %#02x", b)
		}
		if err != nil {
			return nil, err
		}
	}
}

// element makes the element that a tag byte begins.
func (d *decoder) element(b byte) (e *Element, content bool, err error) {
	if b&hasAttributes != 0 {
		return nil, false, syntax("token %#02x", b)
	}
	if d.elements++; d.elements > d.l.Elements {
		return nil, false, ErrLimit
	}
	token := b & tokenMask
	if token < firstToken {
		return nil, false, syntax("token %#02x", b)
	}
	return &Element{Tag: Tag(d.page)<<8 | Tag(token)}, b&hasContent != 0, nil
}

// content reads text or data of a leaf into it, or to where it spills.
func (d *decoder) content(in *Element, read func(io.Writer) error) error {
	if len(in.Children) > 0 {
		return syntax("%v has text among its elements", in.Tag)
	}
	if d.l.Spill != nil {
		if w := d.l.Spill(in.Tag); w != nil {
			in.Spilled = true
			return read(w)
		}
	}
	var b holder
	b.left = d.l.Held - d.held
	if err := read(&b); err != nil {
		return err
	}
	d.held += int64(len(b.b))
	in.Text += string(b.b)
	return nil
}

// inline copies a string up to the zero byte that ends it.
func (d *decoder) inline(w io.Writer) error {
	for {
		piece, err := d.r.ReadSlice(0)
		if err == nil {
			_, err = w.Write(piece[:len(piece)-1])
			return err
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
		if _, err := w.Write(piece); err != nil {
			return err
		}
	}
}

func (d *decoder) opaque(w io.Writer, n int64) error {
	_, err := io.CopyN(w, d.r, n)
	return err
}

// holder holds content in memory, up to a bound.
type holder struct {
	b    []byte
	left int64
}

// Write implements io.Writer.
func (h *holder) Write(p []byte) (int, error) {
	if h.left -= int64(len(p)); h.left < 0 {
		return 0, ErrLimit
	}
	h.b = append(h.b, p...)
	return len(p), nil
}

// counter reads so many bytes and then fails with ErrLimit.
type counter struct {
	r    io.Reader
	left int64
}

// Read implements io.Reader.
func (c *counter) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, ErrLimit
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}
