package wire

import (
	"strconv"

	"lockstep/internal/mail"
)

// Select is SELECT and EXAMINE (RFC 9051 §6.3.2, RFC 7162 §3.1.8).
type Select struct {
	Mailbox   string
	ReadOnly  bool // EXAMINE
	CondStore bool
	Annotate  bool     // tells of annotations that change (RFC 5257 §4.2)
	QResync   *QResync // nil when not given
}

// QResync is what the client knows of the mailbox (RFC 7162 §3.2.5).
type QResync struct {
	UIDValidity mail.UIDValidity
	ModSeq      mail.ModSeq
	Known       mail.UIDSet // nil when not given

	// MatchSeqs and MatchUIDs pair the sequence numbers the client has with their
	// UIDs, in growing order and of equal count; nil when not given.
	MatchSeqs []Range
	MatchUIDs mail.UIDSet
}

// Create is CREATE (RFC 9051 §6.3.4) with the uses of RFC 6154 §3.
type Create struct {
	Mailbox string
	Use     []string // such as \Drafts, as spelled
}

// Commands that name mailboxes.
type (
	Delete      struct{ Mailbox string }
	Rename      struct{ From, To string }
	Subscribe   struct{ Mailbox string }
	Unsubscribe struct{ Mailbox string }
)

// Status is STATUS (RFC 9051 §6.3.11).
type Status struct {
	Mailbox string
	Items   []StatusItem
}

// A StatusItem is something STATUS tells of a mailbox, as spelled there.
type StatusItem string

// The status items of RFC 9051, RFC 3501 (RECENT), RFC 7162, RFC 7889 and
// RFC 8474.
const (
	StatusMessages      StatusItem = "MESSAGES"
	StatusRecent        StatusItem = "RECENT"
	StatusUIDNext       StatusItem = "UIDNEXT"
	StatusUIDValidity   StatusItem = "UIDVALIDITY"
	StatusUnseen        StatusItem = "UNSEEN"
	StatusDeleted       StatusItem = "DELETED"
	StatusSize          StatusItem = "SIZE"
	StatusDeletedSize   StatusItem = "DELETED-STORAGE" // RFC 9208 §4.1.4
	StatusHighestModSeq StatusItem = "HIGHESTMODSEQ"
	StatusAppendLimit   StatusItem = "APPENDLIMIT"
	StatusMailboxID     StatusItem = "MAILBOXID"
)

var statusItems = func() map[string]StatusItem {
	m := map[string]StatusItem{}
	for _, s := range []StatusItem{StatusMessages, StatusRecent, StatusUIDNext, StatusUIDValidity, StatusUnseen, StatusDeleted,
		StatusSize, StatusDeletedSize, StatusHighestModSeq, StatusAppendLimit, StatusMailboxID} {
		m[string(s)] = s
	}
	return m
}()

func parseSelect(p *parser) Body  { return p.selectArgs(&Select{}) }
func parseExamine(p *parser) Body { return p.selectArgs(&Select{ReadOnly: true}) }

func (p *parser) selectArgs(s *Select) Body {
	s.Mailbox = p.spMailbox()
	if p.accept(' ') {
		p.list(func() { p.selectParam(s) })
	}
	return s
}

func (p *parser) selectParam(s *Select) {
	switch p.word() {
	case "CONDSTORE":
		s.CondStore = true
	case "ANNOTATE":
		s.Annotate = true
	case "QRESYNC":
		p.sp()
		s.QResync = p.qresync()
	default:
		p.expected("CONDSTORE, QRESYNC or ANNOTATE")
	}
}

// qresync reads the parenthesis of RFC 7162 §7: UIDVALIDITY, mod-sequence, then
// the known UIDs and the match data, both optional.
func (p *parser) qresync() *QResync {
	q := &QResync{}
	p.expect('(', `"("`)
	q.UIDValidity = mail.UIDValidity(p.nzNumber())
	p.sp()
	q.ModSeq = mail.ModSeq(p.number64())
	more := p.accept(' ')
	if more && p.peek() != '(' {
		q.Known = p.uidSet()
		more = p.accept(' ')
	}
	if more {
		p.seqMatch(q)
	}
	p.expect(')', `")"`)
	return q
}

func (p *parser) seqMatch(q *QResync) {
	p.expect('(', `"("`)
	seqs := p.uidSet()
	p.sp()
	q.MatchUIDs = p.uidSet()
	p.expect(')', `")"`)
	if seqs.Count() != q.MatchUIDs.Count() {
		p.fail(bad("As many UIDs as sequence numbers are needed"))
	}
	for _, r := range seqs {
		q.MatchSeqs = append(q.MatchSeqs, Range{uint32(r.First), uint32(r.Last)})
	}
}

func parseCreate(p *parser) Body {
	c := &Create{Mailbox: p.spMailbox()}
	if !p.accept(' ') {
		return c
	}
	p.list(func() {
		if p.word() != "USE" || c.Use != nil {
			p.expected("USE once")
			return
		}
		p.sp()
		c.Use = p.flagList()
	})
	return c
}

func parseDelete(p *parser) Body      { return &Delete{p.spMailbox()} }
func parseRename(p *parser) Body      { return &Rename{p.spMailbox(), p.spMailbox()} }
func parseSubscribe(p *parser) Body   { return &Subscribe{p.spMailbox()} }
func parseUnsubscribe(p *parser) Body { return &Unsubscribe{p.spMailbox()} }

func parseStatus(p *parser) Body {
	s := &Status{Mailbox: p.spMailbox()}
	p.sp()
	s.Items = p.statusItems()
	return s
}

func (p *parser) statusItems() []StatusItem {
	var items []StatusItem
	p.list(func() {
		item, ok := statusItems[p.word()]
		if !ok {
			p.expected("a status item")
		}
		items = append(items, item)
	})
	if len(items) == 0 {
		p.expected("a status item")
	}
	return items
}

func (c *Select) Name() string    { return uidName(c.ReadOnly, "SELECT", "EXAMINE") }
func (*Create) Name() string      { return "CREATE" }
func (*Delete) Name() string      { return "DELETE" }
func (*Rename) Name() string      { return "RENAME" }
func (*Subscribe) Name() string   { return "SUBSCRIBE" }
func (*Unsubscribe) Name() string { return "UNSUBSCRIBE" }
func (*Status) Name() string      { return "STATUS" }

func appendSpMailbox(b []byte, name string) []byte { return appendMailbox(append(b, ' '), name, false) }

func (c *Select) appendTo(b []byte) []byte {
	b = appendSpMailbox(b, c.Mailbox)
	var params []string
	if c.CondStore {
		params = append(params, "CONDSTORE")
	}
	if c.Annotate {
		params = append(params, "ANNOTATE")
	}
	if c.QResync != nil {
		params = append(params, string(c.QResync.appendTo(nil)))
	}
	if params == nil {
		return b
	}
	return appendWords(append(b, ' '), params)
}

func (q *QResync) appendTo(b []byte) []byte {
	b = strconv.AppendUint(append(b, "QRESYNC ("...), uint64(q.UIDValidity), 10)
	b = strconv.AppendUint(append(b, ' '), uint64(q.ModSeq), 10)
	if q.Known != nil {
		b = append(append(b, ' '), q.Known.String()...)
	}
	if q.MatchSeqs != nil {
		b = SeqSet{Ranges: q.MatchSeqs}.appendTo(append(b, " ("...))
		b = append(append(b, ' '), q.MatchUIDs.String()...)
		b = append(b, ')')
	}
	return append(b, ')')
}

func (c *Create) appendTo(b []byte) []byte {
	b = appendSpMailbox(b, c.Mailbox)
	if c.Use == nil {
		return b
	}
	return append(appendWords(append(b, " (USE "...), c.Use), ')')
}

func (c *Delete) appendTo(b []byte) []byte      { return appendSpMailbox(b, c.Mailbox) }
func (c *Rename) appendTo(b []byte) []byte      { return appendSpMailbox(appendSpMailbox(b, c.From), c.To) }
func (c *Subscribe) appendTo(b []byte) []byte   { return appendSpMailbox(b, c.Mailbox) }
func (c *Unsubscribe) appendTo(b []byte) []byte { return appendSpMailbox(b, c.Mailbox) }

func (c *Status) appendTo(b []byte) []byte {
	return appendWords(append(appendSpMailbox(b, c.Mailbox), ' '), c.Items)
}
