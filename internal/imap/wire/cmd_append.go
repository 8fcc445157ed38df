package wire

import (
	"errors"
	"io"
	"time"
)

// Append is APPEND with one message or several (RFC 9051 §6.3.12, RFC 3502).
// Its messages are read with Next while the session stores them, and Close
// ends it; ReadCommand does so if the session has not. An error of either
// answers the command as one of ReadCommand does.
type Append struct {
	Mailbox string
	p       *parser
	one     bool // of a REPLACE
	current *AppendMessage
	err     error // of Next, when it has come to an end
}

// Replace is REPLACE and UID REPLACE (RFC 8508 §3): an APPEND of one message that
// takes the place of another.
type Replace struct {
	UID    bool
	Number uint32 // sequence number or UID; Star is the last message
	Append
}

// An AppendMessage is what comes before the bytes of one message. With Catenate
// there are no bytes of its own: NextPart gives what it is put together from.
type AppendMessage struct {
	Flags      []string          // as spelled
	Date       time.Time         // zero when not given
	Size       int64             // of the message; 0 takes a MULTIAPPEND back (RFC 3502 §6.3.11)
	Binary     bool              // literal8: may hold NUL (RFC 3516)
	UTF8       bool              // UTF8 (~{…}): has UTF-8 headers (RFC 6855 §4)
	Catenate   bool              // Size, Binary and UTF8 belong to the parts (RFC 4469)
	Annotation []EntryAttributes // RFC 5257 §4.7; nil when not given

	text
	parts int      // of a CATENATE, begun
	part  *CatPart // the one that is read
	ended bool     // no part is left
}

// A CatPart is one part of a CATENATE (RFC 4469 §5, RFC 6855 §4).
type CatPart struct {
	URL    string // of a piece that is on the server; "" for a text, whose bytes follow
	Size   int64  // of a text
	Binary bool   // as of a message
	UTF8   bool   // as of a message

	text
}

// text is a literal that is read while the session stores it.
type text struct {
	p     *parser
	sync  bool  // the client waits to be asked
	asked bool  // the session wants it
	left  int64 // bytes not read yet
}

func parseAppend(p *parser) Body {
	a := &Append{Mailbox: p.spMailbox(), p: p}
	if !p.failed() {
		p.r.pending = a
	}
	return a
}

func parseReplace(p *parser) Body    { return p.replace(&Replace{}) }
func parseUIDReplace(p *parser) Body { return p.replace(&Replace{UID: true}) }

func (p *parser) replace(c *Replace) Body {
	p.sp()
	c.Number = p.seqNumber()
	c.Append = Append{Mailbox: p.spMailbox(), p: p, one: true}
	if !p.failed() {
		p.r.pending = &c.Append
	}
	return c
}

// Next returns the next message's head, or io.EOF after the last. Nothing was
// asked of the client yet: judge the size, then Read. What is left of the
// message before is passed over.
func (a *Append) Next() (*AppendMessage, error) {
	if a.err != nil {
		return nil, a.err
	}
	first := a.current == nil
	if !first {
		a.endMessage()
	}
	if !a.p.failed() && !first && (a.one || a.p.atEnd()) {
		return nil, a.end(io.EOF)
	}
	m := a.head()
	if a.p.failed() {
		return nil, a.end(nil)
	}
	a.current = m
	return m, nil
}

// head reads append-opts and the announcement of the literal, or "CATENATE (".
func (a *Append) head() *AppendMessage {
	p := a.p
	m := &AppendMessage{}
	m.p = p
	p.sp()
	if p.peek() == '(' {
		m.Flags = p.flagList()
		p.sp()
	}
	if p.peek() == '"' {
		m.Date = p.dateTime()
		p.sp()
	}
	if c := p.peek(); c == 'A' || c == 'a' {
		if p.word() != "ANNOTATION" {
			p.expected("a message")
		}
		p.sp()
		m.Annotation = p.annotation()
		p.sp()
	}
	if c := p.peek(); c == 'C' || c == 'c' {
		if m.Catenate = p.word() == "CATENATE"; !m.Catenate {
			p.expected("a message")
		}
		p.sp()
		p.expect('(', `"("`)
		return m
	}
	if c := p.peek(); c == 'U' || c == 'u' {
		if m.UTF8 = p.word() == "UTF8"; !m.UTF8 {
			p.expected("a message")
		}
	}
	m.Size, m.Binary = m.announced(m.UTF8)
	return m
}

// announced reads the announcement of a literal, of one in utf8-literal behind its
// name.
func (t *text) announced(utf8 bool) (size int64, binary bool) {
	p := t.p
	if utf8 {
		p.sp()
		p.expect('(', `"("`)
	}
	h := p.literalHead()
	if utf8 && !h.binary {
		p.expected("a literal8")
	}
	t.left, t.sync = h.size, h.sync
	return h.size, h.binary
}

// NextPart returns the next part of a CATENATE, or io.EOF after the last. Nothing
// was asked of the client yet; what is left of the part before is passed over.
func (m *AppendMessage) NextPart() (*CatPart, error) {
	p := m.p
	if m.part != nil && m.part.URL == "" {
		m.part.end(m.part.UTF8)
	}
	m.part = nil
	switch {
	case p.failed():
		return nil, p.err
	case m.ended:
		return nil, io.EOF
	case m.parts > 0 && p.accept(')'):
		m.ended = true
		return nil, io.EOF
	case m.parts > 0:
		p.sp()
	}
	m.parts++
	p.bound(m.parts)
	c := m.catPart()
	if p.failed() {
		return nil, p.err
	}
	m.part = c
	return c, nil
}

func (m *AppendMessage) catPart() *CatPart {
	p := m.p
	c := &CatPart{}
	c.p = p
	switch p.word() {
	case "URL":
		p.sp()
		if c.URL = p.astring("a URL"); c.URL == "" {
			p.expected("a URL")
		}
		return c
	case "TEXT":
		p.sp()
	case "UTF8":
		c.UTF8 = true
	default:
		p.expected("URL, TEXT or UTF8")
	}
	c.Size, c.Binary = c.announced(c.UTF8)
	return c
}

// Read reads the text's bytes; the first call asks for them if the client waits to
// be asked. io.EOF comes after Size bytes and never before.
func (t *text) Read(b []byte) (int, error) {
	if err := t.ask(); err != nil {
		return 0, err
	}
	if t.left == 0 {
		return 0, io.EOF
	}
	n, err := t.p.r.src.Read(b[:min(int64(len(b)), t.left)])
	t.left -= int64(n)
	if err != nil && (t.left > 0 || err != io.EOF) {
		err = unexpectedEOF(err)
		t.p.stop(err)
		return n, err
	}
	return n, nil
}

// ask lets a waiting client send the literal.
func (t *text) ask() error {
	if t.p.stopped {
		return t.p.err
	}
	t.asked = true
	if t.sync {
		t.sync = false
		if err := t.p.r.Continue(); err != nil {
			t.p.stop(err)
			return err
		}
	}
	return nil
}

// end reads what is left of the literal and the line behind it.
func (t *text) end(utf8 bool) {
	p := t.p
	if t.ask() != nil {
		return
	}
	if _, err := io.Copy(io.Discard, t); err != nil {
		return
	}
	p.lineBytes = 0 // the bound is on the head of each message and part
	p.readLine()
	if utf8 {
		p.expect(')', `")"`)
	}
}

// endMessage reads what is left of the current message and the line behind it.
func (a *Append) endMessage() {
	m := a.current
	if !m.Catenate {
		m.end(m.UTF8)
		return
	}
	for err := error(nil); err == nil; {
		_, err = m.NextPart()
	}
}

// Close passes over what was not read, so that the next command can be. The
// client is not asked for more messages. Close fails only if the connection has
// to end: with an *Error of BYE or with the source's error.
func (a *Append) Close() error {
	if a.err == nil {
		a.abandon()
		a.end(nil)
	}
	if e := (*Error)(nil); a.err == io.EOF || errors.As(a.err, &e) && e.Status != "BYE" {
		return nil
	}
	return a.err
}

// abandon leaves the command in its middle.
func (a *Append) abandon() {
	p := a.p
	t := a.underWay()
	switch {
	case t == nil: // passOver sees the next announcement, if it is there
	case t.sync:
		p.buf = p.buf[:0]
	default:
		if t.discard(); !p.stopped {
			p.readLine()
		}
	}
	p.fail(bad("Not all messages were read"))
}

// underWay is the literal that was announced last, nil if its line is behind us.
func (a *Append) underWay() *text {
	m := a.current
	switch {
	case m == nil, m.Catenate && (m.part == nil || m.part.URL != ""):
		return nil
	case m.Catenate:
		return &m.part.text
	}
	return &m.text
}

// discard passes over the bytes that are left. They count against Limits.Skip
// only if the client sent them unasked.
func (t *text) discard() {
	if t.asked {
		io.Copy(io.Discard, t) // an error has stopped the parser
		return
	}
	t.p.discard(t.left)
}

// end finishes the command with its own error or, when there is none, done.
func (a *Append) end(done error) error {
	a.p.r.pending = nil
	a.err = a.p.finish()
	if a.err == nil {
		a.err = done
	}
	return a.err
}

func (*Append) Name() string    { return "APPEND" }
func (c *Replace) Name() string { return uidName(c.UID, "REPLACE", "UID REPLACE") }

func (c *Append) appendTo(b []byte) []byte { return appendSpMailbox(b, c.Mailbox) }

func (c *Replace) appendTo(b []byte) []byte {
	return c.Append.appendTo(appendSeqNumber(append(b, ' '), c.Number))
}
