package wbxml

import (
	"bufio"
	"io"
	"strings"
	"unicode/utf8"
)

// header is WBXML 1.3, an unknown public identifier, UTF-8 and no string table.
var header = []byte{0x03, 0x01, 0x6A, 0x00}

// Encode writes e as one document.
func Encode(w io.Writer, e *Element) error {
	x := &encoder{w: bufio.NewWriter(w)}
	_, _ = x.w.Write(header) // errors stay in the writer until Flush
	if err := x.element(e); err != nil {
		return err
	}
	return x.w.Flush()
}

type encoder struct {
	w    *bufio.Writer
	page byte
}

func (x *encoder) element(e *Element) error {
	if p := e.Tag.Page(); p != x.page {
		x.byte(switchPage)
		x.byte(p)
		x.page = p
	}
	text := e.Text
	if !e.Opaque {
		text = Clean(text)
	}
	if len(e.Children) == 0 && text == "" && e.From == nil {
		x.byte(e.Tag.Token())
		return nil
	}
	x.byte(e.Tag.Token() | hasContent)
	if err := x.content(e, text); err != nil {
		return err
	}
	x.byte(endTag)
	return nil
}

func (x *encoder) content(e *Element, text string) error {
	switch {
	case e.From != nil:
		x.byte(inlineStr)
		clean := &cleaner{w: x.w}
		if _, err := e.From.WriteTo(clean); err != nil {
			return err
		}
		clean.flush()
		x.byte(0)
	case e.Opaque:
		x.byte(opaqueData)
		x.number(uint32(len(text)))
		_, _ = x.w.WriteString(text)
	case text != "":
		x.byte(inlineStr)
		_, _ = x.w.WriteString(text)
		x.byte(0)
	default:
		for _, c := range e.Children {
			if err := x.element(c); err != nil {
				return err
			}
		}
	}
	return nil
}

func (x *encoder) byte(b byte) { _ = x.w.WriteByte(b) } // errors stay in the writer until Flush

// number writes an mb_u_int32.
func (x *encoder) number(n uint32) {
	var b [5]byte
	i := len(b) - 1
	b[i] = byte(n & 0x7F)
	for n >>= 7; n > 0; n >>= 7 {
		i--
		b[i] = byte(n&0x7F) | 0x80
	}
	_, _ = x.w.Write(b[i:])
}

// Clean leaves out of s what XML 1.0 forbids, and what is not UTF-8: WBXML carries
// most of it, but the clients' XML readers die of it, and a zero byte would end the
// string.
func Clean(s string) string {
	for i, r := range s {
		if forbidden(r) || r == utf8.RuneError {
			return s[:i] + strings.Map(func(r rune) rune {
				if forbidden(r) {
					return -1
				}
				return r
			}, strings.ToValidUTF8(s[i:], "\uFFFD"))
		}
	}
	return s
}

// forbidden says whether XML 1.0 §2.2 has no such character.
func forbidden(r rune) bool {
	return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF
}

// cleaner is Clean for what streams.
type cleaner struct {
	w    *bufio.Writer
	rest []byte // the beginning of a character
}

// Write implements io.Writer.
func (c *cleaner) Write(p []byte) (int, error) {
	b := p
	if len(c.rest) > 0 {
		b = append(c.rest, p...)
	}
	whole := len(b)
	for i := 1; i < utf8.UTFMax && i <= len(b); i++ {
		if utf8.RuneStart(b[len(b)-i]) {
			if !utf8.FullRune(b[len(b)-i:]) {
				whole = len(b) - i
			}
			break
		}
	}
	_, err := c.w.WriteString(Clean(string(b[:whole])))
	c.rest = append([]byte(nil), b[whole:]...)
	return len(p), err
}

func (c *cleaner) flush() {
	_, _ = c.w.WriteString(Clean(string(c.rest)))
	c.rest = nil
}
