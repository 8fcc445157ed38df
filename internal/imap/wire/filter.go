package wire

import "slices"

// A MailboxFilter is filter-mailboxes of RFC 5465 §8, with SUBTREE-ONE of RFC
// 7377 §4.
type MailboxFilter struct {
	Kind      FilterKind
	Mailboxes []string // of the kinds that name some
}

// A FilterKind says which mailboxes a filter means.
type FilterKind uint8

// The kinds of filters.
const (
	FilterSelected FilterKind = iota
	FilterSelectedDelayed
	FilterInboxes
	FilterPersonal
	FilterSubscribed
	FilterSubtree
	FilterSubtreeOne
	FilterMailboxes
)

var filterNames = [...]string{"SELECTED", "SELECTED-DELAYED", "INBOXES", "PERSONAL", "SUBSCRIBED", "SUBTREE", "SUBTREE-ONE", "MAILBOXES"}

// NamesMailboxes reports whether mailboxes follow.
func (k FilterKind) NamesMailboxes() bool { return k >= FilterSubtree }

// IsSelected reports whether the filter is about the selected mailbox.
func (k FilterKind) IsSelected() bool { return k == FilterSelected || k == FilterSelectedDelayed }

// mailboxFilter reads filter-mailboxes.
func (p *parser) mailboxFilter() (f MailboxFilter) {
	n := slices.Index(filterNames[:], p.word())
	if n < 0 {
		p.expected("which mailboxes")
		return f
	}
	if f.Kind = FilterKind(n); !f.Kind.NamesMailboxes() {
		return f
	}
	p.sp()
	if p.peek() != '(' {
		f.Mailboxes = []string{p.mailbox()}
		return f
	}
	p.list(func() { f.Mailboxes = append(f.Mailboxes, p.mailbox()) })
	if len(f.Mailboxes) == 0 {
		p.expected("a mailbox name")
	}
	return f
}

func (f MailboxFilter) appendTo(b []byte) []byte {
	b = append(b, filterNames[f.Kind]...)
	if !f.Kind.NamesMailboxes() {
		return b
	}
	b = append(b, " ("...)
	for i, name := range f.Mailboxes {
		b = appendMailbox(separate(b, i), name, false)
	}
	return append(b, ')')
}
