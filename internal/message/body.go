package message

import (
	"bufio"
	"bytes"
	"io"

	"lockstep/internal/mail"
)

// ErrUndecodable is what DecodeBodyStrict's reader fails with when a body is not
// what its encoding says, or the encoding is unknown: IMAP's UNKNOWN-CTE.
var ErrUndecodable = mail.Errorf(mail.Invalid, "the body cannot be decoded")

// isIdentity reports whether the encoding leaves bytes as they are.
func isIdentity(encoding string) bool {
	return encoding == "7bit" || encoding == "8bit" || encoding == "binary" || encoding == ""
}

// DecodeBody reads a body that is in the given Content-Transfer-Encoding, in lower
// case as Part has it. It makes the best of broken bodies and passes unknown
// encodings through; its only errors are r's.
func DecodeBody(r io.Reader, encoding string) io.Reader {
	switch encoding {
	case "base64":
		return &base64Reader{in: bufio.NewReader(r)}
	case "quoted-printable":
		return &quotedReader{in: bufio.NewReader(r)}
	}
	return r
}

// DecodeBodyStrict is DecodeBody for BINARY (RFC 9051 §6.4.5): it fails with
// ErrUndecodable where DecodeBody would guess.
func DecodeBodyStrict(r io.Reader, encoding string) io.Reader {
	switch encoding {
	case "base64":
		return &base64Reader{in: bufio.NewReader(r), strict: true}
	case "quoted-printable":
		return &quotedReader{in: bufio.NewReader(r), strict: true}
	}
	if isIdentity(encoding) {
		return r
	}
	return failingReader{}
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, ErrUndecodable }

// base64Reader decodes base64 (RFC 2045 §6.8). What is not of its alphabet is
// skipped; strict allows white space only. After padding a new beginning is
// taken up, since some programs put several encodings in a row.
type base64Reader struct {
	in     *bufio.Reader
	strict bool
	bits   uint32 // of the group in hand
	n      int    // characters in it
	padded bool
	tail   []byte // decoded, and no room for it yet
	spare  [3]byte
	err    error
}

const (
	base64Skip  = 0x80
	base64Space = 0x81
	base64Pad   = 0x82
)

var base64Values = func() (t [256]byte) {
	for i := range t {
		t[i] = base64Skip
	}
	for i, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") {
		t[c] = byte(i)
	}
	for _, c := range []byte(" \t\r\n") {
		t[c] = base64Space
	}
	t['='] = base64Pad
	return t
}()

func (d *base64Reader) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for {
		if len(d.tail) > 0 {
			n := copy(b, d.tail)
			d.tail = d.tail[n:]
			return n, nil
		}
		if d.err != nil {
			return 0, d.err
		}
		if len(b) < 3 {
			d.tail = d.spare[:d.decode(d.spare[:])]
		} else if n := d.decode(b); n > 0 {
			return n, nil
		}
	}
}

// decode decodes some of the input into b, which has room for three bytes.
func (d *base64Reader) decode(b []byte) (n int) {
	chunk, err := d.in.Peek(max(d.in.Buffered(), 1))
	if len(chunk) == 0 {
		return d.finish(b, err)
	}
	i := 0
	for ; i < len(chunk) && len(b)-n >= 3 && d.err == nil; i++ {
		v := base64Values[chunk[i]]
		switch {
		case v < base64Skip:
			n += d.character(b[n:], v)
		case v == base64Pad && d.n > 0:
			n += d.pad(b[n:])
		case d.strict && v != base64Space && !(v == base64Pad && d.padded):
			d.err = ErrUndecodable
		}
	}
	d.in.Discard(i)
	return n
}

// character takes one of the alphabet, and decodes the group it fills.
func (d *base64Reader) character(b []byte, v byte) int {
	if d.padded && d.strict {
		d.err = ErrUndecodable
		return 0
	}
	d.bits = d.bits<<6 | uint32(v)
	if d.n++; d.n < 4 {
		return 0
	}
	b[0], b[1], b[2] = byte(d.bits>>16), byte(d.bits>>8), byte(d.bits)
	d.n = 0
	return 3
}

func (d *base64Reader) pad(b []byte) int {
	if d.n == 1 && d.strict {
		d.err = ErrUndecodable
	}
	d.padded = true
	return d.flush(b)
}

// flush decodes a group that is not full.
func (d *base64Reader) flush(b []byte) int {
	n, bits := d.n-1, d.bits<<(6*(4-d.n))
	d.bits, d.n = 0, 0
	for i := range n {
		b[i] = byte(bits >> (16 - 8*i))
	}
	return max(n, 0)
}

func (d *base64Reader) finish(b []byte, err error) int {
	d.err = err
	switch {
	case d.n == 0:
		return 0
	case d.strict && err == io.EOF:
		d.err = ErrUndecodable
		return 0
	}
	return d.flush(b)
}

// quotedReader decodes quoted-printable (RFC 2045 §6.7). An equals sign that
// begins no escape stays as it is, unless strict. White space at the end of a
// line is not of the text: transports put it there.
type quotedReader struct {
	in     *bufio.Reader
	strict bool
	out    []byte // decoded, not yet read
	buf    []byte
	err    error
}

func (q *quotedReader) Read(b []byte) (int, error) {
	for len(q.out) == 0 {
		if q.err != nil {
			return 0, q.err
		}
		q.line()
	}
	n := copy(b, q.out)
	q.out = q.out[n:]
	return n, nil
}

// line decodes the next line, or as much of a long one as the buffer holds.
func (q *quotedReader) line() {
	line, err := q.in.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		line, err = q.wholeEscape(line), nil
	}
	q.err = err
	text, ending := trimLine(line)
	if ending == "" && err == nil {
		text = line // a piece of a long line
	}
	q.buf = q.buf[:0]
	for i := 0; i < len(text); i++ {
		if c := text[i]; c != '=' {
			q.buf = append(q.buf, c)
			continue
		}
		switch {
		case i+2 < len(text) && hexDigit(text[i+1]) >= 0 && hexDigit(text[i+2]) >= 0:
			q.buf = append(q.buf, byte(hexDigit(text[i+1])<<4|hexDigit(text[i+2])))
			i += 2
		case i+1 == len(text):
			ending = "" // a soft line break
		case q.strict:
			q.out, q.err = q.buf, ErrUndecodable
			return
		default:
			q.buf = append(q.buf, '=')
		}
	}
	q.buf = append(q.buf, ending...)
	q.out = q.buf
}

// wholeEscape adds to a piece of a long line what is missing of the escape that
// may be cut at its end.
func (q *quotedReader) wholeEscape(piece []byte) []byte {
	i := bytes.LastIndexByte(piece[len(piece)-2:], '=')
	if i < 0 {
		return piece
	}
	piece = bytes.Clone(piece)
	for range i + 1 {
		c, err := q.in.ReadByte()
		if err != nil {
			break // the next read finds it again
		}
		if piece = append(piece, c); c == '\n' {
			break
		}
	}
	return piece
}

// trimLine takes the line end and the white space before it off.
func trimLine(line []byte) (text []byte, ending string) {
	text = line
	if n := len(text); n > 0 && text[n-1] == '\n' {
		text, ending = text[:n-1], "\n"
		if n > 1 && text[n-2] == '\r' {
			text, ending = text[:n-2], "\r\n"
		}
	}
	for len(text) > 0 && isSpace(text[len(text)-1]) {
		text = text[:len(text)-1]
	}
	return text, ending
}
