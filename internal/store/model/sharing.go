package model

import (
	"cmp"
	"maps"
	"slices"

	"lockstep/internal/mail"
)

// grantKey is a principal in a mailbox.
type grantKey struct {
	mailbox   mail.MailboxID
	principal mail.PrincipalID
}

// ownKey is a message in a mailbox, for a member.
type ownKey struct {
	mailbox   mail.MailboxID
	uid       mail.UID
	principal mail.PrincipalID
}

// own is a member's \Seen of a message; the value never changes.
type own struct {
	seen   bool
	events []mail.ModSeq
}

// seenBy is a placement as a member sees it.
func (s *state) seenBy(p *mail.Placement, as mail.PrincipalID) mail.Placement {
	v := s.placed(p)
	b := s.boxes[p.Mailbox]
	if as == 0 || b == nil {
		return v
	}
	v.ModSeq = max(v.ModSeq, last(b.switched))
	if b.CommonSeen {
		return v
	}
	o := s.own[ownKey{p.Mailbox, p.UID, as}]
	v.ModSeq = max(v.ModSeq, last(o.events))
	v.Flags.System &^= mail.Seen
	if o.seen {
		v.Flags.System |= mail.Seen
	}
	return v
}

// placed is a placement as it is shown: everything changed when the account came
// back.
func (s *state) placed(p *mail.Placement) mail.Placement {
	v := *p
	v.ModSeq = max(v.ModSeq, s.account.Restored)
	return v
}

func last(events []mail.ModSeq) mail.ModSeq {
	if len(events) == 0 {
		return 0
	}
	return events[len(events)-1]
}

// lifeFor is the life of a placement with what happened to it for a member.
func (s *state) lifeFor(l *life, as mail.PrincipalID) *life {
	b := s.boxes[l.mailbox]
	at := append(slices.Clone(b.switched), s.own[ownKey{l.mailbox, l.uid, as}].events...)
	mine := *l
	for _, n := range at {
		if l.alive(n) {
			mine.events = append(slices.Clip(mine.events), event{n, mail.Updated})
		}
	}
	slices.SortStableFunc(mine.events, func(a, b event) int { return cmp.Compare(a.at, b.at) })
	return &mine
}

// given returns the grants of a mailbox, by principal.
func (s *state) given(mb mail.MailboxID) []mail.Grant {
	var all []mail.Grant
	for k, g := range s.grants {
		if k.mailbox == mb && g.Rights != 0 {
			all = append(all, g)
		}
	}
	slices.SortFunc(all, func(a, b mail.Grant) int { return cmp.Compare(a.Principal, b.Principal) })
	return all
}

// shares says whether a principal, or anyone, has been given something.
func (s *state) shares(p mail.PrincipalID) bool {
	for k, g := range s.grants {
		if (k.principal == p || k.principal == mail.Anyone) && g.Rights != 0 {
			return true
		}
	}
	return false
}

// mayFollow says whether a member may ask what changed since.
func (s *state) mayFollow(mb mail.MailboxID, as mail.PrincipalID, since mail.ModSeq) error {
	if as == 0 {
		return nil
	}
	if !mail.RightsOf(s.given(mb), as).Has(mail.MayRead) {
		return mail.Errorf(mail.NotFound, "no such mailbox")
	}
	if since < max(s.grants[grantKey{mb, as}].Since, s.grants[grantKey{mb, mail.Anyone}].Since) {
		return tooOld()
	}
	return nil
}

func (r reader) MailboxAs(id mail.MailboxID, as mail.PrincipalID) (mail.Mailbox, error) {
	s := r.state()
	b, err := s.box(id)
	if err != nil || as == 0 {
		return r.Mailbox(id)
	}
	mb := s.shown(b)
	mb.HighestModSeq = max(mb.HighestModSeq, last(b.switched), s.ownLast[grantKey{id, as}])
	mb.Counts.Unseen = 0
	for _, p := range b.list {
		if v := s.seenBy(p, as); !v.Flags.Has(mail.Seen) {
			mb.Counts.Unseen++
		}
	}
	return mb, nil
}

func (r reader) Rights(mb mail.MailboxID) ([]mail.Grant, error) {
	s := r.state()
	if _, err := s.box(mb); err != nil {
		return nil, err
	}
	return s.given(mb), nil
}

func (r reader) Shared(p mail.PrincipalID) (map[mail.MailboxID]mail.Rights, error) {
	s, all := r.state(), map[mail.MailboxID]mail.Rights{}
	for k, g := range s.grants {
		if (k.principal == p || k.principal == mail.Anyone) && g.Rights != 0 {
			all[k.mailbox] |= g.Rights
		}
	}
	return all, nil
}

func (r reader) OwnSeen(mb mail.MailboxID, as mail.PrincipalID, uids mail.UIDSet) (mail.UIDSet, error) {
	var seen []mail.UID
	for k, o := range r.raw().own {
		if k.mailbox == mb && k.principal == as && o.seen && uids.Contains(k.uid) {
			seen = append(seen, k.uid)
		}
	}
	return mail.MakeUIDSet(seen...), nil
}

// SetRights says what a principal may do in a mailbox.
func (t *tx) SetRights(mb mail.MailboxID, p mail.PrincipalID, r mail.Rights) error {
	if _, err := t.s.box(mb); err != nil {
		return err
	}
	had := t.s.grants[grantKey{mb, p}].Rights
	switch {
	case p == 0 || p < mail.Anyone || r&^mail.AllRights != 0:
		return mail.Errorf(mail.Invalid, "the owner has all rights")
	case had == 0 && r != 0 && len(t.s.given(mb)) >= mail.MaxGrants:
		return mail.Errorf(mail.Limit, "a mailbox is shared with at most %d", mail.MaxGrants)
	}
	t.grant(mb, p, r)
	return nil
}

func (t *tx) grant(mb mail.MailboxID, p mail.PrincipalID, r mail.Rights) {
	key := grantKey{mb, p}
	had := t.s.grants[key].Rights
	if had == r {
		return
	}
	t.s.grants[key] = mail.Grant{Principal: p, Rights: r, Since: t.n}
	t.touch(mb).PropsModSeq = t.n
	t.hailed[mb] = true
	t.did(mail.Entry{Op: mail.OpRights, Mailbox: mb, Who: p, Had: had, Has: r})
}

// setOwn sets a member's \Seen.
func (t *tx) setOwn(mb mail.MailboxID, uid mail.UID, p mail.PrincipalID, seen bool) {
	if !t.ownOwn {
		t.s.own, t.ownOwn = maps.Clone(t.s.own), true
	}
	key := ownKey{mb, uid, p}
	t.s.own[key] = own{seen, append(slices.Clip(t.s.own[key].events), t.n)}
	t.s.ownLast[grantKey{mb, p}] = t.n
	t.hailed[mb], t.dirty = true, true
}

func (t *tx) didOwn(mb mail.MailboxID, uids mail.UIDSet, p mail.PrincipalID, seen bool) {
	if len(uids) == 0 {
		return
	}
	e := mail.Entry{Op: mail.OpFlags, Mailbox: mb, UIDs: uids, Who: p, Added: []string{`\Seen`}}
	if !seen {
		e.Added, e.Removed = nil, e.Added
	}
	t.did(e)
}

// copyOwn gives a copy each member's \Seen.
func (t *tx) copyOwn(from mail.MailboxID, uid mail.UID, to mail.MailboxID, as mail.UID) {
	for k, o := range t.s.own {
		if k.mailbox == from && k.uid == uid && o.seen {
			t.setOwn(to, as, k.principal, true)
		}
	}
}

// forgetMember takes everything from a principal that is no more.
func (t *tx) forgetMember(p mail.PrincipalID) error {
	for _, id := range t.mailboxes() {
		if t.s.boxes[id] != nil {
			t.grant(id, p, 0)
		}
	}
	t.s.own = maps.Clone(t.s.own)
	maps.DeleteFunc(t.s.own, func(k ownKey, _ own) bool { return k.principal == p })
	maps.DeleteFunc(t.s.metadata, func(a annotation, _ mail.Metadata) bool { return a.who == p })
	return nil
}

// forgetOwn forgets what members had read of what is forgotten.
func (s *state) forgetOwn(horizon mail.ModSeq) {
	s.own = maps.Clone(s.own)
	for mb, ds := range s.left {
		for _, d := range ds {
			if d.at <= horizon {
				maps.DeleteFunc(s.own, func(k ownKey, _ own) bool { return k.mailbox == mb && k.uid == d.UID })
			}
		}
	}
	maps.DeleteFunc(s.grants, func(_ grantKey, g mail.Grant) bool { return g.Rights == 0 && g.Since <= horizon })
}

// rights takes a grant back.
func (u *undo) rights(e mail.Entry) {
	switch b := u.s.boxes[e.Mailbox]; {
	case b == nil:
		u.left("a mailbox that was shared is gone")
	case u.s.grants[grantKey{e.Mailbox, e.Who}].Rights != e.Has:
		u.left("rights in mailbox %s were changed since", b.Name)
	default:
		if err := u.SetRights(e.Mailbox, e.Who, e.Had); err != nil {
			u.left("mailbox %s: %s", b.Name, mail.DetailOf(err))
			return
		}
		u.report.Undone++
	}
}

// ownBack gives a member's \Seen back.
func (u *undo) ownBack(p *mail.Placement, who mail.PrincipalID, seen bool) {
	if u.s.own[ownKey{p.Mailbox, p.UID, who}].seen == seen {
		u.left("flags of a message were changed since")
		return
	}
	u.setOwn(p.Mailbox, p.UID, who, seen)
	u.didOwn(p.Mailbox, mail.MakeUIDSet(p.UID), who, seen)
	u.report.Undone++
}
