package render

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// cut shortens the beginning b of a longer body to limit bytes; b has as many, or all
// that are held.
func cut(t Type, b []byte, limit int64) []byte {
	n := int(min(limit, int64(len(b))))
	switch {
	case t == HTML && n >= maxClosedBelow:
		return cutHTML(b, n)
	case t == MIME:
		n = max(n, headerEnd(b))
	}
	return wholeChars(b[:n])
}

// headerEnd is behind the blank line that ends a header, which lines end with CRLF.
func headerEnd(b []byte) int {
	if i := bytes.Index(b, []byte("\r\n\r\n")); i >= 0 {
		return i + 4
	}
	return len(b)
}

// wholeChars cuts off a character that is not whole.
func wholeChars(b []byte) []byte {
	for i := 1; i <= utf8.UTFMax && i <= len(b); i++ {
		if c := b[len(b)-i:]; utf8.RuneStart(c[0]) {
			if !utf8.FullRune(c) {
				return b[:len(b)-i]
			}
			break
		}
	}
	return b
}

// cutHTML shortens a document to limit bytes: text is cut between characters, a tag is
// there whole or not at all, and what is open is closed.
func cutHTML(b []byte, limit int) []byte {
	c := cutter{limit: limit}
	z := html.NewTokenizer(bytes.NewReader(b))
	for {
		typ := z.Next()
		raw := len(z.Raw())
		whole := c.at+raw < len(b)
		if typ == html.ErrorToken || !whole && typ != html.TextToken || !c.take(z, typ, raw, b) {
			break
		}
	}
	return c.close(b)
}

type cutter struct {
	limit   int
	at      int      // up to where the document is taken
	open    []string // elements to close, outermost first
	closers int      // bytes that takes
}

// take takes a token of the given size; false at the end.
func (c *cutter) take(z *html.Tokenizer, typ html.TokenType, size int, b []byte) bool {
	switch typ {
	case html.TextToken:
		if c.fits(size) && c.at+size < len(b) {
			break
		}
		c.at += len(wholeText(b[c.at : c.at+min(size, max(c.limit-c.closers-c.at, 0))]))
		return false
	case html.StartTagToken:
		name, _ := z.TagName()
		if !isClosed(name) || len(c.open) == maxOpen {
			break
		}
		closer := len(name) + len("</>")
		if !c.fits(size + closer) {
			return false
		}
		c.open = append(c.open, string(name))
		c.closers += closer
		c.at += size
		return true
	case html.EndTagToken:
		name, _ := z.TagName()
		c.end(string(name))
	}
	if !c.fits(size) {
		return false
	}
	c.at += size
	return true
}

func (c *cutter) fits(size int) bool { return c.at+size+c.closers <= c.limit }

// end takes an end tag: elements inside of it end with it. It is looked for among the
// innermost elements only; one further out is more likely a stray tag, and counts as
// not yet closed.
func (c *cutter) end(name string) {
	for i := len(c.open) - 1; i >= 0 && i >= len(c.open)-maxNesting; i-- {
		if c.open[i] != name {
			continue
		}
		for _, inner := range c.open[i:] {
			c.closers -= len(inner) + len("</>")
		}
		c.open = c.open[:i]
		return
	}
}

func (c *cutter) close(b []byte) []byte {
	var out strings.Builder
	out.Write(b[:c.at])
	for i := len(c.open) - 1; i >= 0; i-- {
		out.WriteString("</" + c.open[i] + ">")
	}
	return []byte(out.String())
}

// wholeText cuts off a character or a character reference that is not whole.
func wholeText(b []byte) []byte {
	const longest = 32
	b = wholeChars(b)
	tail := b[max(len(b)-longest, 0):]
	if i := bytes.LastIndexByte(tail, '&'); i >= 0 && !bytes.ContainsAny(tail[i:], "; \r\n<") {
		b = b[:len(b)-len(tail)+i]
	}
	return b
}

// isClosed reports whether an element has to be closed: it is not empty, and does not
// end by itself where another begins or its parent ends (HTML §13.1.2.4).
func isClosed(name []byte) bool {
	switch atom.Lookup(name) {
	case atom.Area, atom.Base, atom.Br, atom.Col, atom.Embed, atom.Hr, atom.Img, atom.Input, atom.Link, atom.Meta,
		atom.Param, atom.Source, atom.Track, atom.Wbr,
		atom.P, atom.Li, atom.Dt, atom.Dd, atom.Tr, atom.Td, atom.Th, atom.Tbody, atom.Thead, atom.Tfoot,
		atom.Option, atom.Optgroup, atom.Colgroup:
		return false
	}
	return true
}
