package model

import (
	"cmp"
	"slices"

	"lockstep/internal/mail"
)

// life is what happened to one object that views follow.
type life struct {
	typ     mail.Type
	mailbox mail.MailboxID // of a placement
	uid     mail.UID       // of a placement
	emailID mail.EmailID   // of an email
	events  []event
}

type event struct {
	at mail.ModSeq
	op mail.ChangeOp
}

// alive says whether the object was there at n.
func (l *life) alive(n mail.ModSeq) bool {
	alive := false
	for _, e := range l.events {
		if e.at <= n {
			alive = e.op != mail.Destroyed
		}
	}
	return alive
}

// last returns the last event after since and not after target.
func (l *life) last(since, target mail.ModSeq) (last event) {
	for _, e := range l.events {
		if e.at > since && e.at <= target {
			last = e
		}
	}
	return last
}

// change compares what was known at since with what was there at target.
func (l *life) change(since, target mail.ModSeq) (mail.Change, bool) {
	e := l.last(since, target)
	c := mail.Change{UID: l.uid, EmailID: l.emailID, ModSeq: e.at}
	known, there := l.alive(since), l.alive(target)
	switch {
	case e.at == 0 || !known && !there:
		return c, false
	case !known:
		c.Op = mail.Created
	case there:
		c.Op = mail.Updated
	default:
		c.Op = mail.Destroyed
	}
	return c, true
}

// delta returns the difference between two positions, in the order of pages.
func (s *state) delta(t mail.Type, mb mail.MailboxID, as mail.PrincipalID, since, target mail.ModSeq) []mail.Change {
	var all []mail.Change
	for id, l := range s.lives.all {
		if l == nil || l.typ != t || l.mailbox != mb {
			continue
		}
		if as != 0 && t == mail.TypePlacement {
			l = s.lifeFor(l, as)
		}
		if c, ok := l.change(since, target); ok {
			c.ID = id
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b mail.Change) int {
		return cmp.Or(cmp.Compare(a.Op, b.Op), cmp.Compare(inOrder(t, a), inOrder(t, b)), cmp.Compare(a.ID, b.ID))
	})
	return all
}

// after says whether a change comes after the place a page stopped at.
func after(t mail.Type, c mail.Change, p mail.Position) bool {
	return cmp.Or(cmp.Compare(c.Op, p.Phase), cmp.Compare(inOrder(t, c), p.At), cmp.Compare(c.ID, p.ID)) > 0
}

// inOrder is by what changes of one kind are ordered: placements that came by their
// UIDs, whatever became of them since.
func inOrder(t mail.Type, c mail.Change) mail.ModSeq {
	if t == mail.TypePlacement && c.Op == mail.Created {
		return mail.ModSeq(c.UID)
	}
	return c.ModSeq
}

// live writes down what became of an object between two versions.
func (s *state) live(id int64, l life, was, is bool, n mail.ModSeq) {
	e := event{n, mail.Updated}
	switch {
	case !was && !is:
		return
	case !was:
		e.op = mail.Created
	case !is:
		e.op = mail.Destroyed
	}
	if old := s.lives.get(id); old != nil {
		l.events = old.events
	}
	l.events = append(slices.Clip(l.events), e)
	s.lives.set(id, &l)
	s.account.Last[l.typ] = n
}
