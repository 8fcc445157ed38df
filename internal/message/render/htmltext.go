package render

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"lockstep/internal/message"
)

// htmlToText writes an HTML document as plain text that reads well: paragraphs apart,
// lists with their marks, quotations with theirs, addresses of links behind what they
// are called. Lines are not broken: whoever shows them does.
func htmlToText(w io.Writer, r io.Reader, links bool) error {
	in := message.CutTags(r)
	t := &plainer{out: bufio.NewWriter(w), links: links}
	for {
		z := html.NewTokenizer(in)
		z.SetMaxBuf(maxToken)
		err := t.tokens(z)
		switch {
		case errors.Is(err, html.ErrBufferExceeded): // reading goes on behind it
		case err == io.EOF:
			return t.finish()
		default:
			return err
		}
	}
}

// plainer writes text. Line ends are owed until something follows them.
type plainer struct {
	out    *bufio.Writer
	links  bool
	lines  int  // line ends owed
	begun  bool // something is written
	inLine bool // in this line
	space  bool // a space is owed
	quoted int  // quotation marks of this line

	pre    int
	hidden atom.Atom // the element inside of which nothing is shown
	depth  int       // of elements of that name in it
	blocks []block   // quotations and lists that are open
	marker string    // owed at the beginning of an item
	href   string    // of the link we are in
	label  strings.Builder
}

// block is a quotation or a list.
type block struct {
	element atom.Atom
	cite    bool
	number  int // of the item, in an ordered list
}

func (t *plainer) tokens(z *html.Tokenizer) error {
	for {
		switch z.Next() {
		case html.ErrorToken:
			return z.Err()
		case html.TextToken:
			if t.hidden == 0 {
				t.text(z.Text())
			}
		case html.StartTagToken:
			t.startTag(z)
		case html.SelfClosingTagToken:
			t.startTag(z)
		case html.EndTagToken:
			name, _ := z.TagName()
			t.endTag(atom.Lookup(name))
		}
	}
}

func (t *plainer) finish() error {
	t.endLink()
	if t.inLine {
		t.out.WriteString("\r\n")
	}
	return t.out.Flush()
}

// owe asks for at least n line ends before what comes.
func (t *plainer) owe(n int) {
	if n > 0 {
		t.lines, t.space = max(t.lines, n), false
	}
}

func (t *plainer) startTag(z *html.Tokenizer) {
	name, more := z.TagName()
	element := atom.Lookup(name)
	a := attributesOf(z, more)
	switch {
	case t.hidden != 0:
		if element == t.hidden {
			t.depth++
		}
		return
	case isHidden(element) || a.hides && isClosed(name):
		t.hidden, t.depth = element, 1
		return
	}
	switch element {
	case atom.Br:
		t.lines = min(t.lines+1, 3)
		t.space = false
	case atom.Hr:
		t.owe(1)
		t.text([]byte("----------------------------------------"))
		t.owe(1)
	case atom.Img:
		t.text(a.alt)
	case atom.Td, atom.Th:
		t.space = t.inLine
	case atom.A:
		t.beginLink(a.href)
	case atom.Li:
		t.item()
	case atom.Ul, atom.Ol, atom.Blockquote:
		t.beginBlock(element, a)
	case atom.Pre:
		t.owe(2)
		t.pre++
	default:
		t.owe(lineEnds(element))
	}
}

// attributes are those of a tag that matter, until the next token is read.
type attributes struct {
	href, alt []byte
	cite      bool // it is a quotation
	hides     bool // nothing in it is to be seen
}

func attributesOf(z *html.Tokenizer, more bool) (a attributes) {
	for more {
		var key, value []byte
		key, value, more = z.TagAttr()
		switch string(key) {
		case "href":
			a.href = value
		case "alt":
			a.alt = value
		case "type":
			a.cite = a.cite || string(value) == "cite"
		case "class":
			a.cite = a.cite || bytes.Contains(value, []byte("quote"))
		case "style":
			a.hides = hides(value)
		}
	}
	return a
}

func (t *plainer) endTag(element atom.Atom) {
	if t.hidden != 0 {
		if element == t.hidden {
			if t.depth--; t.depth == 0 {
				t.hidden = 0
			}
		}
		return
	}
	switch element {
	case atom.A:
		t.endLink()
	case atom.Ul, atom.Ol, atom.Blockquote:
		t.endBlock(element)
	case atom.Pre:
		t.owe(2)
		t.pre = max(t.pre-1, 0)
	default:
		t.owe(lineEnds(element))
	}
}

// lineEnds is how far an element stands from what is before and behind it.
func lineEnds(element atom.Atom) int {
	switch element {
	case atom.P, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Dl, atom.Fieldset:
		return 2
	case atom.Div, atom.Tr, atom.Table, atom.Li, atom.Dt, atom.Dd, atom.Section, atom.Article, atom.Header, atom.Footer,
		atom.Center, atom.Address, atom.Form, atom.Option, atom.Main, atom.Nav, atom.Aside, atom.Figure, atom.Figcaption, atom.Caption:
		return 1
	}
	return 0
}

func isHidden(element atom.Atom) bool {
	switch element {
	case atom.Script, atom.Style, atom.Title, atom.Template:
		return true
	}
	return false
}

// hides reports whether a style says that nothing is to be seen: mailings put there
// what is for previews only.
func hides(style []byte) bool {
	return bytes.Contains(style, []byte("isplay")) && bytes.Contains(bytes.ToLower(bytes.ReplaceAll(style, []byte(" "), nil)), []byte("display:none"))
}

func (t *plainer) beginBlock(element atom.Atom, a attributes) {
	t.owe(2 - min(t.lists(), 1))
	if len(t.blocks) < maxNesting {
		t.blocks = append(t.blocks, block{element: element, cite: a.cite})
	}
}

func (t *plainer) endBlock(element atom.Atom) {
	for i := len(t.blocks) - 1; i >= 0; i-- {
		if t.blocks[i].element == element {
			t.blocks = t.blocks[:i]
			break
		}
	}
	t.owe(2 - min(t.lists(), 1))
	t.marker = ""
}

// lists is how many lists are open.
func (t *plainer) lists() (n int) {
	for _, b := range t.blocks {
		if b.element != atom.Blockquote {
			n++
		}
	}
	return n
}

func (t *plainer) item() {
	t.owe(1)
	t.marker = "* "
	if n := len(t.blocks); n > 0 && t.blocks[n-1].element == atom.Ol {
		t.blocks[n-1].number++
		t.marker = strconv.Itoa(t.blocks[n-1].number) + ". "
	}
}

// beginLink remembers an address that is worth being shown.
func (t *plainer) beginLink(address []byte) {
	t.endLink()
	if !t.links || len(address) == 0 || len(address) > maxLink {
		return
	}
	href := string(bytes.TrimSpace(address))
	switch scheme, _, _ := strings.Cut(href, ":"); strings.ToLower(scheme) {
	case "http", "https", "mailto":
	default:
		return
	}
	t.href = href
	t.label.Reset()
}

// endLink shows the address, unless that is what the link is called.
func (t *plainer) endLink() {
	href, label := t.href, strings.TrimSpace(t.label.String())
	t.href = ""
	if href == "" || label == "" || bareAddress(href) == bareAddress(label) {
		return
	}
	if i := strings.IndexFunc(href, unicode.IsSpace); i >= 0 {
		href = href[:i]
	}
	t.space = true
	t.word([]byte("<" + href + ">"))
}

// bareAddress is what people take an address for.
func bareAddress(s string) string {
	s = strings.ToLower(s)
	for _, prefix := range []string{"mailto:", "https://", "http://", "www."} {
		s = strings.TrimPrefix(s, prefix)
	}
	return strings.TrimSuffix(s, "/")
}

// text writes text, white space collapsed unless it stands for itself.
func (t *plainer) text(b []byte) {
	if t.pre > 0 {
		t.preformatted(b)
		return
	}
	for len(b) > 0 {
		n := spaceLen(b)
		if n > 0 {
			t.space = t.space || t.inLine
			b = b[n:]
			continue
		}
		n = wordLen(b)
		t.word(b[:n])
		b = b[n:]
	}
}

// wordLen is the length of what b begins with until there is a space.
func wordLen(b []byte) int {
	n := 0
	for n < len(b) {
		if c := b[n]; c > ' ' && c < utf8.RuneSelf {
			n++
			continue
		}
		if spaceLen(b[n:]) > 0 {
			break
		}
		_, size := utf8.DecodeRune(b[n:])
		n += size
	}
	return n
}

// spaceLen is the length of the white space or invisible character b begins with.
func spaceLen(b []byte) int {
	r, size := utf8.DecodeRune(b)
	switch {
	case r == ' ' || r == '\t' || r == '\r' || r == '\n' || r == '\f' || r == '\u00a0':
		return size
	case r == '\u200b' || r == '\u200c' || r == '\u034f' || r == '\ufeff' || r == '\u00ad':
		return size // mailings pad their previews with them
	}
	return 0
}

// preformatted writes text as it stands.
func (t *plainer) preformatted(b []byte) {
	for line := range strings.Lines(string(b)) {
		text := strings.TrimRight(line, "\r\n")
		if text != "" {
			t.word([]byte(text))
		}
		if len(text) < len(line) {
			t.lines = max(t.lines, 0) + 1
		}
	}
}

// word writes what has no space in it to collapse, after what is owed.
func (t *plainer) word(b []byte) {
	if t.href != "" && t.label.Len() < maxLink {
		if t.space {
			t.label.WriteByte(' ')
		}
		t.label.Write(b)
	}
	if t.lines > 0 && t.begun {
		t.breakLines()
	}
	if !t.begun || t.lines > 0 {
		t.begin()
	}
	t.lines = 0
	if t.space && t.inLine {
		t.out.WriteByte(' ')
	}
	t.out.Write(b)
	t.begun, t.inLine, t.space = true, true, false
}

// breakLines writes the line ends that are owed; empty lines of a quotation are
// quoted.
func (t *plainer) breakLines() {
	quotes := strings.Repeat(">", min(t.quoted, t.quotes()))
	for i := range t.lines {
		t.out.WriteString("\r\n")
		if i < t.lines-1 {
			t.out.WriteString(quotes)
		}
	}
	t.inLine = false
}

// begin writes what stands at the beginning of a line.
func (t *plainer) begin() {
	if t.quoted = t.quotes(); t.quoted > 0 {
		t.out.WriteString(strings.Repeat(">", t.quoted) + " ")
	}
	for range t.lists() - 1 {
		t.out.WriteString("  ")
	}
	t.out.WriteString(t.marker)
	t.marker = ""
}

// quotes is how many quotations are open.
func (t *plainer) quotes() (n int) {
	for _, b := range t.blocks {
		if b.cite {
			n++
		}
	}
	return n
}
