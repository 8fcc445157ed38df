package tnef

import (
	"bufio"
	"bytes"
	"io"
	"strconv"
	"strings"
	"unicode/utf16"

	"lockstep/internal/message"
)

const (
	maxGroups   = 1000     // inside each other; what is deeper is taken for its parent
	maxWord     = 64       // bytes of a control word
	fromHTMLIn  = 4 << 10  // where a document says that it was HTML
	maxHexBytes = 16 << 10 // of text in a code page that are decoded together
)

// RTFText reads the compressed RTF in r: the HTML it was made from, if it was
// (MS-OXRTFEX), else its text. Both are UTF-8.
func RTFText(r io.Reader) (html bool, text io.Reader) {
	in := bufio.NewReaderSize(decompress(r), fromHTMLIn)
	head, _ := in.Peek(fromHTMLIn) // an error comes again
	html = bytes.Contains(head, []byte(`\fromhtml`))
	return html, &rtfReader{in: in, html: html, groups: []group{{fallback: 1}}, charset: "windows-1252"}
}

// group is what holds between two braces.
type group struct {
	hidden   bool // its text is no text of the document
	tag      bool // its text is HTML
	noHTML   bool // its text is only for who reads RTF
	fallback int  // characters behind \u that are for who knows no Unicode
}

type rtfReader struct {
	in      *bufio.Reader
	html    bool
	groups  []group // the innermost is the last
	deeper  int     // groups beyond maxGroups
	charset string
	star    bool   // the next word names a destination one may not know
	pass    int    // characters of fallback still to pass over
	hex     []byte // text in the code page
	high    rune   // the first half of a surrogate pair
	out     []byte
	at      int // how much of out is read
	err     error
}

func (r *rtfReader) Read(b []byte) (int, error) {
	for r.at == len(r.out) {
		if r.err != nil {
			return 0, r.err
		}
		r.out, r.at = r.out[:0], 0
		r.token()
	}
	n := copy(b, r.out[r.at:])
	r.at += n
	return n, nil
}

func (r *rtfReader) group() *group { return &r.groups[len(r.groups)-1] }

func (r *rtfReader) token() {
	c, err := r.in.ReadByte()
	if err != nil {
		r.flush()
		r.err = err
		return
	}
	switch c {
	case '{':
		r.flush()
		r.open()
	case '}':
		r.flush()
		r.close()
	case '\\':
		r.control()
	case '\r', '\n', 0:
	default:
		r.text(c)
	}
}

func (r *rtfReader) open() {
	r.pass = 0
	if len(r.groups) == maxGroups {
		r.deeper++
		return
	}
	r.groups = append(r.groups, *r.group())
}

func (r *rtfReader) close() {
	r.pass = 0
	switch {
	case r.deeper > 0:
		r.deeper--
	case len(r.groups) > 1:
		r.groups = r.groups[:len(r.groups)-1]
	}
}

// text takes a byte of text, in the code page.
func (r *rtfReader) text(c byte) {
	if r.pass > 0 {
		r.pass--
		return
	}
	g := r.group()
	if g.hidden || r.html && g.noHTML && !g.tag {
		return
	}
	if r.hex = append(r.hex, c); len(r.hex) >= maxHexBytes {
		r.flush()
	}
}

// flush decodes what is there in the code page.
func (r *rtfReader) flush() {
	if len(r.hex) > 0 {
		text, _ := io.ReadAll(message.ToUTF8(bytes.NewReader(r.hex), r.charset))
		r.out = append(r.out, text...)
		r.hex = r.hex[:0]
	}
}

// say writes text that is Unicode.
func (r *rtfReader) say(s string) {
	g := r.group()
	if g.hidden || r.html && g.noHTML && !g.tag {
		return
	}
	r.flush()
	r.out = append(r.out, s...)
}

// control reads what follows a backslash.
func (r *rtfReader) control() {
	c, err := r.in.ReadByte()
	switch {
	case err != nil:
	case c == '\'':
		r.hexByte()
	case c == '*':
		r.star = true
	case c|0x20 >= 'a' && c|0x20 <= 'z':
		r.in.UnreadByte()
		r.word()
	case c == '\r' || c == '\n':
		r.say("\r\n")
	case c == '~':
		r.say("\u00a0")
	case c == '_':
		r.say("\u2011")
	case c == '\\' || c == '{' || c == '}':
		r.text(c)
	}
}

func (r *rtfReader) hexByte() {
	var digits [2]byte
	if _, err := io.ReadFull(r.in, digits[:]); err == nil {
		if n, err := strconv.ParseUint(string(digits[:]), 16, 8); err == nil {
			r.text(byte(n))
		}
	}
}

// word reads a control word, its number and the space that ends it.
func (r *rtfReader) word() {
	name := r.take(func(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' })
	number := r.take(func(c byte) bool { return c >= '0' && c <= '9' || c == '-' })
	if c, err := r.in.ReadByte(); err == nil && c != ' ' {
		r.in.UnreadByte()
	}
	n, err := strconv.Atoi(number)
	r.apply(name, n, err == nil)
}

func (r *rtfReader) take(want func(byte) bool) string {
	var b []byte
	for len(b) < maxWord {
		c, err := r.in.ReadByte()
		if err != nil {
			break
		}
		if !want(c) {
			r.in.UnreadByte()
			break
		}
		b = append(b, c)
	}
	return string(b)
}

// characters are the words that stand for one.
var characters = map[string]string{
	"par": "\r\n", "line": "\r\n", "row": "\r\n", "sect": "\r\n", "page": "\r\n", "tab": "\t", "cell": "\t",
	"lquote": "\u2018", "rquote": "\u2019", "ldblquote": "\u201c", "rdblquote": "\u201d",
	"bullet": "\u2022", "endash": "\u2013", "emdash": "\u2014",
}

// hiddenWords begin groups whose text is not the document's.
var hiddenWords = []string{"fonttbl", "colortbl", "stylesheet", "info", "pict", "object", "header", "footer", "headerl", "headerr", "footerl", "footerr", "fldinst", "listtable", "generator"}

func (r *rtfReader) apply(name string, n int, numbered bool) {
	star := r.star
	r.star = false
	g := r.group()
	switch {
	case name == "u" && numbered:
		r.unicode(n)
		return
	case r.pass > 0:
		r.pass--
		return
	case name == "htmltag":
		g.tag = star && r.html
		g.hidden = g.hidden || !g.tag
	case name == "htmlrtf":
		r.flush()
		g.noHTML = n != 0 || !numbered
	case name == "uc":
		g.fallback = min(max(n, 0), 16)
	case name == "ansicpg" && numbered:
		r.charset = charset(n)
	case characters[name] != "":
		r.say(characters[name])
	case star, isHiddenWord(name):
		g.hidden = true
	}
}

func isHiddenWord(name string) bool {
	for _, w := range hiddenWords {
		if strings.EqualFold(w, name) {
			return true
		}
	}
	return false
}

// unicode takes a \u: a UTF-16 unit, negative beyond 32767, and characters behind it
// that stand for it.
func (r *rtfReader) unicode(n int) {
	unit := rune(uint16(n))
	switch {
	case utf16.IsSurrogate(unit) && unit < 0xDC00:
		r.high = unit
	case utf16.IsSurrogate(unit):
		r.say(string(utf16.DecodeRune(r.high, unit)))
		r.high = 0
	default:
		r.say(string(unit))
	}
	r.pass = r.group().fallback
}
