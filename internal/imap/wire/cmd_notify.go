package wire

import (
	"strings"
)

// Notify is NOTIFY SET and NOTIFY NONE (RFC 5465 §3.1).
type Notify struct {
	Status bool         // SET STATUS
	Groups []EventGroup // none of them is NONE
}

// An EventGroup says what a client wants to hear of which mailboxes.
type EventGroup struct {
	Filter  MailboxFilter
	Events  EventSet    // empty for NONE
	Fetch   []FetchItem // what MessageNew is to bring along
	Unknown []string    // events that are none, as spelled
}

// EventSet is a set of events (RFC 5465 §5).
type EventSet uint16

// The events.
const (
	MessageNew EventSet = 1 << iota
	MessageExpunge
	FlagChange
	AnnotationChange
	MailboxName
	SubscriptionChange
	MailboxMetadataChange
	ServerMetadataChange

	MessageEvents = MessageNew | MessageExpunge | FlagChange | AnnotationChange
)

var eventNames = []string{"MessageNew", "MessageExpunge", "FlagChange", "AnnotationChange", "MailboxName", "SubscriptionChange", "MailboxMetadataChange",
	"ServerMetadataChange"}

// Names spells the events of the set.
func (s EventSet) Names() []string {
	var names []string
	for i, name := range eventNames {
		if s&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

func parseNotify(p *parser) Body {
	n := &Notify{}
	p.sp()
	switch p.word() {
	case "NONE":
		return n
	case "SET":
	default:
		p.expected("SET or NONE")
		return n
	}
	p.sp()
	if p.peek() != '(' {
		if n.Status = p.word() == "STATUS"; !n.Status {
			p.expected("STATUS or an event group")
		}
		p.sp()
	}
	for !p.failed() {
		n.Groups = append(n.Groups, p.eventGroup())
		p.bound(len(n.Groups))
		if !p.accept(' ') {
			break
		}
	}
	p.judge(n.Groups)
	return n
}

// eventGroup reads "(" filter-mailboxes SP events ")".
func (p *parser) eventGroup() EventGroup {
	var g EventGroup
	p.expect('(', "an event group")
	if g.Filter = p.mailboxFilter(); g.Filter.Kind == FilterSubtreeOne { // of RFC 7377 only
		p.expected("which mailboxes")
	}
	p.sp()
	if p.peek() == '(' {
		p.list(func() { p.event(&g) })
		if g.Events == 0 && g.Unknown == nil {
			p.expected("an event")
		}
	} else if p.word() != "NONE" {
		p.expected("events or NONE")
	}
	p.expect(')', `")"`)
	return g
}

// event reads one event, of MessageNew also what is to be fetched.
func (p *parser) event(g *EventGroup) {
	name := p.atom("an event")
	known := false
	for i, e := range eventNames {
		if strings.EqualFold(e, name) {
			g.Events |= 1 << i
			known = true
		}
	}
	if !known && !p.failed() {
		g.Unknown = append(g.Unknown, name)
	}
	if strings.EqualFold(name, eventNames[0]) && p.pos+1 < len(p.buf) && p.buf[p.pos] == ' ' && p.buf[p.pos+1] == '(' {
		p.pos++
		p.list(func() { g.Fetch = append(g.Fetch, p.fetchItem(p.word())) })
		if len(g.Fetch) == 0 {
			p.expected("a data item")
		}
	}
}

// judge refuses groups that contradict each other or themselves (RFC 5465 §5, §6.1,
// §8).
func (p *parser) judge(groups []EventGroup) {
	selected := 0
	for _, g := range groups {
		if g.Filter.Kind.IsSelected() {
			selected++
		}
		both := g.Events & (MessageNew | MessageExpunge)
		switch {
		case selected > 1:
			p.fail(bad("The selected mailbox can be named once only"))
		case g.Filter.Kind.IsSelected() && g.Events&^MessageEvents != 0:
			p.fail(bad("Of the selected mailbox there are message events only"))
		case g.Fetch != nil && !g.Filter.Kind.IsSelected():
			p.fail(bad("Data items can be asked for of the selected mailbox only"))
		case g.Events&MessageEvents != 0 && both != MessageNew|MessageExpunge:
			p.fail(bad("Message events need both MessageNew and MessageExpunge"))
		}
	}
}

func (*Notify) Name() string { return "NOTIFY" }

func (c *Notify) appendTo(b []byte) []byte {
	if c.Groups == nil {
		return append(b, " NONE"...)
	}
	b = append(b, " SET"...)
	if c.Status {
		b = append(b, " STATUS"...)
	}
	for _, g := range c.Groups {
		b = g.appendTo(append(b, ' '))
	}
	return b
}

func (g EventGroup) appendTo(b []byte) []byte {
	b = g.Filter.appendTo(append(b, '('))
	names := append(g.Events.Names(), g.Unknown...)
	if names == nil {
		return append(b, " NONE)"...)
	}
	b = append(b, " ("...)
	for i, name := range names {
		b = append(separate(b, i), name...)
		if name == eventNames[0] && g.Fetch != nil {
			b = append(b, " ("...)
			for j, item := range g.Fetch {
				b = item.appendTo(separate(b, j))
			}
			b = append(b, ')')
		}
	}
	return append(b, "))"...)
}
