package wire

import "strconv"

// UIDBatches is UIDBATCHES (RFC 10022): the mailbox in batches of Size messages,
// numbered from the newest.
type UIDBatches struct {
	Size        uint32
	First, Last uint32 // of the batches asked for; both 0 is all
}

// Unauthenticate is UNAUTHENTICATE (RFC 8437).
type Unauthenticate struct{}

func (*Unauthenticate) Name() string             { return "UNAUTHENTICATE" }
func (*Unauthenticate) appendTo(b []byte) []byte { return b }

func parseUIDBatches(p *parser) Body {
	p.sp()
	b := &UIDBatches{Size: p.nzNumber()}
	if p.accept(' ') {
		b.First = p.nzNumber()
		p.expect(':', `":"`)
		b.Last = p.nzNumber()
	}
	return b
}

func (*UIDBatches) Name() string { return "UIDBATCHES" }

func (c *UIDBatches) appendTo(b []byte) []byte {
	b = strconv.AppendUint(append(b, ' '), uint64(c.Size), 10)
	if c.First == 0 {
		return b
	}
	b = strconv.AppendUint(append(b, ' '), uint64(c.First), 10)
	return strconv.AppendUint(append(b, ':'), uint64(c.Last), 10)
}
