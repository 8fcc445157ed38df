package blob

import (
	"encoding/base64"
	"io"

	"lockstep/internal/mail"
)

// A Cut is a range of the plain bytes that is base64 in lines of one length, to
// be stored decoded as a blob of its own. It is a proposal: as much of the
// range as encoding would give back byte for byte is stored decoded, the rest
// as it came.
type Cut struct {
	Offset, Length int64
	LineLen        int    // characters in each line but the last: a multiple of 4, at most 996
	EOL            string // "\r\n" or "\n"
}

// maxLine is the longest line of a cut: RFC 5322 §2.1.1 allows 998 characters.
const maxLine = 996

func validLine(n int) bool { return n >= 4 && n <= maxLine && n%4 == 0 }

// checkCuts wants cuts in order that do not overlap.
func checkCuts(cuts []Cut) error {
	var end int64
	for _, c := range cuts {
		if c.Offset < end || c.Length < 0 || c.Offset+c.Length < c.Offset || !validLine(c.LineLen) || c.EOL != "\r\n" && c.EOL != "\n" {
			return mail.Errorf(mail.Invalid, "cut of %d bytes at %d makes no sense", c.Length, c.Offset)
		}
		end = c.Offset + c.Length
	}
	return nil
}

// An encoding says how a part's bytes are written as base64.
type encoding struct {
	decoded int64 // bytes of the part
	lineLen int
	crlf    bool
	ended   bool // the last line has its line end
}

func (e encoding) eol() string {
	if e.crlf {
		return "\r\n"
	}
	return "\n"
}

// lineBytes is how many decoded bytes a full line holds, lineSize how many
// bytes it takes with its line end.
func (e encoding) lineBytes() int64 { return int64(e.lineLen / 4 * 3) }
func (e encoding) lineSize() int64  { return int64(e.lineLen + len(e.eol())) }

func (e encoding) encodedSize() int64 {
	full, rest := e.decoded/e.lineBytes(), e.decoded%e.lineBytes()
	size := full * e.lineSize()
	if rest > 0 {
		size += (rest+2)/3*4 + int64(len(e.eol()))
	}
	if !e.ended {
		size -= int64(len(e.eol()))
	}
	return size
}

// readAt fills p with encoded bytes from off on; part holds the decoded ones.
// The range lies within the encoding.
func (e encoding) readAt(p []byte, off int64, part io.ReaderAt) error {
	buf := frames.get()
	defer frames.put(buf)
	lines := int64(len(buf)) / 2 / e.lineSize() // the half for decoded bytes, the half for encoded
	for len(p) > 0 {
		first := off / e.lineSize()
		need := (off+int64(len(p))-1)/e.lineSize() - first + 1
		plain := buf[:min(min(lines, need)*e.lineBytes(), e.decoded-first*e.lineBytes())]
		if _, err := readFullAt(part, plain, first*e.lineBytes()); err != nil {
			return err
		}
		text := e.appendLines(buf[len(buf)/2:len(buf)/2], plain)
		n := copy(p, text[off-first*e.lineSize():])
		p, off = p[n:], off+int64(n)
	}
	return nil
}

// appendLines appends each line of plain with a line end.
func (e encoding) appendLines(b, plain []byte) []byte {
	for len(plain) > 0 {
		n := min(len(plain), int(e.lineBytes()))
		b = base64.StdEncoding.AppendEncode(b, plain[:n])
		b = append(b, e.eol()...)
		plain = plain[n:]
	}
	return b
}

// readFullAt reads all of p, and takes an end of file that comes with it for
// success.
func readFullAt(r io.ReaderAt, p []byte, off int64) (int, error) {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return n, nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
