package wire

import (
	"strconv"

	"lockstep/internal/mail"
)

// Expunge is EXPUNGE, and UID EXPUNGE of Set (RFC 4315 §2.1).
type Expunge struct {
	UID bool
	Set SeqSet // with UID only
}

// Copy is COPY and UID COPY.
type Copy struct {
	UID     bool
	Set     SeqSet
	Mailbox string
}

// Move is MOVE and UID MOVE (RFC 6851).
type Move struct {
	UID     bool
	Set     SeqSet
	Mailbox string
}

// Store is STORE and UID STORE (RFC 9051 §6.4.6, RFC 7162 §3.1.3, RFC 5257 §4.5).
type Store struct {
	UID            bool
	Set            SeqSet
	UnchangedSince *mail.ModSeq // nil when not given
	Mode           StoreMode
	Silent         bool
	Flags          []string          // as spelled; mail.NewFlags judges
	Annotation     []EntryAttributes // in place of flags (RFC 5257 §4.5); nil when not given
}

// A StoreMode says what STORE does with its flags.
type StoreMode uint8

// The modes: FLAGS, +FLAGS and -FLAGS.
const (
	StoreReplace StoreMode = iota
	StoreAdd
	StoreRemove
)

func parseUIDExpunge(p *parser) Body {
	p.sp()
	return &Expunge{UID: true, Set: p.seqSet()}
}

func parseCopy(p *parser) Body    { return &Copy{false, p.spSeqSet(), p.spMailbox()} }
func parseUIDCopy(p *parser) Body { return &Copy{true, p.spSeqSet(), p.spMailbox()} }
func parseMove(p *parser) Body    { return &Move{false, p.spSeqSet(), p.spMailbox()} }
func parseUIDMove(p *parser) Body { return &Move{true, p.spSeqSet(), p.spMailbox()} }

func (p *parser) spSeqSet() SeqSet {
	p.sp()
	return p.seqSet()
}

func parseStore(p *parser) Body    { return p.store(&Store{}) }
func parseUIDStore(p *parser) Body { return p.store(&Store{UID: true}) }

func (p *parser) store(s *Store) Body {
	s.Set = p.spSeqSet()
	p.sp()
	if p.peek() == '(' {
		p.list(func() { p.storeModifier(s) })
		p.sp()
	}
	switch {
	case p.accept('+'):
		s.Mode = StoreAdd
	case p.accept('-'):
		s.Mode = StoreRemove
	}
	switch word := p.word(); {
	case word == "ANNOTATION" && s.Mode == StoreReplace:
		p.sp()
		s.Annotation = p.annotation()
		return s
	case word == "FLAGS":
	case word == "FLAGS.SILENT":
		s.Silent = true
	default:
		p.expected("FLAGS")
	}
	p.sp()
	s.Flags = p.storeFlags()
	return s
}

func (p *parser) storeModifier(s *Store) {
	if p.word() != "UNCHANGEDSINCE" || s.UnchangedSince != nil {
		p.expected("UNCHANGEDSINCE once")
		return
	}
	p.sp()
	s.UnchangedSince = p.modSeq()
}

func (p *parser) modSeq() *mail.ModSeq {
	m := mail.ModSeq(p.number64())
	return &m
}

// storeFlags reads a flag-list or flags without parentheses.
func (p *parser) storeFlags() []string {
	if p.peek() == '(' {
		return p.flagList()
	}
	flags := []string{p.flag()}
	for p.accept(' ') {
		flags = append(flags, p.flag())
		p.bound(len(flags))
	}
	return flags
}

// bound fails when a list without parentheses has n members and may not.
func (p *parser) bound(n int) {
	if n > p.limits.Items {
		p.fail(badCode("TOOBIG", "Too many items in a list"))
	}
}

func (p *parser) flagList() []string {
	var flags []string
	p.list(func() { flags = append(flags, p.flag()) })
	return flags
}

// flag reads a flag as spelled. The common ones cost no allocation.
func (p *parser) flag() string {
	start := p.pos
	p.accept('\\')
	if len(p.while(isAtomChar)) == 0 {
		p.expected("a flag")
		return ""
	}
	text := p.buf[start:p.pos]
	for _, f := range commonFlags {
		if string(text) == f {
			return f
		}
	}
	return string(text)
}

var commonFlags = []string{`\Seen`, `\Deleted`, `\Flagged`, `\Answered`, `\Draft`, `$Forwarded`}

func (c *Expunge) Name() string { return uidName(c.UID, "EXPUNGE", "UID EXPUNGE") }
func (c *Copy) Name() string    { return uidName(c.UID, "COPY", "UID COPY") }
func (c *Move) Name() string    { return uidName(c.UID, "MOVE", "UID MOVE") }
func (c *Store) Name() string   { return uidName(c.UID, "STORE", "UID STORE") }

func uidName(uid bool, name, uidName string) string {
	if uid {
		return uidName
	}
	return name
}

func (c *Expunge) appendTo(b []byte) []byte {
	if !c.UID {
		return b
	}
	return c.Set.appendTo(append(b, ' '))
}

func (c *Copy) appendTo(b []byte) []byte {
	return appendMailbox(append(c.Set.appendTo(append(b, ' ')), ' '), c.Mailbox, false)
}

func (c *Move) appendTo(b []byte) []byte {
	return appendMailbox(append(c.Set.appendTo(append(b, ' ')), ' '), c.Mailbox, false)
}

func (c *Store) appendTo(b []byte) []byte {
	b = c.Set.appendTo(append(b, ' '))
	if c.UnchangedSince != nil {
		b = append(b, " (UNCHANGEDSINCE "...)
		b = append(strconv.AppendUint(b, uint64(*c.UnchangedSince), 10), ')')
	}
	if c.Annotation != nil {
		return appendAnnotation(append(b, ' '), c.Annotation)
	}
	b = append(b, [...]string{" FLAGS", " +FLAGS", " -FLAGS"}[c.Mode]...)
	if c.Silent {
		b = append(b, ".SILENT"...)
	}
	return appendWords(append(b, ' '), c.Flags)
}
