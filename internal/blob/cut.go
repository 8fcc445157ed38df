package blob

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"io"

	"lockstep/internal/mail"
)

// cutOut reads the range of c from r and stores it decoded, line by line, as
// long as encoding a line again gives the same bytes. From the first line that
// would not, the range goes on in the blob itself as it came.
func (p *putting) cutOut(r io.Reader, c Cut) error {
	part, err := newBuilder(&p.over)
	if err != nil {
		return err
	}
	in := bufio.NewReaderSize(io.LimitReader(r, c.Length), 16<<10)
	sum := sha256.New()
	text, err := p.decode(io.MultiWriter(part, sum), in, c)
	if err == nil && text.decoded > 0 {
		err = p.addPart(part, text, sum.Sum(nil))
	} else {
		part.close()
	}
	if err != nil {
		return err
	}
	_, err = p.copy(p.main, in, c.Length)
	return err
}

// decode writes the decoded lines to w and leaves in at the first byte that
// does not belong to them.
func (p *putting) decode(w io.Writer, in *bufio.Reader, c Cut) (encoding, error) {
	e := encoding{lineLen: c.LineLen, crlf: c.EOL == "\r\n"}
	var buf lineBuffer
	for n := 0; ; n++ {
		if n%1024 == 0 {
			if err := p.ctx.Err(); err != nil {
				return e, err
			}
		}
		line, err := in.Peek(int(e.lineSize()))
		if err != nil && err != io.EOF {
			return e, err
		}
		b, used, full := e.decodeLine(&buf, line)
		if len(b) == 0 {
			return e, nil
		}
		in.Discard(used)
		e.decoded += int64(len(b))
		e.ended = line[used-1] == '\n'
		if _, err := w.Write(b); err != nil || !full {
			return e, err
		}
	}
}

// A lineBuffer holds one line, decoded and encoded again.
type lineBuffer struct {
	plain [maxLine / 4 * 3]byte
	text  [maxLine]byte
}

// decodeLine decodes the line that b begins with, and says how many bytes it
// takes with its line end and whether another line may follow it. It returns
// nothing when the line would not come back as it is.
func (e encoding) decodeLine(buf *lineBuffer, b []byte) (decoded []byte, used int, full bool) {
	text, _, ended := bytes.Cut(b, []byte(e.eol()))
	used = len(text)
	if ended {
		used += len(e.eol())
	}
	if len(text) == 0 || len(text) > e.lineLen || len(text)%4 != 0 {
		return nil, 0, false
	}
	n, err := base64.StdEncoding.Decode(buf.plain[:], text)
	if err != nil || !bytes.Equal(base64.StdEncoding.AppendEncode(buf.text[:0], buf.plain[:n]), text) {
		return nil, 0, false
	}
	return buf.plain[:n], used, ended && int64(n) == e.lineBytes()
}

// addPart finishes a part and has the blob refer to it. The builder is kept to
// be written, or closed when the part is there already.
func (p *putting) addPart(part *builder, text encoding, sum []byte) error {
	name := p.s.keys.name(sum)
	if err := p.main.addPart(name, text); err != nil {
		part.close()
		return err
	}
	p.s.stats.puts.Add(1)
	known, err := p.knownPart(name)
	if known || err != nil {
		part.close()
		return err
	}
	p.cut = append(p.cut, part)
	return part.finish(p.s.keys, name, p.s.home.keyless())
}

func (p *putting) knownPart(name mail.BlobName) (bool, error) {
	for _, b := range p.cut {
		if b.header.name == name {
			return true, nil
		}
	}
	for _, b := range p.parts {
		if b.Name == name {
			return true, nil
		}
	}
	b, ok, err := p.find(name)
	if ok {
		p.s.stats.found.Add(1)
		p.parts = append(p.parts, b)
	}
	return ok, err
}
