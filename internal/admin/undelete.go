package admin

import (
	"context"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/undo"
)

// DeletedMailbox is one that can be brought back.
type DeletedMailbox struct {
	Path     string
	Messages int64
	Deleted  time.Time
	Who      string // "phone (imap)"
	Act      mail.ActID
}

// Undelete names a deleted mailbox.
type Undelete struct {
	Login   string
	Path    string
	Below   bool // with what was deleted below it
	Preview bool
}

// The verbs of deleted mailboxes.
var (
	MailboxDeleted  = Verb[OfAccount, DeletedMailbox]{"mailbox/deleted", (*Ops).mailboxDeleted}
	MailboxUndelete = Verb[Undelete, Undone]{"mailbox/undelete", (*Ops).mailboxUndelete}
)

func (o *Ops) mailboxDeleted(ctx context.Context, q OfAccount, emit func(DeletedMailbox) error) error {
	p, err := o.principal(ctx, q.Login)
	if err != nil {
		return err
	}
	var rows []DeletedMailbox
	err = o.Store.View(ctx, p.Account, func(r store.Reader) error {
		all, err := undo.Deleted(r)
		if err != nil {
			return err
		}
		n, err := readNames(r)
		for _, m := range all {
			rows = append(rows, DeletedMailbox{m.Path, m.Messages, m.Deleted.Time, n.who(m.Deleted), m.Deleted.Act})
		}
		return err
	})
	for _, row := range rows {
		if err == nil {
			err = emit(row)
		}
	}
	return err
}

func (o *Ops) mailboxUndelete(ctx context.Context, q Undelete, emit func(Undone) error) error {
	p, err := o.principal(ctx, q.Login)
	if err != nil {
		return err
	}
	done, err := undo.Undelete(ctx, o.Store, p.Account, operator(), q.Path, q.Below, q.Preview)
	if mail.KindOf(err) == mail.NotFound && err != nil {
		return mail.Errorf(mail.NotFound, "no mailbox %q of %s can come back; see those that can: lockstep mailbox undelete %[2]s", q.Path, p.Login)
	}
	if err != nil {
		return err
	}
	return emit(undone(done))
}
