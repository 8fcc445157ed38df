package wire

import "strings"

// EntryAttributes is an entry of a message and what becomes of its attributes, or
// what they are (RFC 5257 §5 entry-att).
type EntryAttributes struct {
	Entry      string
	Attributes []AttributeValue
}

// AttributeValue is an attribute and its value; nil is NIL.
type AttributeValue struct {
	Attribute string // such as value.priv
	Value     []byte
}

// annotation reads ANNOTATION's list of STORE and APPEND (RFC 5257 §5 att-annotate).
func (p *parser) annotation() []EntryAttributes {
	var all []EntryAttributes
	p.list(func() {
		e := EntryAttributes{Entry: p.astring("an entry")}
		p.sp()
		p.list(func() {
			a := AttributeValue{Attribute: p.astring("an attribute")}
			p.sp()
			a.Value = p.value(no("ANNOTATE TOOBIG", "The annotation is too large"))
			e.Attributes = append(e.Attributes, a)
		})
		if len(e.Attributes) == 0 {
			p.expected("an attribute")
		}
		all = append(all, e)
	})
	if len(all) == 0 {
		p.expected("an entry")
	}
	return all
}

func appendAnnotation(b []byte, all []EntryAttributes) []byte {
	b = append(b, "ANNOTATION ("...)
	for i, e := range all {
		b = append(appendAString(separate(b, i), e.Entry), " ("...)
		for j, a := range e.Attributes {
			b = appendValue(append(appendAString(separate(b, j), a.Attribute), ' '), a.Value)
		}
		b = append(b, ')')
	}
	return append(b, ')')
}

// fetchAnnotation reads what follows ANNOTATION in FETCH: entries, which may have
// wildcards, and attributes.
func (p *parser) fetchAnnotation() FetchItem {
	item := FetchItem{Kind: FetchAnnotation}
	p.sp()
	p.expect('(', `"("`)
	item.Entries = p.oneOrMore(p.entryMatch)
	p.sp()
	item.Attributes = p.oneOrMore(func() string { return p.astring("an attribute") })
	p.expect(')', `")"`)
	return item
}

// oneOrMore reads one, or a list of them.
func (p *parser) oneOrMore(read func() string) []string {
	if p.peek() != '(' {
		return []string{read()}
	}
	var all []string
	p.list(func() { all = append(all, read()) })
	if len(all) == 0 {
		p.expected("a member of the list")
	}
	return all
}

// entryMatch reads entry-match: an entry that may have wildcards.
func (p *parser) entryMatch() string {
	if p.atString() {
		return p.quotedOrLiteral("an entry")
	}
	b := p.while(isListChar)
	if len(b) == 0 {
		p.expected("an entry")
	}
	return string(b)
}

func (item FetchItem) appendAnnotation(b []byte) []byte {
	b = append(b, "ANNOTATION (("...)
	for i, e := range item.Entries {
		b = appendString(separate(b, i), e)
	}
	b = append(b, ") ("...)
	for i, a := range item.Attributes {
		b = appendAString(separate(b, i), a)
	}
	return append(b, "))"...)
}

// AnnotationKey is ANNOTATION of SEARCH (RFC 5257 §4.8): Text is in the value of an
// entry that Entry, which may have wildcards, matches.
type AnnotationKey struct {
	Entry     string
	Attribute string // value, value.priv or value.shared
	Text      string
}

func (k *keyParser) annotation() SearchKey {
	k.sp()
	key := AnnotationKey{Entry: k.entryMatch()}
	k.sp()
	key.Attribute = strings.ToLower(k.astring("an attribute"))
	if key.Attribute != "value" && key.Attribute != "value.priv" && key.Attribute != "value.shared" {
		k.expected("value, value.priv or value.shared")
	}
	key.Text = k.text()
	return key
}

func (k AnnotationKey) appendTo(b []byte) []byte {
	b = append(appendString(append(b, "ANNOTATION "...), k.Entry), ' ')
	return appendAString(append(append(b, k.Attribute...), ' '), k.Text)
}
