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

// An AppendMessage is what comes before the bytes of one message.
type AppendMessage struct {
	Flags  []string  // as spelled
	Date   time.Time // zero when not given
	Size   int64     // of the message; 0 takes a MULTIAPPEND back (RFC 3502 §6.3.11)
	Binary bool      // literal8: may hold NUL (RFC 3516)
	UTF8   bool      // UTF8 (~{…}): has UTF-8 headers (RFC 6855 §4)

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

// head reads append-opts and the announcement of the literal.
func (a *Append) head() *AppendMessage {
	p := a.p
	m := &AppendMessage{p: p}
	p.sp()
	if p.peek() == '(' {
		m.Flags = p.flagList()
		p.sp()
	}
	if p.peek() == '"' {
		m.Date = p.dateTime()
		p.sp()
	}
	if p.peek() == 'U' || p.peek() == 'u' {
		if m.UTF8 = p.word() == "UTF8"; !m.UTF8 {
			p.expected("a message")
		}
		p.sp()
		p.expect('(', `"("`)
	}
	h := p.literalHead()
	if m.UTF8 && !h.binary {
		p.expected("a literal8")
	}
	m.Size, m.left, m.sync, m.Binary = h.size, h.size, h.sync, h.binary
	return m
}

// Read reads the message's bytes; the first call asks for them if the client
// waits to be asked. io.EOF comes after Size bytes and never before.
func (m *AppendMessage) Read(b []byte) (int, error) {
	if err := m.ask(); err != nil {
		return 0, err
	}
	if m.left == 0 {
		return 0, io.EOF
	}
	n, err := m.p.r.src.Read(b[:min(int64(len(b)), m.left)])
	m.left -= int64(n)
	if err != nil && (m.left > 0 || err != io.EOF) {
		err = unexpectedEOF(err)
		m.p.stop(err)
		return n, err
	}
	return n, nil
}

// ask lets a waiting client send the literal.
func (m *AppendMessage) ask() error {
	if m.p.stopped {
		return m.p.err
	}
	m.asked = true
	if m.sync {
		m.sync = false
		if err := m.p.r.Continue(); err != nil {
			m.p.stop(err)
			return err
		}
	}
	return nil
}

// endMessage reads what is left of the current message and the line behind it.
func (a *Append) endMessage() {
	m, p := a.current, a.p
	if m.ask() != nil {
		return
	}
	if _, err := io.Copy(io.Discard, m); err != nil {
		return
	}
	p.lineBytes = 0 // the bound is on each message's head
	p.readLine()
	if m.UTF8 {
		p.expect(')', `")"`)
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
	m := a.current
	switch {
	case m == nil: // passOver sees the first announcement, if it is there
	case m.sync:
		p.buf = p.buf[:0]
	default:
		if m.discard(); !p.stopped {
			p.readLine()
		}
	}
	p.fail(bad("Not all messages were read"))
}

// discard passes over the bytes that are left. They count against Limits.Skip
// only if the client sent them unasked.
func (m *AppendMessage) discard() {
	if m.asked {
		io.Copy(io.Discard, m) // an error has stopped the parser
		return
	}
	m.p.discard(m.left)
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
