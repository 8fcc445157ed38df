package wire

// Sort is SORT and UID SORT (RFC 5256 §3, RFC 5267 §3).
type Sort struct {
	UID      bool
	Return   *SearchReturn // nil without RETURN
	Criteria []SortCriterion
	Program
}

// A SortKey is what messages are put in order by.
type SortKey string

// The sort keys.
const (
	SortArrival     SortKey = "ARRIVAL"
	SortCc          SortKey = "CC"
	SortDate        SortKey = "DATE"
	SortFrom        SortKey = "FROM"
	SortSize        SortKey = "SIZE"
	SortSubject     SortKey = "SUBJECT"
	SortTo          SortKey = "TO"
	SortDisplayFrom SortKey = "DISPLAYFROM" // RFC 5957
	SortDisplayTo   SortKey = "DISPLAYTO"
	SortRelevancy   SortKey = "RELEVANCY"  // RFC 6203 §5; the best first
	SortAnnotation  SortKey = "ANNOTATION" // RFC 5257 §4.9
)

var sortKeys = map[SortKey]bool{SortArrival: true, SortCc: true, SortDate: true, SortFrom: true, SortSize: true, SortSubject: true,
	SortTo: true, SortDisplayFrom: true, SortDisplayTo: true, SortRelevancy: true, SortAnnotation: true}

// A SortCriterion is sort-criterion of RFC 5256 §5.
type SortCriterion struct {
	Key     SortKey
	Reverse bool

	Entry, Attribute string // of SortAnnotation: value.priv or value.shared
}

// IsSame says whether two criteria are one but for their direction.
func (c SortCriterion) IsSame(d SortCriterion) bool {
	return c.Key == d.Key && c.Entry == d.Entry && c.Attribute == d.Attribute
}

func parseSort(p *parser) Body    { return p.sort(&Sort{}) }
func parseUIDSort(p *parser) Body { return p.sort(&Sort{UID: true}) }

func (p *parser) sort(s *Sort) Body {
	p.sp()
	if p.peek() != '(' {
		if p.word() != "RETURN" {
			p.expected("sort criteria")
		}
		s.Return = p.searchReturns()
		p.sp()
	}
	p.list(func() { s.Criteria = append(s.Criteria, p.sortCriterion()) })
	if len(s.Criteria) == 0 {
		p.expected("a sort criterion")
	}
	p.sp()
	s.Program = p.programIn(func(word string) string {
		if word != "RETURN" || s.Return != nil {
			return word
		}
		s.Return = p.searchReturns() // where some clients have it
		p.sp()
		return p.searchWord()
	})
	return s
}

func (p *parser) sortCriterion() (c SortCriterion) {
	name := p.word()
	if c.Reverse = name == "REVERSE"; c.Reverse {
		p.sp()
		name = p.word()
	}
	if c.Key = SortKey(name); !sortKeys[c.Key] {
		p.expected("a sort criterion")
	}
	if c.Key == SortAnnotation {
		p.sp()
		c.Entry = p.astring("an entry")
		p.sp()
		if c.Attribute = p.astring("an attribute"); c.Attribute != "value.priv" && c.Attribute != "value.shared" {
			p.expected("value.priv or value.shared")
		}
	}
	return c
}

func (c *Sort) Name() string { return uidName(c.UID, "SORT", "UID SORT") }

func (c *Sort) appendTo(b []byte) []byte {
	b = appendWords(append(c.Return.appendTo(b), ' '), c.names())
	return c.appendKeys(append(c.appendCharset(append(b, ' ')), ' '))
}

func (c *Sort) names() []string {
	var names []string
	for _, k := range c.Criteria {
		if k.Reverse {
			names = append(names, "REVERSE")
		}
		names = append(names, string(k.Key))
		if k.Key == SortAnnotation {
			names = append(names, string(appendAString(nil, k.Entry)), k.Attribute)
		}
	}
	return names
}

// A ThreadAlgorithm is thread-alg of RFC 5256 §5.
type ThreadAlgorithm string

// The algorithms.
const (
	ThreadOrderedSubject ThreadAlgorithm = "ORDEREDSUBJECT"
	ThreadReferences     ThreadAlgorithm = "REFERENCES"
	ThreadRefs           ThreadAlgorithm = "REFS" // draft-ietf-morg-inthread
)

// Thread is THREAD and UID THREAD (RFC 5256 §3).
type Thread struct {
	UID       bool
	Algorithm ThreadAlgorithm
	Program
}

func parseThread(p *parser) Body    { return p.thread(&Thread{}) }
func parseUIDThread(p *parser) Body { return p.thread(&Thread{UID: true}) }

func (p *parser) thread(t *Thread) Body {
	p.sp()
	switch t.Algorithm = ThreadAlgorithm(p.word()); t.Algorithm {
	case ThreadOrderedSubject, ThreadReferences, ThreadRefs:
	default:
		p.expected("ORDEREDSUBJECT, REFERENCES or REFS")
	}
	p.sp()
	t.Program = p.programIn(asIs)
	return t
}

func (c *Thread) Name() string { return uidName(c.UID, "THREAD", "UID THREAD") }

func (c *Thread) appendTo(b []byte) []byte {
	b = append(append(append(b, ' '), c.Algorithm...), ' ')
	return c.appendKeys(append(c.appendCharset(b), ' '))
}

// CancelUpdate is CANCELUPDATE (RFC 5267 §4.3.5).
type CancelUpdate struct{ Tags []string }

func parseCancelUpdate(p *parser) Body {
	c := &CancelUpdate{}
	for p.accept(' ') {
		p.bound(len(c.Tags) + 1)
		c.Tags = append(c.Tags, p.astring("a tag"))
	}
	if len(c.Tags) == 0 {
		p.expected("a tag")
	}
	return c
}

func (*CancelUpdate) Name() string { return "CANCELUPDATE" }

func (c *CancelUpdate) appendTo(b []byte) []byte {
	for _, tag := range c.Tags {
		b = appendString(append(b, ' '), tag)
	}
	return b
}
