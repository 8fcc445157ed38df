package wire

import (
	"strconv"
	"strings"
)

// GetQuota is GETQUOTA (RFC 9208 §4.1.1).
type GetQuota struct{ Root string }

// GetQuotaRoot is GETQUOTAROOT (RFC 9208 §4.1.2).
type GetQuotaRoot struct{ Mailbox string }

// SetQuota is SETQUOTA (RFC 9208 §4.1.3).
type SetQuota struct {
	Root   string
	Limits []QuotaLimit
}

// QuotaLimit is one resource and how much there may be of it; the name in
// capitals.
type QuotaLimit struct {
	Resource string
	Limit    int64
}

func parseGetQuota(p *parser) Body     { return &GetQuota{p.spQuotaRoot()} }
func parseGetQuotaRoot(p *parser) Body { return &GetQuotaRoot{p.spMailbox()} }

func parseSetQuota(p *parser) Body {
	s := &SetQuota{Root: p.spQuotaRoot()}
	p.sp()
	p.list(func() {
		name := strings.ToUpper(p.atom("a resource"))
		p.sp()
		s.Limits = append(s.Limits, QuotaLimit{name, p.number64()})
	})
	return s
}

func (p *parser) spQuotaRoot() string {
	p.sp()
	return p.astring("a quota root")
}

func (*GetQuota) Name() string     { return "GETQUOTA" }
func (*GetQuotaRoot) Name() string { return "GETQUOTAROOT" }
func (*SetQuota) Name() string     { return "SETQUOTA" }

func (c *GetQuota) appendTo(b []byte) []byte     { return appendAString(append(b, ' '), c.Root) }
func (c *GetQuotaRoot) appendTo(b []byte) []byte { return appendSpMailbox(b, c.Mailbox) }

func (c *SetQuota) appendTo(b []byte) []byte {
	b = append(appendAString(append(b, ' '), c.Root), " ("...)
	for i, l := range c.Limits {
		b = append(append(separate(b, i), l.Resource...), ' ')
		b = strconv.AppendInt(b, l.Limit, 10)
	}
	return append(b, ')')
}
