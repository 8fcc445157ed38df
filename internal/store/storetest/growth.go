package storetest

import "lockstep/internal/mail"

// growth watches the numbers that only grow (promises 2 and 4).
type growth struct {
	head     mail.ModSeq
	validity mail.UIDValidity
	boxes    map[mail.MailboxID]mail.Mailbox // as last seen, also those that are gone
}

// observe gives up if a number went back or was given twice.
func (g *growth) observe(sn *snapshot) {
	if g.boxes == nil {
		g.boxes = map[mail.MailboxID]mail.Mailbox{}
	}
	if sn.account.Head < g.head {
		fail("head went from %d to %d", g.head, sn.account.Head)
	}
	g.head = sn.account.Head
	newest := g.validity
	for _, mb := range sn.mailboxes {
		was, known := g.boxes[mb.ID]
		switch {
		case known && (mb.UIDNext < was.UIDNext || mb.UIDValidity != was.UIDValidity || mb.HighestModSeq < was.HighestModSeq):
			fail("%s went back: %+v, then %+v", mb.Path, was, mb)
		case !known && mb.UIDValidity <= g.validity:
			fail("%s is new and has UIDVALIDITY %d, one before had %d", mb.Path, mb.UIDValidity, g.validity)
		}
		newest = max(newest, mb.UIDValidity)
		g.boxes[mb.ID] = mb
	}
	g.validity = newest
}
