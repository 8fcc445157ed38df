package wire

// Language is LANGUAGE (RFC 5255 §3.2); without ranges it asks for all.
type Language struct{ Ranges []string }

// Comparator is COMPARATOR (RFC 5255 §4.7); without orders it asks for the active
// one.
type Comparator struct{ Orders []string }

func parseLanguage(p *parser) Body   { return &Language{p.astrings("a language")} }
func parseComparator(p *parser) Body { return &Comparator{p.astrings("a comparator")} }

// astrings reads any number of astrings, each after a space.
func (p *parser) astrings(what string) []string {
	var list []string
	for p.accept(' ') {
		list = append(list, p.astring(what))
		p.bound(len(list))
	}
	return list
}

func (*Language) Name() string   { return "LANGUAGE" }
func (*Comparator) Name() string { return "COMPARATOR" }

func (c *Language) appendTo(b []byte) []byte   { return appendAStrings(b, c.Ranges) }
func (c *Comparator) appendTo(b []byte) []byte { return appendAStrings(b, c.Orders) }

func appendAStrings(b []byte, list []string) []byte {
	for _, s := range list {
		b = appendAString(append(b, ' '), s)
	}
	return b
}
