package wire

// ESearch is ESEARCH (RFC 7377).
type ESearch struct {
	In     []MailboxFilter // nil without IN: the selected mailbox
	Return *SearchReturn   // nil without RETURN
	Program
}

func parseESearch(p *parser) Body {
	s := &ESearch{}
	p.sp()
	name := p.searchWord()
	if name == "IN" {
		p.sp()
		p.sources(s)
		p.sp()
		name = p.searchWord()
	}
	if name == "RETURN" {
		s.Return = p.searchReturns()
		p.sp()
		name = p.searchWord()
	}
	s.Program = p.program(name)
	return s
}

// sources reads the list of esearch-source-opts. Scope options may follow in it,
// of which there are none.
func (p *parser) sources(s *ESearch) {
	p.list(func() {
		f := p.mailboxFilter()
		if f.Kind == FilterSelectedDelayed {
			p.expected("SELECTED") // RFC 7377 §2.2
		}
		s.In = append(s.In, f)
	})
	if len(s.In) == 0 {
		p.expected("which mailboxes")
	}
}

func (*ESearch) Name() string { return "ESEARCH" }

func (c *ESearch) appendTo(b []byte) []byte {
	if c.In != nil {
		b = append(b, " IN ("...)
		for i, f := range c.In {
			b = f.appendTo(separate(b, i))
		}
		b = append(b, ')')
	}
	return c.Program.appendTo(append(c.Return.appendTo(b), ' '))
}
