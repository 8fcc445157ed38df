package message

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"iter"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// Header is a header block in memory: at most its first MaxHeaderBytes.
type Header string

// Field is one header field. Raw is the field as it stands in the block, its
// line ends included; Offset is where in the block it begins.
type Field struct {
	Name   string // as it is spelled
	Raw    string
	Offset int
	body   string // behind the colon
}

// ReadHeader reads the header of p.
func ReadHeader(ra io.ReaderAt, p *Part) (Header, error) {
	buf := make([]byte, min(p.HeaderSize, MaxHeaderBytes))
	if _, err := io.ReadFull(io.NewSectionReader(ra, p.Offset, int64(len(buf))), buf); err != nil {
		return "", err
	}
	return Header(buf), nil
}

// Fields yields the fields in order. Lines that are no field are passed over.
func (h Header) Fields() iter.Seq[Field] {
	return func(yield func(Field) bool) {
		for at := 0; at < len(h); {
			end := fieldEnd(string(h), at)
			raw := string(h[at:end])
			if n := fieldName(raw); n > 0 {
				colon := strings.IndexByte(raw, ':')
				if !yield(Field{Name: raw[:n], Raw: raw, Offset: at, body: raw[colon+1:]}) {
					return
				}
			}
			at = end
		}
	}
}

// Get returns the unfolded value of the first field of that name.
func (h Header) Get(name string) (string, bool) {
	for f := range h.Fields() {
		if strings.EqualFold(f.Name, name) {
			return f.Value(), true
		}
	}
	return "", false
}

// Value is the field's body unfolded, without white space around it, as valid
// UTF-8. Encoded-words are as they came: see DecodeWords.
func (f Field) Value() string { return unfold(f.body) }

// fieldEnd returns where the field that begins at offset at ends: behind its
// last continuation line.
func fieldEnd(block string, at int) int {
	for at < len(block) {
		nl := strings.IndexByte(block[at:], '\n')
		if nl < 0 {
			return len(block)
		}
		at += nl + 1
		if at < len(block) && !isSpace(block[at]) {
			return at
		}
	}
	return len(block)
}

// fieldName returns the length of the field name line begins with, 0 if it is no
// field (RFC 5322 §2.2; white space before the colon is obsolete, §4.5).
func fieldName[T string | []byte](line T) int {
	n := 0
	for n < len(line) && line[n] > ' ' && line[n] < 0x7f && line[n] != ':' {
		n++
	}
	for i := n; i < len(line); i++ {
		switch {
		case line[i] == ':':
			return n
		case !isSpace(line[i]):
			return 0
		}
	}
	return 0
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

func isBlank(line []byte) bool {
	return len(line) == 1 && line[0] == '\n' || len(line) == 2 && line[0] == '\r' && line[1] == '\n'
}

// isMboxFrom reports whether line is the separator of an mbox, which some
// programs leave at the beginning of a message.
func isMboxFrom(line []byte) bool {
	return bytes.HasPrefix(line, []byte("From ")) || bytes.HasPrefix(line, []byte(">From "))
}

// unfold makes a value of a field's body. Usually that is a piece of it as it
// stands, and costs nothing.
func unfold(body string) string {
	body = strings.Trim(body, " \t\r\n")
	clean := true
	for i := range len(body) {
		if c := body[i]; c == '\r' || c == '\n' || c == 0 || c >= 0x80 {
			clean = false
			break
		}
	}
	if clean {
		return body
	}
	return headerUTF8(strings.Trim(dropControls(body), " \t"))
}

// dropControls takes away what may not be in a value.
func dropControls(s string) string {
	out := make([]byte, 0, len(s))
	for i := range len(s) {
		if c := s[i]; c != '\r' && c != '\n' && c != 0 {
			out = append(out, c)
		}
	}
	return string(out)
}

// headerUTF8 makes valid UTF-8 of the bytes of a header: they are UTF-8, or else
// what Windows programs wrote.
func headerUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	out, err := charmap.Windows1252.NewDecoder().String(s)
	if err != nil {
		return strings.ToValidUTF8(s, "\uFFFD")
	}
	return out
}

// SelectFields copies the fields for which want says true from a header block
// to dst, byte for byte, and then the blank line (RFC 9051 §6.4.5.1, HEADER.FIELDS
// and, with want turned round, HEADER.FIELDS.NOT). want gets the name as it is
// spelled; it streams, however long the block.
func SelectFields(dst io.Writer, header io.Reader, want func(name string) bool) error {
	in := bufio.NewReader(header)
	copying, whole := false, true
	for {
		line, err := in.ReadSlice('\n')
		if whole && isBlank(line) {
			_, err := dst.Write(line)
			return err
		}
		if whole && len(line) > 0 && !isSpace(line[0]) {
			n := fieldName(line)
			copying = n > 0 && want(string(line[:n]))
		}
		if copying {
			if _, err := dst.Write(line); err != nil {
				return err
			}
		}
		whole = err == nil
		switch {
		case err == nil, errors.Is(err, bufio.ErrBufferFull):
		case err == io.EOF:
			_, err := io.WriteString(dst, "\r\n")
			return err
		default:
			return err
		}
	}
}
