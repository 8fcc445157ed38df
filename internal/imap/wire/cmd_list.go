package wire

import "unicode/utf8"

// List is LIST, with the options of RFC 5258, RFC 6154 §2, RFC 5819 and RFC 9590.
type List struct {
	Reference string
	Patterns  []string
	Select    ListSelect
	Return    ListReturn
	Status    []StatusItem // nil without RETURN (STATUS …)
	Metadata  []string     // entries; nil without RETURN (METADATA …) (RFC 9590)
	Extended  bool         // any of the extended syntax was used
}

// ListSelect says which mailboxes LIST selects.
type ListSelect uint8

// The selection options.
const (
	SelectSubscribed ListSelect = 1 << iota
	SelectRemote
	SelectRecursiveMatch
	SelectSpecialUse
)

// ListReturn says what LIST tells of each mailbox.
type ListReturn uint8

// The return options, STATUS aside.
const (
	ReturnSubscribed ListReturn = 1 << iota
	ReturnChildren
	ReturnSpecialUse
	ReturnMyRights // RFC 8440
)

var listSelects = []struct {
	name string
	bit  ListSelect
}{{"SUBSCRIBED", SelectSubscribed}, {"REMOTE", SelectRemote}, {"RECURSIVEMATCH", SelectRecursiveMatch}, {"SPECIAL-USE", SelectSpecialUse}}

var listReturns = []struct {
	name string
	bit  ListReturn
}{{"SUBSCRIBED", ReturnSubscribed}, {"CHILDREN", ReturnChildren}, {"SPECIAL-USE", ReturnSpecialUse}, {"MYRIGHTS", ReturnMyRights}}

// Lsub is LSUB (RFC 3501 §6.3.9).
type Lsub struct{ Reference, Pattern string }

func parseLsub(p *parser) Body {
	l := &Lsub{Reference: p.spMailbox()}
	p.sp()
	l.Pattern = p.listMailbox()
	return l
}

func parseList(p *parser) Body {
	l := &List{}
	p.sp()
	if p.peek() == '(' {
		l.Extended = true
		p.list(func() { p.listSelect(l) })
		p.sp()
		if l.Select == SelectRecursiveMatch || l.Select == SelectRecursiveMatch|SelectRemote {
			p.fail(bad("RECURSIVEMATCH needs another selection option"))
		}
	}
	l.Reference = p.mailbox()
	p.sp()
	p.listPatterns(l)
	if p.accept(' ') {
		p.listReturns(l)
	}
	return l
}

func (p *parser) listSelect(l *List) {
	name := p.word()
	for _, s := range listSelects {
		if s.name == name {
			l.Select |= s.bit
			return
		}
	}
	p.expected("a selection option")
}

func (p *parser) listPatterns(l *List) {
	if p.peek() != '(' {
		l.Patterns = []string{p.listMailbox()}
		return
	}
	l.Extended = true
	p.list(func() { l.Patterns = append(l.Patterns, p.listMailbox()) })
	if len(l.Patterns) == 0 {
		p.expected("a pattern")
	}
}

func (p *parser) listReturns(l *List) {
	l.Extended = true
	if p.word() != "RETURN" {
		p.expected("RETURN")
	}
	p.sp()
	p.list(func() { p.listReturn(l) })
}

func (p *parser) listReturn(l *List) {
	name := p.word()
	if name == "STATUS" {
		p.sp()
		l.Status = p.statusItems()
		return
	}
	if name == "METADATA" {
		p.sp()
		l.Metadata = p.metadataEntries()
		return
	}
	for _, r := range listReturns {
		if r.name == name {
			l.Return |= r.bit
			return
		}
	}
	p.expected("a return option")
}

// listMailbox reads list-mailbox: a name with wildcards, decoded.
func (p *parser) listMailbox() string {
	if p.atString() {
		return p.decodeMailbox(p.stringBytes("a pattern"))
	}
	b := p.while(isListChar)
	if len(b) == 0 {
		p.expected("a pattern")
	}
	return p.decodeMailbox(string(b))
}

func (*List) Name() string { return "LIST" }
func (*Lsub) Name() string { return "LSUB" }

func (c *Lsub) appendTo(b []byte) []byte {
	return appendPattern(append(appendSpMailbox(b, c.Reference), ' '), c.Pattern)
}

func (c *List) appendTo(b []byte) []byte {
	if c.Extended {
		b = appendWords(append(b, ' '), c.selectNames())
	}
	b = append(appendSpMailbox(b, c.Reference), ' ')
	if !c.Extended {
		return appendPattern(b, c.Patterns[0])
	}
	b = append(b, '(')
	for i, pattern := range c.Patterns {
		b = appendPattern(separate(b, i), pattern)
	}
	return appendWords(append(b, ") RETURN "...), c.returnNames())
}

func (c *List) selectNames() []string {
	var names []string
	for _, s := range listSelects {
		if c.Select&s.bit != 0 {
			names = append(names, s.name)
		}
	}
	return names
}

func (c *List) returnNames() []string {
	var names []string
	for _, r := range listReturns {
		if c.Return&r.bit != 0 {
			names = append(names, r.name)
		}
	}
	if c.Status != nil {
		names = append(names, string(appendWords([]byte("STATUS "), c.Status)))
	}
	if c.Metadata != nil {
		entries := make([]string, len(c.Metadata))
		for i, e := range c.Metadata {
			entries[i] = string(appendAString(nil, e))
		}
		names = append(names, string(appendWords([]byte("METADATA "), entries)))
	}
	return names
}

// appendPattern always uses a string: a wildcard is no ASTRING-CHAR.
func appendPattern(b []byte, pattern string) []byte {
	if !utf8.ValidString(pattern) || !isPlainUTF7(pattern) {
		pattern = string(AppendUTF7(nil, pattern))
	}
	return appendString(b, pattern)
}
