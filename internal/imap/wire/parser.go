package wire

import (
	"bytes"
	"io"
	"math"
	"strings"
	"unicode/utf8"
)

// A parser reads one command. The first error sticks: after it every method
// finds the line at its end, so loops finish and callers look at err once.
type parser struct {
	r      *Reader
	limits Limits
	tag    string
	name   string // of the command, for the texts of errors

	buf  []byte // the current line; a literal is followed by another
	pos  int
	held *[]byte // what buf was taken from

	err       error
	stopped   bool // the source cannot be read on
	lineBytes int
	skipLeft  int64
	literals  int
}

func (p *parser) fail(err *Error) {
	if p.err == nil {
		p.err = err
	}
	p.pos = len(p.buf)
}

// stop is fail for what ends the connection.
func (p *parser) stop(err error) {
	p.err, p.stopped = err, true
	p.buf, p.pos = p.buf[:0], 0
}

func (p *parser) expected(what string) { p.fail(bad("Expected " + what)) }

func (p *parser) prefix() string {
	if p.name == "" {
		return ""
	}
	return p.name + ": "
}

func (p *parser) failed() bool { return p.err != nil }

func (p *parser) atEnd() bool { return p.pos >= len(p.buf) }

// peek returns the next byte, 0 at the end of the line.
func (p *parser) peek() byte {
	if p.atEnd() {
		return 0
	}
	return p.buf[p.pos]
}

// accept passes over c if it is next.
func (p *parser) accept(c byte) bool {
	if p.atEnd() || p.buf[p.pos] != c {
		return false
	}
	p.pos++
	return true
}

func (p *parser) expect(c byte, name string) {
	if !p.accept(c) && p.err == nil {
		p.expected(name)
	}
}

func (p *parser) sp() { p.expect(' ', "a space") }

// while passes over the bytes that ok accepts.
func (p *parser) while(ok func(byte) bool) []byte {
	start := p.pos
	for p.pos < len(p.buf) && ok(p.buf[p.pos]) {
		p.pos++
	}
	return p.buf[start:p.pos]
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// isAtomChar is ATOM-CHAR of RFC 9051 §9.
func isAtomChar(c byte) bool {
	return c > ' ' && c < 0x7f && strings.IndexByte(`(){%*"\]`, c) < 0
}

func isAStringChar(c byte) bool { return c == ']' || isAtomChar(c) }
func isTagChar(c byte) bool     { return c != '+' && isAStringChar(c) }
func isListChar(c byte) bool    { return c == '%' || c == '*' || isAStringChar(c) }

// isWordChar is what names of commands, items and options are made of.
func isWordChar(c byte) bool {
	return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || isDigit(c) || c == '.' || c == '-' || c == '_' || c == '='
}

// word reads a name of the grammar in capitals; "" if there is none.
func (p *parser) word() string {
	return internWord(p.while(isWordChar))
}

func (p *parser) atom(what string) string {
	b := p.while(isAtomChar)
	if len(b) == 0 {
		p.expected(what)
	}
	return string(b)
}

// list reads "(" and members separated by spaces up to ")".
func (p *parser) list(member func()) {
	p.expect('(', "a list")
	if p.accept(')') {
		return
	}
	for n := 1; !p.failed(); n++ {
		if n > p.limits.Items {
			p.fail(badCode("TOOBIG", "Too many items in a list"))
			return
		}
		member()
		if p.accept(')') {
			return
		}
		p.expect(' ', `a space or ")"`)
	}
}

// parseNumber reads decimal digits; past 63 bits it returns the largest number
// and false.
func parseNumber(b []byte) (int64, bool) {
	if len(b) == 0 {
		return 0, false
	}
	var n int64
	for _, c := range b {
		d := int64(c - '0')
		if n > (math.MaxInt64-d)/10 {
			return math.MaxInt64, false
		}
		n = n*10 + d
	}
	return n, true
}

// number64 is number64 of RFC 9051 and mod-sequence-valzer of RFC 7162.
func (p *parser) number64() int64 {
	n, ok := parseNumber(p.while(isDigit))
	if !ok {
		p.expected("a number")
	}
	return n
}

// number is a number of 32 bits.
func (p *parser) number() uint32 {
	n := p.number64()
	if n > math.MaxUint32 {
		p.fail(bad("Number too large"))
		return 0
	}
	return uint32(n)
}

// nzNumber is nz-number: it does not begin with 0.
func (p *parser) nzNumber() uint32 {
	zero := p.peek() == '0'
	n := p.number()
	if zero && p.err == nil {
		p.expected("a number above zero")
	}
	return n
}

// astring reads an atom, a quoted string or a literal of UTF-8.
func (p *parser) astring(what string) string {
	s := p.bytes(what)
	if !utf8.ValidString(s) {
		p.fail(bad("String is not UTF-8"))
		return ""
	}
	return s
}

// bytes is astring in whatever charset.
func (p *parser) bytes(what string) string {
	if p.atString() {
		return p.stringBytes(what)
	}
	b := p.while(isAStringChar)
	if len(b) == 0 {
		p.expected(what)
	}
	return string(b)
}

// quotedOrLiteral reads string of RFC 9051 §9.
func (p *parser) quotedOrLiteral(what string) string {
	s := p.stringBytes(what)
	if !utf8.ValidString(s) {
		p.fail(bad("String is not UTF-8"))
		return ""
	}
	return s
}

func (p *parser) atString() bool {
	c := p.peek()
	return c == '"' || c == '{'
}

func (p *parser) stringBytes(what string) string {
	switch {
	case p.peek() == '"':
		return p.quoted()
	case p.atString():
		return p.literal()
	}
	p.expected(what)
	return ""
}

// acceptNIL passes over NIL.
func (p *parser) acceptNIL() bool {
	end := p.pos + 3
	if end > len(p.buf) || !strings.EqualFold(string(p.buf[p.pos:end]), "NIL") {
		return false
	}
	if end < len(p.buf) && isAStringChar(p.buf[end]) {
		return false
	}
	p.pos = end
	return true
}

// nstring reads a string or NIL.
func (p *parser) nstring(what string) *string {
	if p.acceptNIL() {
		return nil
	}
	s := p.quotedOrLiteral(what)
	return &s
}

func (p *parser) quoted() string {
	p.pos++
	rest := p.buf[p.pos:]
	for i, c := range rest {
		switch c {
		case '"':
			p.pos += i + 1
			return string(rest[:i])
		case '\\', 0, '\r':
			return p.quotedSlow()
		}
	}
	p.fail(bad("Quoted string without an end"))
	return ""
}

// quotedSlow reads a quoted string that has escapes.
func (p *parser) quotedSlow() string {
	var s []byte
	for !p.atEnd() {
		c := p.buf[p.pos]
		p.pos++
		switch c {
		case '"':
			return string(s)
		case 0, '\r':
			p.fail(bad("Control character in a quoted string"))
			return ""
		case '\\':
			c = p.peek()
			p.pos++
			if c != '"' && c != '\\' {
				p.fail(bad("Only quotes and backslashes can be escaped"))
				return ""
			}
		}
		s = append(s, c)
	}
	p.fail(bad("Quoted string without an end"))
	return ""
}

// A literalHead is what announces a literal: {12}, {12+}, ~{12}, ~{12+}.
type literalHead struct {
	size   int64
	sync   bool
	binary bool // literal8 (RFC 3516): may hold NUL
}

func (p *parser) literalHead() (h literalHead) {
	h.binary = p.accept('~')
	p.expect('{', "a literal")
	h.size = p.number64()
	h.sync = !p.accept('+')
	p.expect('}', `"}"`)
	if !p.atEnd() {
		p.expected("the end of the line after a literal's size")
	}
	if most := p.limits.NonSync; !h.sync && most > 0 && h.size > most {
		p.fail(badCode("TOOBIG", "Non-synchronising literal too large"))
	}
	return h
}

// literal reads a literal of text into memory, and the line that follows it.
func (p *parser) literal() string {
	b, _ := p.readLiteral(badCode("TOOBIG", "Literal too large"))
	if bytes.IndexByte(b, 0) >= 0 {
		p.fail(bad("NUL in a literal"))
	}
	return string(b)
}

// readLiteral reads a literal into memory, and the line that follows it. tooBig is
// said of one past the limit.
func (p *parser) readLiteral(tooBig *Error) ([]byte, literalHead) {
	h := p.literalHead()
	if p.failed() {
		return nil, h
	}
	if p.literals++; p.literals > p.limits.Literals {
		p.fail(badCode("TOOBIG", "Too many literals"))
		return nil, h
	}
	if h.size > p.limits.Literal {
		p.fail(tooBig)
		return nil, h
	}
	if !p.proceed(h) {
		return nil, h
	}
	b := make([]byte, h.size)
	if _, err := io.ReadFull(p.r.src, b); err != nil {
		p.stop(unexpectedEOF(err))
		return nil, h
	}
	p.readLine()
	return b, h
}

// proceed asks the client for a synchronising literal.
func (p *parser) proceed(h literalHead) bool {
	if !h.sync {
		return true
	}
	if err := p.r.Continue(); err != nil {
		p.stop(err)
		return false
	}
	return true
}

// base64 reads the initial response of AUTHENTICATE and the like; "=" stands for
// no bytes (RFC 4959 §3).
func (p *parser) base64() []byte {
	text := string(p.while(isSASLChar))
	if text == "=" {
		return []byte{}
	}
	b, err := decodeSASL(text)
	if err != nil || text == "" {
		p.expected("base64")
	}
	return b
}

func isSASLChar(c byte) bool { return c > ' ' && c < 0x7f }
