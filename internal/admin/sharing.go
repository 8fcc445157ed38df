package admin

import (
	"context"
	"fmt"
	"strings"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Share says who may do what in a mailbox of somebody else; rights are those of RFC
// 4314, or one of the words in RightsWords, and "" is none.
type Share struct {
	Login   string // the owner
	Mailbox string
	Who     string // a login, or anyone
	Rights  string
}

// CommonSeen makes read and unread common to all who have a mailbox, or each one's
// own.
type CommonSeen struct {
	Login   string
	Mailbox string
	Common  bool
}

// The verbs of sharing.
var (
	MailboxShare      = Verb[Share, Nothing]{"mailbox/share", (*Ops).mailboxShare}
	MailboxShares     = Verb[OfAccount, Share]{"mailbox/shares", (*Ops).mailboxShares}
	MailboxCommonSeen = Verb[CommonSeen, Nothing]{"mailbox/common-seen", (*Ops).mailboxCommonSeen}
)

// RightsWords are rights that go together.
var RightsWords = map[string]string{"read": "lrs", "write": "lrswite", "manage": mail.AllRights.String()}

// anyone is whom everybody is.
const anyone = "anyone"

func parseRights(text string) (mail.Rights, error) {
	letters, ok := RightsWords[text]
	if !ok {
		letters = text
	}
	r, err := mail.ParseRights(letters)
	if err != nil {
		return 0, mail.Errorf(mail.Invalid, "%q says no rights: write read, write, manage, or letters of %s", text, mail.AllRights)
	}
	return r, nil
}

func (o *Ops) mailboxShare(ctx context.Context, q Share, _ func(Nothing) error) error {
	p, err := o.principal(ctx, q.Login)
	if err != nil {
		return err
	}
	rights, err := parseRights(q.Rights)
	if err != nil {
		return err
	}
	who := mail.Anyone
	if !strings.EqualFold(q.Who, anyone) {
		member, err := o.principal(ctx, q.Who)
		if err != nil {
			return err
		}
		if who = member.ID; who == p.ID {
			return mail.Errorf(mail.Invalid, "%s has all rights in what is theirs", p.Login)
		}
	}
	_, err = o.Store.Update(ctx, p.Account, operator(), func(tx store.Tx) error {
		mb, err := tx.MailboxByPath(q.Mailbox)
		if err != nil {
			return noMailbox(err, p.Login, q.Mailbox)
		}
		return tx.SetRights(mb.ID, who, rights)
	})
	return err
}

func (o *Ops) mailboxShares(ctx context.Context, q OfAccount, emit func(Share) error) error {
	p, err := o.principal(ctx, q.Login)
	if err != nil {
		return err
	}
	type given struct {
		path string
		mail.Grant
	}
	var all []given
	err = o.Store.View(ctx, p.Account, func(r store.Reader) error {
		all = nil
		boxes, err := r.Mailboxes()
		if err != nil {
			return err
		}
		for _, mb := range boxes {
			grants, err := r.Rights(mb.ID)
			if err != nil {
				return err
			}
			for _, g := range grants {
				all = append(all, given{mb.Path, g})
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	n := names{}
	for _, g := range all {
		if err := o.readMember(ctx, &n, g.Principal); err != nil {
			return err
		}
		if err := emit(Share{p.Login, g.path, n.member(g.Principal), g.Rights.String()}); err != nil {
			return err
		}
	}
	return nil
}

func (o *Ops) mailboxCommonSeen(ctx context.Context, q CommonSeen, _ func(Nothing) error) error {
	p, err := o.principal(ctx, q.Login)
	if err != nil {
		return err
	}
	_, err = o.Store.Update(ctx, p.Account, operator(), func(tx store.Tx) error {
		mb, err := tx.MailboxByPath(q.Mailbox)
		if err != nil {
			return noMailbox(err, p.Login, q.Mailbox)
		}
		im := mb.Image()
		im.CommonSeen = q.Common
		return tx.SetMailbox(mb.ID, im)
	})
	return err
}

// readMembers finds the logins of whom records speak.
func (o *Ops) readMembers(ctx context.Context, n *names, records []mail.Record) error {
	for _, rec := range records {
		for _, e := range rec.Entries {
			if err := o.readMember(ctx, n, e.Who); err != nil {
				return err
			}
		}
	}
	return nil
}

func (o *Ops) readMember(ctx context.Context, n *names, id mail.PrincipalID) error {
	if _, known := n.members[id]; id <= 0 || known {
		return nil
	}
	if n.members == nil {
		n.members = map[mail.PrincipalID]string{}
	}
	p, err := o.Directory.PrincipalByID(ctx, id)
	if err != nil && mail.KindOf(err) != mail.NotFound {
		return err
	}
	n.members[id] = p.Login // "" is one that was removed
	return nil
}

// member is how a principal is called.
func (n names) member(id mail.PrincipalID) string {
	switch {
	case id == mail.Anyone:
		return anyone
	case n.members[id] == "":
		return "a removed account"
	}
	return n.members[id]
}

// rights says a change of rights.
func (n names) rights(e mail.Entry) string {
	who, where := n.member(e.Who), n.mailbox(e.Mailbox, nil)
	switch {
	case e.Has == 0:
		return fmt.Sprintf("stopped sharing %s with %s", where, who)
	case e.Had == 0:
		return fmt.Sprintf("shared %s with %s (%s)", where, who, e.Has)
	}
	return fmt.Sprintf("changed what %s may do in %s from %s to %s", who, where, e.Had, e.Has)
}
