package wire

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"lockstep/internal/mail"
)

// Fetch is FETCH and UID FETCH (RFC 9051 §6.4.5, RFC 7162 §3.1.4 and §3.2.6, RFC
// 9394 §3.3).
type Fetch struct {
	UID          bool
	Set          SeqSet
	Items        []FetchItem // macros come as what they stand for
	ChangedSince *mail.ModSeq
	Vanished     bool
	Partial      *PartialRange // nil without PARTIAL
}

// A FetchKind is a data item without its section.
type FetchKind uint8

// The data items of FETCH.
const (
	FetchUID FetchKind = iota
	FetchFlags
	FetchInternalDate
	FetchEnvelope
	FetchBodyStructure // BODYSTRUCTURE
	FetchBody          // BODY without a section: the structure without extensions
	FetchSection       // BODY[…] and BODY.PEEK[…]
	FetchRFC822        // RFC 3501 §6.4.5
	FetchRFC822Header
	FetchRFC822Text
	FetchRFC822Size
	FetchBinary     // BINARY[…] and BINARY.PEEK[…] (RFC 3516)
	FetchBinarySize // BINARY.SIZE[…]
	FetchModSeq     // RFC 7162
	FetchEmailID    // RFC 8474
	FetchThreadID
	FetchSaveDate   // RFC 8514
	FetchPreview    // RFC 8970
	FetchAnnotation // RFC 5257
)

var fetchNames = [...]string{"UID", "FLAGS", "INTERNALDATE", "ENVELOPE", "BODYSTRUCTURE", "BODY", "BODY", "RFC822", "RFC822.HEADER",
	"RFC822.TEXT", "RFC822.SIZE", "BINARY", "BINARY.SIZE", "MODSEQ", "EMAILID", "THREADID", "SAVEDATE", "PREVIEW", "ANNOTATION"}

// simpleFetch has the items that are a name only.
var simpleFetch = map[string]FetchKind{"UID": FetchUID, "FLAGS": FetchFlags, "INTERNALDATE": FetchInternalDate,
	"ENVELOPE": FetchEnvelope, "BODYSTRUCTURE": FetchBodyStructure, "BODY": FetchBody, "RFC822": FetchRFC822,
	"RFC822.HEADER": FetchRFC822Header, "RFC822.TEXT": FetchRFC822Text, "RFC822.SIZE": FetchRFC822Size, "MODSEQ": FetchModSeq,
	"EMAILID": FetchEmailID, "THREADID": FetchThreadID, "SAVEDATE": FetchSaveDate,
	"PREVIEW": FetchPreview}

// fetchMacros are the macros of RFC 9051 §6.4.5.
var fetchMacros = map[string][]FetchKind{
	"FAST": {FetchFlags, FetchInternalDate, FetchRFC822Size},
	"ALL":  {FetchFlags, FetchInternalDate, FetchRFC822Size, FetchEnvelope},
	"FULL": {FetchFlags, FetchInternalDate, FetchRFC822Size, FetchEnvelope, FetchBody},
}

// A FetchItem is one thing FETCH asks for. Section, Peek and Partial belong to
// FetchSection, FetchBinary and FetchBinarySize.
type FetchItem struct {
	Kind    FetchKind
	Section Section
	Peek    bool     // do not set \Seen
	Partial *Partial // nil for all of it
	Lazy    bool     // of FetchPreview: only if it costs no time (RFC 8970 §4.1)

	Entries, Attributes []string // of FetchAnnotation
}

// A Section names a piece of a message (RFC 9051 §9 section-spec).
type Section struct {
	Part   []uint32    // numbers of nested parts; empty for the message itself
	Text   SectionText // which piece of the part
	Fields []string    // of HeaderFields and HeaderFieldsNot, as spelled
}

// A SectionText is section-msgtext or MIME.
type SectionText uint8

// The pieces of a part.
const (
	SectionAll SectionText = iota
	SectionHeader
	SectionHeaderFields
	SectionHeaderFieldsNot
	SectionTextOnly // TEXT
	SectionMIME
)

var sectionNames = [...]string{"", "HEADER", "HEADER.FIELDS", "HEADER.FIELDS.NOT", "TEXT", "MIME"}

// Partial is <offset.length> of a section.
type Partial struct{ Offset, Length int64 }

func parseFetch(p *parser) Body    { return p.fetch(&Fetch{}) }
func parseUIDFetch(p *parser) Body { return p.fetch(&Fetch{UID: true}) }

func (p *parser) fetch(f *Fetch) Body {
	f.Set = p.spSeqSet()
	p.sp()
	p.fetchItems(f)
	if p.accept(' ') {
		p.list(func() { p.fetchModifier(f) })
		if f.Vanished && (!f.UID || f.ChangedSince == nil) {
			p.fail(bad("VANISHED needs UID FETCH and CHANGEDSINCE"))
		}
		if f.Partial != nil && !f.UID {
			p.fail(bad("PARTIAL needs UID FETCH"))
		}
	}
	return f
}

func (p *parser) fetchItems(f *Fetch) {
	if p.peek() == '(' {
		p.list(func() { f.Items = append(f.Items, p.fetchItem(p.word())) })
		if len(f.Items) == 0 {
			p.expected("a data item")
		}
		return
	}
	name := p.word()
	for _, kind := range fetchMacros[name] {
		f.Items = append(f.Items, FetchItem{Kind: kind})
	}
	if f.Items == nil {
		f.Items = []FetchItem{p.fetchItem(name)}
	}
}

func (p *parser) fetchItem(name string) FetchItem {
	if p.peek() == '[' {
		return p.sectionItem(name)
	}
	if name == "ANNOTATION" {
		return p.fetchAnnotation()
	}
	kind, ok := simpleFetch[name]
	if !ok {
		p.expected("a data item")
	}
	item := FetchItem{Kind: kind}
	if kind == FetchPreview && p.modifiersFollow() {
		p.sp()
		p.list(func() { p.previewModifier(&item) })
	}
	return item
}

// modifiersFollow tells the modifiers of PREVIEW from those of FETCH, which may
// stand there too when the item is no list's.
func (p *parser) modifiersFollow() bool {
	const lazy = " (LAZY"
	rest := p.buf[min(p.pos, len(p.buf)):]
	return len(rest) > len(lazy) && strings.EqualFold(string(rest[:len(lazy)]), lazy) && !isWordChar(rest[len(lazy)])
}

func (p *parser) previewModifier(item *FetchItem) {
	if p.word() != "LAZY" {
		p.expected("LAZY")
	}
	item.Lazy = true
}

func (p *parser) sectionItem(name string) FetchItem {
	var item FetchItem
	switch name {
	case "BODY", "BODY.PEEK":
		item.Kind = FetchSection
		item.Section = p.section()
	case "BINARY", "BINARY.PEEK":
		item.Kind = FetchBinary
		item.Section = p.section()
	case "BINARY.SIZE":
		item.Kind = FetchBinarySize
		item.Section = p.section()
		return item
	default:
		p.expected("a data item")
	}
	item.Peek = strings.HasSuffix(name, ".PEEK")
	if p.accept('<') {
		item.Partial = p.partial(item.Kind == FetchBinary)
	}
	return item
}

// partial reads "<" number64 "." nz-number64 ">" behind its beginning. Of BINARY
// some clients want all from the offset on, and leave the length out.
func (p *parser) partial(toTheEnd bool) *Partial {
	offset := p.number64()
	if toTheEnd && p.accept('>') {
		return &Partial{offset, math.MaxInt64}
	}
	p.expect('.', `"."`)
	length := p.number64()
	if length == 0 {
		p.expected("a length above zero")
	}
	p.expect('>', `">"`)
	return &Partial{offset, length}
}

// section reads "[" [section-spec] "]". BINARY names only parts by RFC 3516, but some
// clients ask it for headers and texts too.
func (p *parser) section() Section {
	p.expect('[', `"["`)
	s := Section{Part: p.part()}
	if c := p.peek(); c != ']' && (len(s.Part) == 0 || p.accept('.')) {
		p.sectionText(&s)
	}
	p.expect(']', `"]"`)
	return s
}

// part reads numbers joined by dots, and leaves a dot that no number follows.
func (p *parser) part() []uint32 {
	var part []uint32
	for isDigit(p.peek()) {
		part = append(part, p.nzNumber())
		p.bound(len(part))
		if p.peek() != '.' || p.pos+1 >= len(p.buf) || !isDigit(p.buf[p.pos+1]) {
			break
		}
		p.pos++
	}
	return part
}

func (p *parser) sectionText(s *Section) {
	n := slices.Index(sectionNames[1:], p.word())
	s.Text = SectionText(n + 1)
	switch {
	case n < 0, s.Text == SectionMIME && len(s.Part) == 0:
		p.expected("a section")
	case s.Text == SectionHeaderFields || s.Text == SectionHeaderFieldsNot:
		p.sp()
		p.list(func() { s.Fields = append(s.Fields, p.fieldName()) })
		if len(s.Fields) == 0 {
			p.expected("a header field")
		}
	}
}

// fieldName reads header-fld-name: an astring that can name a header field
// (RFC 5322 §2.2).
func (p *parser) fieldName() string {
	name := p.astring("a header field")
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f || c == ':' {
			p.expected("a header field")
			return ""
		}
	}
	if name == "" {
		p.expected("a header field")
	}
	return name
}

func (p *parser) fetchModifier(f *Fetch) {
	switch p.word() {
	case "CHANGEDSINCE":
		p.sp()
		f.ChangedSince = p.modSeq()
	case "VANISHED":
		f.Vanished = true
	case "PARTIAL":
		f.Partial = p.partialRange()
	default:
		p.expected("CHANGEDSINCE, VANISHED or PARTIAL")
	}
}

func (c *Fetch) Name() string { return uidName(c.UID, "FETCH", "UID FETCH") }

func (c *Fetch) appendTo(b []byte) []byte {
	b = appendItems(append(c.Set.appendTo(append(b, ' ')), ' '), c.Items)
	if m := c.modifiers(); len(m) > 0 {
		b = appendWords(append(b, ' '), m)
	}
	return b
}

func (c *Fetch) modifiers() (m []string) {
	if c.ChangedSince != nil {
		m = append(m, "CHANGEDSINCE "+strconv.FormatUint(uint64(*c.ChangedSince), 10))
	}
	if c.Vanished {
		m = append(m, "VANISHED")
	}
	if c.Partial != nil {
		m = append(m, "PARTIAL "+c.Partial.String())
	}
	return m
}

func appendItems(b []byte, items []FetchItem) []byte {
	b = append(b, '(')
	for i, item := range items {
		b = item.appendTo(separate(b, i))
	}
	return append(b, ')')
}

// appendTo is the item as the client asks for it.
func (item FetchItem) appendTo(b []byte) []byte {
	if item.Kind == FetchAnnotation {
		return item.appendAnnotation(b)
	}
	b = item.appendSection(b, item.Peek)
	if item.Lazy {
		b = append(b, " (LAZY)"...)
	}
	if item.Partial != nil {
		b = strconv.AppendInt(append(b, '<'), item.Partial.Offset, 10)
		b = append(strconv.AppendInt(append(b, '.'), item.Partial.Length, 10), '>')
	}
	return b
}

// AppendName is the item as a response names it: without .PEEK, and with the
// offset only of a partial (RFC 9051 §7.5.2).
func (item FetchItem) AppendName(b []byte) []byte {
	b = item.appendSection(b, false)
	if item.Partial != nil {
		b = append(strconv.AppendInt(append(b, '<'), item.Partial.Offset, 10), '>')
	}
	return b
}

func (item FetchItem) appendSection(b []byte, peek bool) []byte {
	b = append(b, fetchNames[item.Kind]...)
	if peek {
		b = append(b, ".PEEK"...)
	}
	if item.Kind != FetchSection && item.Kind != FetchBinary && item.Kind != FetchBinarySize {
		return b
	}
	return append(item.Section.appendTo(append(b, '[')), ']')
}

func (s Section) appendTo(b []byte) []byte {
	for i, n := range s.Part {
		if i > 0 {
			b = append(b, '.')
		}
		b = strconv.AppendUint(b, uint64(n), 10)
	}
	if s.Text == SectionAll {
		return b
	}
	if len(s.Part) > 0 {
		b = append(b, '.')
	}
	b = append(b, sectionNames[s.Text]...)
	if len(s.Fields) == 0 {
		return b
	}
	b = append(b, " ("...)
	for i, f := range s.Fields {
		b = appendAString(separate(b, i), f)
	}
	return append(b, ')')
}

// String is the item as the client asks for it.
func (item FetchItem) String() string { return string(item.appendTo(nil)) }
