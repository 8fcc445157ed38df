package message

import (
	"errors"
	"io"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// maxHTMLToken bounds one tag or run of text. A longer one is given up, and
// reading goes on behind what was read of it.
const maxHTMLToken = 256 << 10

// htmlText reads the text of an HTML document in UTF-8: no tags, scripts or
// styles, a line end where a block ends.
func htmlText(r io.Reader) io.Reader {
	t := &htmlReader{in: CutTags(r)}
	t.reset(t.in)
	return t
}

type htmlReader struct {
	in     io.Reader
	tokens *html.Tokenizer
	hidden atom.Atom // the element we are inside of that shows no text
	out    []byte    // not yet read
	err    error
}

func (t *htmlReader) reset(r io.Reader) {
	t.tokens = html.NewTokenizer(r)
	t.tokens.SetMaxBuf(maxHTMLToken)
}

func (t *htmlReader) Read(b []byte) (int, error) {
	for len(t.out) == 0 {
		if t.err != nil {
			return 0, t.err
		}
		t.next()
	}
	n := copy(b, t.out)
	t.out = t.out[n:]
	return n, nil
}

func (t *htmlReader) next() {
	switch t.tokens.Next() {
	case html.ErrorToken:
		if t.err = t.tokens.Err(); errors.Is(t.err, html.ErrBufferExceeded) {
			t.err = nil
			t.reset(t.in)
		}
	case html.TextToken:
		if t.hidden == 0 {
			t.out = t.tokens.Text()
		}
	case html.StartTagToken, html.SelfClosingTagToken:
		t.tag(true)
	case html.EndTagToken:
		t.tag(false)
	}
}

func (t *htmlReader) tag(start bool) {
	name, hasAttr := t.tokens.TagName()
	a := atom.Lookup(name)
	switch {
	case t.hidden != 0:
		if !start && a == t.hidden {
			t.hidden = 0
		}
	case isHidden(a) && start:
		t.hidden = a
	case a == atom.Img && hasAttr:
		t.alt()
	case a == atom.Td || a == atom.Th:
		t.out = []byte(" ")
	case isBlock(a):
		t.out = []byte("\n")
	}
}

// alt shows a picture's alternative text.
func (t *htmlReader) alt() {
	for more := true; more; {
		var key, value []byte
		key, value, more = t.tokens.TagAttr()
		if string(key) == "alt" {
			t.out = append([]byte(" "), value...)
			return
		}
	}
}

func isHidden(a atom.Atom) bool {
	switch a {
	case atom.Script, atom.Style, atom.Title, atom.Template:
		return true
	}
	return false
}

func isBlock(a atom.Atom) bool {
	switch a {
	case atom.P, atom.Div, atom.Br, atom.Hr, atom.Tr, atom.Table, atom.Ul, atom.Ol, atom.Li, atom.Dl, atom.Dt, atom.Dd,
		atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Blockquote, atom.Pre, atom.Section, atom.Article,
		atom.Header, atom.Footer, atom.Center, atom.Address, atom.Form, atom.Fieldset, atom.Option:
		return true
	}
	return false
}

// CutTags reads an HTML document without what is behind the first 16 KiB of a tag,
// so that whoever takes it apart holds no pictures that are written into tags.
func CutTags(r io.Reader) io.Reader { return &tagCutter{in: r} }

// tagCutter leaves out what is behind the first maxTagBytes of a tag, but for
// quotes, without which the tag would not end: pictures that are written into
// their tags are megabytes long, and no text.
type tagCutter struct {
	in    io.Reader
	inTag int // bytes since a tag began; 0 outside
}

const maxTagBytes = 16 << 10

func (c *tagCutter) Read(b []byte) (int, error) {
	for {
		n, err := c.in.Read(b)
		if n = c.cut(b[:n]); n > 0 || err != nil {
			return n, err
		}
	}
}

// cut moves what stays to the front of b and returns its length.
func (c *tagCutter) cut(b []byte) int {
	n := 0
	for _, ch := range b {
		switch {
		case ch == '<':
			c.inTag = 1
		case ch == '>', c.inTag == 1 && !beginsTag(ch):
			c.inTag = 0
		case c.inTag > 0:
			c.inTag++
		}
		if c.inTag <= maxTagBytes || ch == '"' || ch == '\'' {
			b[n] = ch
			n++
		}
	}
	return n
}

// beginsTag reports whether ch behind a "<" makes it markup (HTML §13.2.5.6).
func beginsTag(ch byte) bool {
	return ch|0x20 >= 'a' && ch|0x20 <= 'z' || ch == '/' || ch == '!' || ch == '?'
}

// PlainText is the text of an HTML document, for who reads no HTML: without white
// space that shows nothing, and with one empty line at most between lines.
func PlainText(document string) string {
	text, _ := io.ReadAll(htmlText(strings.NewReader(document))) // a string gives no error
	var lines []string
	for line := range strings.Lines(string(text)) {
		line = strings.Join(strings.Fields(line), " ")
		if line != "" || len(lines) > 0 && lines[len(lines)-1] != "" {
			lines = append(lines, line)
		}
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}
