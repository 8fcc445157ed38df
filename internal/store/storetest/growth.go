package storetest

import "lockstep/internal/mail"

// growth watches the numbers that only grow (promises 2 and 4).
type growth struct {
	head  mail.ModSeq
	boxes map[mail.MailboxID]mail.Mailbox // as last seen, also those that are gone
	given map[mail.UIDValidity]mail.MailboxID
}

// observe gives up if a number went back or was given twice.
func (g *growth) observe(sn *snapshot) {
	if g.boxes == nil {
		g.boxes, g.given = map[mail.MailboxID]mail.Mailbox{}, map[mail.UIDValidity]mail.MailboxID{}
	}
	if sn.account.Head < g.head {
		fail("head went from %d to %d", g.head, sn.account.Head)
	}
	g.head = sn.account.Head
	for _, mb := range sn.mailboxes {
		was, known := g.boxes[mb.ID]
		switch {
		case known && (mb.UIDNext < was.UIDNext || mb.UIDValidity != was.UIDValidity || mb.HighestModSeq < was.HighestModSeq):
			fail("%s went back: %+v, then %+v", mb.Path, was, mb)
		case g.given[mb.UIDValidity] != 0 && g.given[mb.UIDValidity] != mb.ID:
			fail("%s has UIDVALIDITY %d, which another mailbox had", mb.Path, mb.UIDValidity)
		}
		g.boxes[mb.ID], g.given[mb.UIDValidity] = mb, mb.ID
	}
}
