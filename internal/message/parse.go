package message

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
)

// Parse reads one whole message. The error is only ever r's: bad mail has a
// structure too. Memory is bounded, see doc.go.
func Parse(r io.Reader) (*Message, error) {
	p := parsers.Get().(*parser)
	defer p.release()
	p.in.Reset(r)
	p.m = new(Message)
	if err := p.run(); err != nil {
		return nil, err
	}
	p.finishMessage()
	return p.m, nil
}

// parser goes through a message line by line. The parts that hold the current
// line are open, outermost first.
type parser struct {
	in     *bufio.Reader
	m      *Message
	open   []frame
	header []byte // the block being read, at most MaxHeaderBytes of it

	inHeader bool
	inField  bool  // a continuation line may follow
	opaque   bool  // a bound was reached: the open leaf holds the rest
	pos      int64 // of the line or fragment in hand
	lines    int64 // line ends before pos
	eol      int64 // length of the line end just before pos
	cr       bool  // the byte before pos is CR
	parts    int
	kept     int // bytes of header blocks

	preview preview
}

// frame is an open part.
type frame struct {
	part     *Part
	envelope *Envelope // to fill, if the part is the root of a message
	boundary string    // of a multipart, until it is closed
	lines    int64     // line ends before the body
}

var parsers = sync.Pool{New: func() any {
	return &parser{in: bufio.NewReaderSize(nil, 32<<10)}
}}

func (p *parser) release() {
	p.in.Reset(nil)
	clear(p.open[:cap(p.open)])
	*p = parser{in: p.in, open: p.open[:0], header: p.header[:0], preview: preview{buf: p.preview.buf[:0]}}
	parsers.Put(p)
}

func (p *parser) run() error {
	p.m.Root = new(Part)
	p.push(frame{part: p.m.Root, envelope: &p.m.Envelope})
	whole := true // the fragment begins a line
	for {
		line, err := p.in.ReadSlice('\n')
		if len(line) > 0 {
			p.fragment(line, whole)
			p.advance(line)
		}
		switch {
		case err == nil:
			whole = true
		case errors.Is(err, bufio.ErrBufferFull):
			whole = false
		case err == io.EOF:
			p.closeAbove(-1, p.pos)
			return nil
		default:
			return err
		}
	}
}

// push opens a part at its header.
func (p *parser) push(f frame) {
	p.parts++
	p.open = append(p.open, f)
	p.inHeader, p.inField = true, false
}

func (p *parser) top() *frame { return &p.open[len(p.open)-1] }

// fragment takes a line, or a piece of one too long for the buffer; start says
// whether it is the first piece.
func (p *parser) fragment(line []byte, start bool) {
	switch {
	case start && line[0] == '-' && p.delimiter(line):
	case p.inHeader:
		p.headerLine(line, start)
	default:
		p.preview.add(line)
	}
}

func (p *parser) advance(line []byte) {
	n := len(line)
	crBefore := p.cr
	if n > 1 {
		crBefore = line[n-2] == '\r'
	}
	p.pos += int64(n)
	p.eol, p.cr = 0, line[n-1] == '\r'
	if line[n-1] == '\n' {
		p.lines++
		p.eol = 1
		if crBefore {
			p.eol = 2
		}
	}
}

// delimiter looks whether line is a delimiter of an open multipart (RFC 2046
// §5.1.1), and if so ends and begins parts. The whole line has to match, but for
// white space at its end: one boundary may begin with another.
func (p *parser) delimiter(line []byte) bool {
	if len(line) < 3 || line[1] != '-' || len(line) > maxBoundaryLine || p.opaque {
		return false
	}
	text := bytes.TrimRight(line[2:], " \t\r\n")
	if i := p.findBoundary(text); i >= 0 {
		p.closeAbove(i, p.pos-p.eol)
		p.beginChild(p.open[i].part, p.pos+int64(len(line)))
		return true
	}
	text, closing := bytes.CutSuffix(text, []byte("--"))
	if !closing {
		return false
	}
	i := p.findBoundary(text)
	if i < 0 {
		return false
	}
	p.closeAbove(i, p.pos-p.eol)
	p.open[i].boundary = "" // what follows is its epilogue
	return true
}

// findBoundary returns the innermost open part with the boundary, or -1.
func (p *parser) findBoundary(text []byte) int {
	if len(text) == 0 {
		return -1
	}
	for i := len(p.open) - 1; i >= 0; i-- {
		if p.open[i].boundary == string(text) {
			return i
		}
	}
	return -1
}

// beginChild opens the next part of a multipart at offset. Past a bound it is
// the last.
func (p *parser) beginChild(parent *Part, offset int64) {
	child := &Part{Offset: offset}
	parent.Parts = append(parent.Parts, child)
	p.push(frame{part: child})
	if p.parts < MaxParts && p.kept < MaxStructureBytes {
		return
	}
	p.opaque, p.inHeader = true, false
	child.BodyOffset = offset
	child.makeOpaque()
	child.Encoding = "8bit"
	p.top().lines = p.lines + 1 // those of the delimiter, which is not yet counted
}

// closeAbove ends every open part above index i, the innermost first, at end. A
// blank line that ends a header may be the line end before a delimiter too: then
// the body is empty, and the parts around it reach as far as that header.
func (p *parser) closeAbove(i int, end int64) {
	for p.inHeader {
		p.endHeader(p.pos)
	}
	for j := len(p.open) - 1; j > i; j-- {
		end = max(end, p.open[j].part.BodyOffset)
		p.finish(&p.open[j], end)
	}
	p.open = p.open[:i+1]
}

func (p *parser) finish(f *frame, end int64) {
	part := f.part
	part.BodySize = end - part.BodyOffset
	part.Lines = p.lines - f.lines
	if end < p.pos {
		part.Lines-- // the line end of the delimiter
	}
	part.Lines = max(part.Lines, 0)
	if part.Type == "multipart" && !part.IsMultipart() {
		part.makePlain()
	}
	p.preview.end(part)
}

// headerLine takes a line of a header, or finds that the header is over.
func (p *parser) headerLine(line []byte, start bool) {
	switch {
	case !start, p.inField && isSpace(line[0]), p.beginsField(line):
		p.inField = true
		p.keep(line)
	case isBlank(line):
		p.endHeader(p.pos + int64(len(line)))
	default:
		p.endHeader(p.pos)
		p.fragment(line, true)
	}
}

func (p *parser) beginsField(line []byte) bool {
	return fieldName(line) > 0 || p.pos == 0 && isMboxFrom(line)
}

func (p *parser) keep(line []byte) {
	room := MaxHeaderBytes - len(p.header)
	p.header = append(p.header, line[:min(room, len(line))]...)
}

// endHeader reads the header block of the innermost part, whose body begins at
// end, and opens what its type says is inside.
func (p *parser) endHeader(end int64) {
	f := p.top()
	part := f.part
	part.HeaderSize, part.BodyOffset = end-part.Offset, end
	f.lines = p.lines
	if end > p.pos {
		f.lines++ // the blank line in hand
	}
	part.readFields(string(p.header), f.envelope, p.inDigest())
	if f.envelope == &p.m.Envelope {
		p.m.readThreading(string(p.header))
	}
	p.kept += len(p.header)
	p.header, p.inHeader = p.header[:0], false
	p.enter(f)
}

// inDigest reports whether the innermost part is a child of a multipart/digest,
// where message/rfc822 is the default (RFC 2046 §5.1.5).
func (p *parser) inDigest() bool {
	n := len(p.open)
	return n > 1 && p.open[n-2].part.Is("multipart", "digest")
}

func (p *parser) enter(f *frame) {
	part := f.part
	deep := len(p.open) >= MaxDepth
	switch {
	case part.Type == "multipart" && deep:
		part.makeOpaque()
	case part.Type == "multipart":
		f.boundary = strings.TrimRight(part.Param("boundary"), " \t")
	case part.isMessage() && (deep || p.parts+1 >= MaxParts || !isIdentity(part.Encoding)):
		part.makeOpaque()
	case part.isMessage():
		part.Message = &Embedded{Root: &Part{Offset: part.BodyOffset}}
		p.push(frame{part: part.Message.Root, envelope: &part.Message.Envelope})
	case !p.embedded():
		p.preview.begin(part)
	}
}

// embedded reports whether the innermost part is inside an embedded message.
func (p *parser) embedded() bool {
	for i := range p.open {
		if p.open[i].part.Message != nil {
			return true
		}
	}
	return false
}

func (p *parser) finishMessage() {
	m := p.m
	m.Size = p.pos
	m.Preview = p.preview.text
	m.BaseSubject, m.IsReply = BaseSubject(DecodeWords(m.Envelope.Subject))
	m.HasAttachment = m.Root.hasAttachment(nil)
}
