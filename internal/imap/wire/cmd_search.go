package wire

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/ianaindex"
)

// Search is SEARCH and UID SEARCH (RFC 9051 §6.4.4, RFC 4731, RFC 5182).
type Search struct {
	UID     bool
	Return  *SearchReturn // nil without RETURN; all false is RETURN ()
	Charset bool          // it was named
	Key     SearchKey     // an And when there are several; strings in UTF-8
}

// SearchReturn says what the client wants to know of the result.
type SearchReturn struct{ Min, Max, All, Count, Save bool }

func parseSearch(p *parser) Body    { return p.search(&Search{}) }
func parseUIDSearch(p *parser) Body { return p.search(&Search{UID: true}) }

func (p *parser) search(s *Search) Body {
	p.sp()
	name := p.searchWord()
	if name == "RETURN" {
		s.Return = &SearchReturn{}
		p.sp()
		p.list(func() { p.searchReturn(s.Return) })
		p.sp()
		name = p.searchWord()
	}
	k := keyParser{parser: p}
	if name == "CHARSET" {
		p.sp()
		s.Charset = true
		k.charset = p.charset()
		p.sp()
		name = p.searchWord()
	}
	s.Key = k.keys(name)
	return s
}

// searchWord reads the name of a key; "" when a set or a parenthesis follows.
func (p *parser) searchWord() string {
	if isDigit(p.peek()) {
		return ""
	}
	return p.word()
}

func (p *parser) searchReturn(r *SearchReturn) {
	switch p.word() {
	case "MIN":
		r.Min = true
	case "MAX":
		r.Max = true
	case "ALL":
		r.All = true
	case "COUNT":
		r.Count = true
	case "SAVE":
		r.Save = true
	default:
		p.expected("a return option")
	}
}

// charset reads the charset of the search's strings. nil is UTF-8, of which
// US-ASCII is a part.
func (p *parser) charset() encoding.Encoding {
	name := p.astring("a charset")
	if p.failed() || strings.EqualFold(name, "UTF-8") || strings.EqualFold(name, "US-ASCII") {
		return nil
	}
	enc, err := ianaindex.IANA.Encoding(name)
	if err != nil || enc == nil {
		p.fail(no("BADCHARSET (US-ASCII UTF-8)", "Unknown charset"))
		return nil
	}
	return enc
}

// A keyParser reads the keys of one search.
type keyParser struct {
	*parser
	charset encoding.Encoding
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
	if c.Return != nil {
		b = appendWords(append(b, " RETURN "...), c.Return.names())
	}
	if c.Charset {
		b = append(b, " CHARSET UTF-8"...)
	}
	b = append(b, ' ')
	if all, ok := c.Key.(And); ok {
		return all.appendMembers(b)
	}
	return c.Key.appendTo(b)
}

func (r *SearchReturn) names() []string {
	var names []string
	for _, o := range []struct {
		on   bool
		name string
	}{{r.Min, "MIN"}, {r.Max, "MAX"}, {r.All, "ALL"}, {r.Count, "COUNT"}, {r.Save, "SAVE"}} {
		if o.on {
			names = append(names, o.name)
		}
	}
	return names
}
