package wire

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/ianaindex"
)

// Search is SEARCH and UID SEARCH (RFC 9051 §6.4.4, RFC 4731, RFC 5182, RFC 5267,
// RFC 9394).
type Search struct {
	UID    bool
	Return *SearchReturn // nil without RETURN; the zero one is RETURN ()
	Program
}

// A Program is what a search looks for.
type Program struct {
	Charset bool // it was named
	NotUTF8 bool // as another than UTF-8
	// BadCharset is the charset when it is not known: then the strings of Key are
	// as they came, and mean nothing.
	BadCharset string
	Key        SearchKey // an And when there are several; strings in UTF-8
}

func parseSearch(p *parser) Body    { return p.search(&Search{}) }
func parseUIDSearch(p *parser) Body { return p.search(&Search{UID: true}) }

func (p *parser) search(s *Search) Body {
	p.sp()
	name := p.searchWord()
	if name == "RETURN" {
		s.Return = p.searchReturns()
		p.sp()
		name = p.searchWord()
	}
	s.Program = p.program(name)
	return s
}

// program reads ["CHARSET" SP charset SP] and keys; its first word was read.
func (p *parser) program(name string) Program {
	if name != "CHARSET" {
		k := keyParser{parser: p}
		return Program{Key: k.keys(name)}
	}
	p.sp()
	return p.programIn(asIs)
}

// programIn reads search-criteria of RFC 5256 §5: charset 1*(SP search-key). The
// first word after the charset may be something else before it, which begin reads.
func (p *parser) programIn(begin func(word string) string) Program {
	s := Program{Charset: true}
	k := keyParser{parser: p}
	k.charset, s.NotUTF8, s.BadCharset = p.charset()
	k.raw = s.BadCharset != ""
	p.sp()
	s.Key = k.keys(begin(p.searchWord()))
	return s
}

func asIs(word string) string { return word }

// searchWord reads the name of a key; "" when a set or a parenthesis follows.
func (p *parser) searchWord() string {
	if isDigit(p.peek()) {
		return ""
	}
	return p.word()
}

// charset reads the charset of the search's strings, or its name if nobody knows
// it. A nil charset is UTF-8, of which US-ASCII is a part.
func (p *parser) charset() (charset encoding.Encoding, notUTF8 bool, unknown string) {
	name := p.astring("a charset")
	if p.failed() || strings.EqualFold(name, "UTF-8") {
		return nil, false, ""
	}
	if strings.EqualFold(name, "US-ASCII") {
		return nil, true, ""
	}
	enc, err := ianaindex.IANA.Encoding(name)
	if err == nil && enc != nil {
		return enc, true, ""
	}
	if name == "" {
		p.expected("a charset")
	}
	return nil, true, name
}

// A keyParser reads the keys of one search.
type keyParser struct {
	*parser
	charset encoding.Encoding
	raw     bool // the charset is not known
	depth   int
	count   int
}

// keys reads one key or more; the first one's name was read already.
func (k *keyParser) keys(name string) SearchKey {
	first := k.key(name)
	if k.peek() != ' ' {
		return first
	}
	all := And{first}
	for k.accept(' ') {
		all = append(all, k.key(k.searchWord()))
	}
	return all
}

// key reads one key behind its name.
func (k *keyParser) key(name string) SearchKey {
	if k.count++; k.count > k.limits.Items {
		k.fail(badCode("TOOBIG", "Too many search keys"))
		return nil
	}
	if k.depth == k.limits.Depth {
		k.fail(badCode("TOOBIG", "Search keys nested too deep"))
		return nil
	}
	k.depth++
	defer func() { k.depth-- }()
	if name == "" {
		return k.unnamed()
	}
	parse, ok := searchKeys[name]
	if !ok {
		k.expected("a search key")
		return nil
	}
	return parse(k)
}

// nested reads a space and a key.
func (k *keyParser) nested() SearchKey {
	k.sp()
	return k.key(k.searchWord())
}

// unnamed reads a message set or keys in parentheses.
func (k *keyParser) unnamed() SearchKey {
	if !k.accept('(') {
		if c := k.peek(); c != '*' && c != '$' && !isDigit(c) {
			k.expected("a search key")
			return nil
		}
		return SeqKey{Set: k.seqSet()}
	}
	keys := k.keys(k.searchWord())
	k.expect(')', `a space or ")"`)
	return keys
}

// text reads a string and turns it into UTF-8.
func (k *keyParser) text() string {
	k.sp()
	s := k.bytes("a string")
	if k.raw {
		return s
	}
	if k.charset != nil {
		decoded, err := k.charset.NewDecoder().String(s)
		if err != nil {
			k.fail(bad("String is not in the charset"))
		}
		s = decoded
	}
	if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
		k.fail(bad("String is not in the charset"))
		return ""
	}
	return s
}

func (c *Search) Name() string { return uidName(c.UID, "SEARCH", "UID SEARCH") }

func (c *Search) appendTo(b []byte) []byte {
	return c.Program.appendTo(append(c.Return.appendTo(b), ' '))
}

func (s Program) appendTo(b []byte) []byte {
	if s.Charset {
		b = append(s.appendCharset(append(b, "CHARSET "...)), ' ')
	}
	return s.appendKeys(b)
}

func (s Program) appendCharset(b []byte) []byte {
	switch {
	case s.BadCharset != "":
		return appendAString(b, s.BadCharset)
	case s.NotUTF8: // the strings are in UTF-8, which is taken there too
		return append(b, "US-ASCII"...)
	}
	return append(b, "UTF-8"...)
}

func (s Program) appendKeys(b []byte) []byte {
	if all, ok := s.Key.(And); ok {
		return all.appendMembers(b)
	}
	return s.Key.appendTo(b)
}
