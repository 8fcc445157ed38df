package wire

import "strings"

// SetACL is SETACL (RFC 4314 §3.1).
type SetACL struct {
	Mailbox, Identifier string
	Mode                ACLMode
	Rights              string // letters, as spelled
}

// ACLMode is what SETACL does with the rights it names.
type ACLMode uint8

// The modes: rights replace those there are, are added to them or taken from them.
const (
	ACLReplace ACLMode = iota
	ACLAdd
	ACLRemove
)

// Commands on access control lists (RFC 4314 §3).
type (
	DeleteACL  struct{ Mailbox, Identifier string }
	GetACL     struct{ Mailbox string }
	ListRights struct{ Mailbox, Identifier string }
	MyRights   struct{ Mailbox string }
)

func parseSetACL(p *parser) Body {
	c := &SetACL{Mailbox: p.spMailbox(), Identifier: p.identifier()}
	p.sp()
	c.Rights = p.bytes("rights")
	switch {
	case strings.HasPrefix(c.Rights, "+"):
		c.Mode, c.Rights = ACLAdd, c.Rights[1:]
	case strings.HasPrefix(c.Rights, "-"):
		c.Mode, c.Rights = ACLRemove, c.Rights[1:]
	}
	return c
}

func parseDeleteACL(p *parser) Body  { return &DeleteACL{p.spMailbox(), p.identifier()} }
func parseGetACL(p *parser) Body     { return &GetACL{p.spMailbox()} }
func parseListRights(p *parser) Body { return &ListRights{p.spMailbox(), p.identifier()} }
func parseMyRights(p *parser) Body   { return &MyRights{p.spMailbox()} }

// identifier reads who it is about.
func (p *parser) identifier() string {
	p.sp()
	id := p.bytes("an identifier")
	if id == "" {
		p.expected("an identifier")
	}
	return id
}

func (*SetACL) Name() string     { return "SETACL" }
func (*DeleteACL) Name() string  { return "DELETEACL" }
func (*GetACL) Name() string     { return "GETACL" }
func (*ListRights) Name() string { return "LISTRIGHTS" }
func (*MyRights) Name() string   { return "MYRIGHTS" }

func appendSpString(b []byte, s string) []byte { return appendAString(append(b, ' '), s) }

func (c *SetACL) appendTo(b []byte) []byte {
	return appendSpString(appendSpString(appendSpMailbox(b, c.Mailbox), c.Identifier), [...]string{"", "+", "-"}[c.Mode]+c.Rights)
}

func (c *DeleteACL) appendTo(b []byte) []byte {
	return appendSpString(appendSpMailbox(b, c.Mailbox), c.Identifier)
}
func (c *GetACL) appendTo(b []byte) []byte { return appendSpMailbox(b, c.Mailbox) }
func (c *ListRights) appendTo(b []byte) []byte {
	return appendSpString(appendSpMailbox(b, c.Mailbox), c.Identifier)
}
func (c *MyRights) appendTo(b []byte) []byte { return appendSpMailbox(b, c.Mailbox) }
