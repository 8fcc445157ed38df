package wire

import (
	"bytes"
	"strconv"
	"strings"
)

// GetMetadata is GETMETADATA (RFC 5464 §4.2).
type GetMetadata struct {
	Mailbox string // "" is the server
	Entries []string
	MaxSize *uint32 // nil when not given
	Depth   Depth
}

// Depth says how far below an entry GETMETADATA looks (RFC 5464 §4.2.2).
type Depth string

// The depths.
const (
	DepthZero     Depth = "0"
	DepthOne      Depth = "1"
	DepthInfinity Depth = "INFINITY"
)

// SetMetadata is SETMETADATA (RFC 5464 §4.3).
type SetMetadata struct {
	Mailbox string // "" is the server
	Entries []MetadataValue
}

// MetadataValue is an entry and what it becomes; nil removes it.
type MetadataValue struct {
	Entry string
	Value []byte
}

// parseGetMetadata takes the options before the mailbox, as the syntax of RFC 5464
// §5 has them, and behind it, as its examples do. Those also name entries without
// a parenthesis.
func parseGetMetadata(p *parser) Body {
	g := &GetMetadata{Depth: DepthZero}
	p.sp()
	given := p.peek() == '('
	if given {
		p.metadataOptions(g)
		p.sp()
	}
	g.Mailbox = p.mailbox()
	p.sp()
	if !given && p.peek() == '(' && p.pos+1 < len(p.buf) && isLetter(p.buf[p.pos+1]) {
		p.metadataOptions(g)
		p.sp()
	}
	g.Entries = p.metadataEntries()
	for p.accept(' ') {
		g.Entries = append(g.Entries, p.metadataEntries()...)
		if len(g.Entries) > p.limits.Items {
			p.fail(badCode("TOOBIG", "Too many entries"))
		}
	}
	return g
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func (p *parser) metadataOptions(g *GetMetadata) {
	p.list(func() {
		switch p.word() {
		case "MAXSIZE":
			p.sp()
			n := p.number()
			g.MaxSize = &n
		case "DEPTH":
			p.sp()
			g.Depth = Depth(p.word())
			if g.Depth != DepthZero && g.Depth != DepthOne && g.Depth != DepthInfinity {
				p.expected("0, 1 or infinity")
			}
		default:
			p.expected("MAXSIZE or DEPTH")
		}
	})
}

// metadataEntries reads an entry, or a list of them.
func (p *parser) metadataEntries() []string {
	if p.peek() != '(' {
		return []string{p.astring("an entry")}
	}
	var entries []string
	p.list(func() { entries = append(entries, p.astring("an entry")) })
	if len(entries) == 0 {
		p.expected("an entry")
	}
	return entries
}

func parseSetMetadata(p *parser) Body {
	s := &SetMetadata{Mailbox: p.spMailbox()}
	p.sp()
	p.list(func() {
		v := MetadataValue{Entry: p.astring("an entry")}
		p.sp()
		v.Value = p.value(no("METADATA MAXSIZE "+strconv.FormatInt(p.limits.Literal, 10), "The annotation is too large"))
		s.Entries = append(s.Entries, v)
	})
	if len(s.Entries) == 0 {
		p.expected("an entry")
	}
	return s
}

// value reads value of RFC 5464 §5: whatever bytes; nil is NIL. tooBig is what a
// literal that is too large is answered with.
func (p *parser) value(tooBig *Error) []byte {
	if p.acceptNIL() {
		return nil
	}
	if p.peek() != '{' && p.peek() != '~' {
		return []byte(p.stringBytes("a string or NIL"))
	}
	b, h := p.readLiteral(tooBig)
	if !h.binary && bytes.IndexByte(b, 0) >= 0 {
		p.fail(bad("NUL in a literal"))
	}
	return append([]byte{}, b...)
}

func (*GetMetadata) Name() string { return "GETMETADATA" }
func (*SetMetadata) Name() string { return "SETMETADATA" }

func (c *GetMetadata) appendTo(b []byte) []byte {
	options := []string{"DEPTH " + strings.ToLower(string(c.Depth))}
	if c.MaxSize != nil {
		options = append(options, "MAXSIZE "+strconv.FormatUint(uint64(*c.MaxSize), 10))
	}
	b = append(appendSpMailbox(appendWords(append(b, ' '), options), c.Mailbox), " ("...)
	for i, entry := range c.Entries {
		b = appendString(separate(b, i), entry) // a word would be read as an option
	}
	return append(b, ')')
}

func (c *SetMetadata) appendTo(b []byte) []byte {
	b = append(appendSpMailbox(b, c.Mailbox), " ("...)
	for i, v := range c.Entries {
		b = appendValue(append(appendAString(separate(b, i), v.Entry), ' '), v.Value)
	}
	return append(b, ')')
}

// appendValue writes NIL, a string or, for NUL, a literal8.
func appendValue(b, value []byte) []byte {
	switch {
	case value == nil:
		return append(b, "NIL"...)
	case bytes.IndexByte(value, 0) >= 0:
		b = strconv.AppendInt(append(b, "~{"...), int64(len(value)), 10)
		return append(append(b, "+}\r\n"...), value...)
	}
	return appendString(b, string(value))
}
