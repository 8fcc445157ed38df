package compose

import (
	"errors"
	"io"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"lockstep/internal/message"
)

// insertHTML writes a document, which is in UTF-8 now, with something more at the
// end of its body if there is more.
func insertHTML(w io.Writer, document io.Reader, more func(io.Writer) error) error {
	in := newCopier(w, document)
	for in.next() {
		if in.token == html.EndTagToken && (in.tag == atom.Body || in.tag == atom.Html) && more != nil {
			if err := more(w); err != nil {
				return err
			}
			more = nil
		}
		if !in.namesCharset() {
			in.copy()
		}
	}
	if errors.Is(in.err, html.ErrBufferExceeded) {
		in.copyRest(document)
	}
	if in.err != nil || more == nil {
		return in.err
	}
	return more(w)
}

// copier goes through HTML token by token.
type copier struct {
	w      io.Writer
	tokens *html.Tokenizer
	token  html.TokenType
	tag    atom.Atom // of a tag, else 0
	attrs  bool
	raw    []byte
	err    error
}

func newCopier(w io.Writer, r io.Reader) *copier {
	c := &copier{w: w, tokens: html.NewTokenizer(r)}
	c.tokens.SetMaxBuf(maxHTMLToken)
	return c
}

// next reads a token; false at the end, with err nil, or on an error.
func (c *copier) next() bool {
	if c.err != nil {
		return false
	}
	c.token = c.tokens.Next()
	c.raw = append(c.raw[:0], c.tokens.Raw()...)
	c.tag, c.attrs = 0, false
	switch c.token {
	case html.ErrorToken:
		if c.err = c.tokens.Err(); c.err == io.EOF {
			c.err = nil
		}
		return false
	case html.StartTagToken, html.SelfClosingTagToken, html.EndTagToken:
		var name []byte
		name, c.attrs = c.tokens.TagName()
		c.tag = atom.Lookup(name)
	}
	return true
}

func (c *copier) copy() {
	if c.err == nil {
		_, c.err = c.w.Write(c.raw)
	}
}

// copyRest copies what is left behind a token too large to be looked at.
func (c *copier) copyRest(r io.Reader) {
	_, c.err = c.w.Write(append(c.raw, c.tokens.Buffered()...))
	if c.err == nil {
		_, c.err = io.Copy(c.w, r)
	}
}

// namesCharset reports whether the token is a meta element that says what charset
// the document was in before.
func (c *copier) namesCharset() bool {
	if c.tag != atom.Meta || c.token == html.EndTagToken {
		return false
	}
	for more := c.attrs; more; {
		var key []byte
		key, _, more = c.tokens.TagAttr()
		if string(key) == "charset" || string(key) == "http-equiv" {
			return true
		}
	}
	return false
}

// html writes the original as a piece of HTML.
func (q *quote) html(w io.Writer) error {
	before, after := "<br><div>"+html.EscapeString(q.attribution())+"</div>\r\n<blockquote type=\"cite\">\r\n", "\r\n</blockquote>\r\n"
	if q.forward {
		before, after = "<br><div>-------- Forwarded message --------<br>\r\n"+q.headerBlock(htmlLine)+"</div><br>\r\n<div>\r\n", "\r\n</div>\r\n"
	}
	if _, err := io.WriteString(w, before); err != nil {
		return err
	}
	if err := q.htmlBody(w); err != nil {
		return err
	}
	_, err := io.WriteString(w, after)
	return err
}

func htmlLine(name, value string) string {
	return "<b>" + name + ":</b> " + html.EscapeString(value) + "<br>\r\n"
}

func (q *quote) htmlBody(w io.Writer) error {
	switch p := q.bodies; {
	case p.html != nil:
		return copyFragment(w, message.PartUTF8(q.src.Bytes, p.html))
	case p.plain != nil:
		_, err := io.Copy(&escaper{w: w}, message.PartUTF8(q.src.Bytes, p.plain))
		return err
	}
	return nil
}

// copyFragment writes what a document shows, without what can be but once in a
// document or is none of the reader's: its frame, its head but for styles, its
// comments and scripts. What follows a token that is too large is left out.
func copyFragment(w io.Writer, r io.Reader) error {
	in := newCopier(w, r)
	var hidden atom.Atom // the element that is being left out
	for in.next() {
		switch {
		case hidden != 0:
			if in.token == html.EndTagToken && in.tag == hidden {
				hidden = 0
			}
		case in.tag == atom.Script || in.tag == atom.Title:
			if in.token == html.StartTagToken {
				hidden = in.tag
			}
		case in.token == html.CommentToken, in.token == html.DoctypeToken, isFrame(in.tag):
		default:
			in.copy()
		}
	}
	if errors.Is(in.err, html.ErrBufferExceeded) {
		_, in.err = io.WriteString(w, "…")
	}
	return in.err
}

func isFrame(tag atom.Atom) bool {
	switch tag {
	case atom.Html, atom.Head, atom.Body, atom.Meta, atom.Base, atom.Link, atom.Plaintext:
		return true
	}
	return false
}

// escaper writes plain text as HTML.
type escaper struct {
	w   io.Writer
	buf []byte
}

func (e *escaper) Write(b []byte) (int, error) {
	e.buf = e.buf[:0]
	for _, c := range b {
		switch c {
		case '\r':
		case '\n':
			e.buf = append(e.buf, "<br>\r\n"...)
		case '<':
			e.buf = append(e.buf, "&lt;"...)
		case '>':
			e.buf = append(e.buf, "&gt;"...)
		case '&':
			e.buf = append(e.buf, "&amp;"...)
		default:
			e.buf = append(e.buf, c)
		}
	}
	_, err := e.w.Write(e.buf)
	return len(b), err
}
