package message

import (
	"bytes"
	"io"

	"golang.org/x/text/transform"
)

// A TextReader reads a text part as PartUTF8 does, and knows whether that took guessing.
type TextReader struct {
	in       io.Reader
	unknown  bool         // the encoding, or the charset
	lenient  *lenientUTF8 // one of these two
	replaced *replacedReader
}

// NewTextReader reads the text of a part.
func NewTextReader(ra io.ReaderAt, p *Part) *TextReader {
	t := &TextReader{unknown: !isIdentity(p.Encoding) && p.Encoding != "base64" && p.Encoding != "quoted-printable"}
	text, charset := partDecoded(p.Body(ra), p)
	if !isUnicode(charset) {
		if e := findCharset(charset); e != nil {
			t.replaced = &replacedReader{in: transform.NewReader(text, e.NewDecoder())}
			t.in = t.replaced
			return t
		}
		t.unknown = true
	}
	t.lenient = &lenientUTF8{}
	t.in = transform.NewReader(text, t.lenient)
	return t
}

// Read implements io.Reader.
func (t *TextReader) Read(b []byte) (int, error) { return t.in.Read(b) }

// Guessed reports whether what was read so far is a guess: its charset or encoding is
// not known, or it has bytes that the charset has not (RFC 8621 §4.1.4,
// isEncodingProblem).
func (t *TextReader) Guessed() bool {
	return t.unknown || t.lenient != nil && t.lenient.guessed || t.replaced != nil && t.replaced.found
}

// replacedReader looks for the character that stands for what could not be decoded.
type replacedReader struct {
	in    io.Reader
	found bool
	tail  [2]byte // the last bytes read
}

var replacement = []byte("\uFFFD")

// Read implements io.Reader.
func (r *replacedReader) Read(b []byte) (int, error) {
	n, err := r.in.Read(b)
	if r.found || n == 0 {
		return n, err
	}
	seam := append(r.tail[:len(r.tail):len(r.tail)], b[:min(n, len(r.tail))]...)
	r.found = bytes.Contains(seam, replacement) || bytes.Contains(b[:n], replacement)
	last := append(r.tail[:len(r.tail):len(r.tail)], b[max(0, n-len(r.tail)):n]...)
	copy(r.tail[:], last[len(last)-len(r.tail):])
	return n, err
}
