package message

import (
	"bytes"
	"encoding/base64"
	"io"
)

// MinCut is the least base64 text that is worth storing decoded.
const MinCut = 64 << 10

// Cut is a range of a message that is base64 text in lines of one length, which
// encoding the decoded bytes again gives byte for byte. The last line may be
// shorter, and its line end is not of the cut.
type Cut struct {
	Offset  int64 // in the message
	Length  int64 // encoded
	Size    int64 // decoded
	LineLen int   // characters in a line
	CRLF    bool  // lines end with CRLF, else with LF
}

// maxCutLine bounds the lines of a cut (RFC 5322 §2.1.1).
const maxCutLine = 998

// cutBlockLines is how many lines are encoded at once: a multiple of four, so that
// groups of base64 end where blocks do, whatever the length of a line.
const cutBlockLines = 256

// Cuts returns the ranges of a message that can be stored decoded, in order: the
// large base64 leaves that are found to come out the same. Of a body that is so
// only at its beginning, as when a list has added a footer, that beginning is cut.
// The error is only ever ra's.
func Cuts(ra io.ReaderAt, m *Message) ([]Cut, error) {
	var cuts []Cut
	var err error
	m.Root.Walk(func(p *Part) bool {
		if err != nil || p.IsMultipart() || p.Message != nil || p.Encoding != "base64" || p.BodySize < MinCut {
			return err == nil
		}
		var c Cut
		if c, err = findCut(ra, p); err == nil && c.Length >= MinCut {
			cuts = append(cuts, c)
		}
		return true
	})
	return cuts, err
}

// findCut finds how far the body of p is what a Cut promises.
func findCut(ra io.ReaderAt, p *Part) (Cut, error) {
	c := Cut{Offset: p.BodyOffset}
	head := make([]byte, min(p.BodySize, maxCutLine+2))
	if err := readAt(ra, head, p.BodyOffset); err != nil || !c.setLine(head) {
		return c, err
	}
	block := make([]byte, c.encodedBlock())
	f := cutFinder{Cut: c}
	for {
		left := p.BodySize - f.Length
		block = block[:min(int64(len(block)), left)]
		if err := readAt(ra, block, f.Offset+f.Length); err != nil {
			return c, err
		}
		if !f.whole(block) {
			f.last(block)
			return f.Cut, nil
		}
	}
}

func readAt(ra io.ReaderAt, b []byte, offset int64) error {
	_, err := io.ReadFull(io.NewSectionReader(ra, offset, int64(len(b))), b)
	return err
}

// setLine learns the length and end of lines from the first one.
func (c *Cut) setLine(head []byte) bool {
	i := bytes.IndexByte(head, '\n')
	if i < 1 {
		return false
	}
	c.LineLen, c.CRLF = i, head[i-1] == '\r'
	if c.CRLF {
		c.LineLen--
	}
	return c.LineLen > 0
}

func (c *Cut) lineEnd() string {
	if c.CRLF {
		return "\r\n"
	}
	return "\n"
}

// encodedBlock and decodedBlock are the sizes of cutBlockLines lines.
func (c *Cut) encodedBlock() int { return cutBlockLines * (c.LineLen + len(c.lineEnd())) }
func (c *Cut) decodedBlock() int { return cutBlockLines / 4 * c.LineLen * 3 }

// cutFinder lengthens a Cut block by block.
type cutFinder struct {
	Cut
	text, decoded, again []byte
}

var strictBase64 = base64.StdEncoding.Strict()

// whole takes a block that is full lines, each with its end, and says whether it
// is.
func (f *cutFinder) whole(block []byte) bool {
	end := f.lineEnd()
	if len(block) < f.encodedBlock() || !bytes.HasSuffix(block, []byte(end)) {
		return false
	}
	f.text = f.text[:0]
	for rest := block; len(rest) > 0; rest = rest[f.LineLen+len(end):] {
		if string(rest[f.LineLen:f.LineLen+len(end)]) != end {
			return false
		}
		f.text = append(f.text, rest[:f.LineLen]...)
	}
	if f.text[len(f.text)-1] == '=' || !f.same() {
		return false
	}
	f.Length += int64(len(block))
	f.Size += int64(len(f.decoded))
	return true
}

// same decodes text and encodes it again, and says whether it came out the same.
func (f *cutFinder) same() bool {
	var err error
	if f.decoded, err = strictBase64.AppendDecode(f.decoded[:0], f.text); err != nil {
		return false
	}
	f.again = base64.StdEncoding.AppendEncode(f.again[:0], f.decoded)
	return bytes.Equal(f.again, f.text)
}

// last takes the front of the last block, as far as it is lines of base64, and
// takes back the line end if nothing follows it.
func (f *cutFinder) last(block []byte) {
	f.cutText(block)
	for len(f.text) > 0 && !f.same() {
		f.text = f.text[:len(f.text)-4] // its padding is odd: that stays outside
	}
	if len(f.text) == 0 {
		f.Length = max(f.Length-int64(len(f.lineEnd())), 0)
		return
	}
	breaks := (len(f.text) - 1) / f.LineLen
	f.Length += int64(len(f.text) + breaks*len(f.lineEnd()))
	f.Size += int64(len(f.decoded))
}

// cutText puts into text the whole groups that block begins with: full lines and
// then a piece of one, up to the padding.
func (f *cutFinder) cutText(block []byte) {
	f.text = f.text[:0]
	end := []byte(f.lineEnd())
	for {
		n := 0
		for n < f.LineLen && n < len(block) && isBase64(block[n]) {
			n++
		}
		f.text = append(f.text, block[:n]...)
		if n < f.LineLen || !bytes.HasPrefix(block[n:], end) {
			break
		}
		block = block[n+len(end):]
	}
	n := len(f.text)
	if pad := bytes.IndexByte(f.text, '='); pad >= 0 {
		n = min(n, pad+(4-pad%4)%4)
	}
	f.text = f.text[:n&^3]
}

func isBase64(c byte) bool { return base64Values[c] < base64Skip || c == '=' }
