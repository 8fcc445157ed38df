package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"lockstep/internal/admin"
	"lockstep/internal/mail"
)

type mailboxCommand struct {
	List       mailboxList       `cmd:"" help:"List the mailboxes of an account."`
	Share      mailboxShare      `cmd:"" help:"Let somebody else see or change a mailbox; said again, change what they may do."`
	Unshare    mailboxUnshare    `cmd:"" help:"Share a mailbox with somebody no longer."`
	Shares     mailboxShares     `cmd:"" help:"List whom an account shares what with."`
	Undelete   mailboxUndelete   `cmd:"" help:"List the mailboxes that were deleted and can come back, or bring one back."`
	CommonSeen mailboxCommonSeen `cmd:"" name:"common-seen" help:"Make read and unread common to all who have a mailbox, or each one's own."`
}

type mailboxShare struct {
	Login   string `arg:"" help:"The owner's account."`
	Mailbox string `arg:"" help:"The mailbox, such as Projects/2026."`
	Who     string `arg:"" help:"With whom: an account, or anyone."`
	Rights  string `arg:"" optional:"" default:"read" help:"read, write, manage, or letters of RFC 4314 (lrswipkxtea)."`
}

func (m *mailboxShare) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		err := admin.MailboxShare.Do(ctx, c, admin.Share{Login: m.Login, Mailbox: m.Mailbox, Who: m.Who, Rights: m.Rights})
		return said(err, "%s shares %s with %s (%s). In their mail program it is %s/%s/%s.", m.Login, m.Mailbox, m.Who, m.Rights, mail.OtherUsers, m.Login, m.Mailbox)
	})
}

type mailboxUnshare struct {
	Login   string `arg:"" help:"The owner's account."`
	Mailbox string `arg:"" help:"The mailbox."`
	Who     string `arg:"" help:"With whom no longer: an account, or anyone."`
}

func (m *mailboxUnshare) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		err := admin.MailboxShare.Do(ctx, c, admin.Share{Login: m.Login, Mailbox: m.Mailbox, Who: m.Who})
		return said(err, "%s no longer shares %s with %s.", m.Login, m.Mailbox, m.Who)
	})
}

type mailboxShares struct {
	Login string `arg:"" help:"The owner's account."`
}

func (m *mailboxShares) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		rows, err := admin.MailboxShares.All(ctx, c, admin.OfAccount{Login: m.Login})
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			fmt.Printf("%s shares nothing. Share a mailbox: lockstep mailbox share %s Projects bob@example.test\n", m.Login, m.Login)
			return nil
		}
		t := newTable("MAILBOX", "WITH", "RIGHTS")
		for _, r := range rows {
			t.row(r.Mailbox, r.Who, r.Rights)
		}
		return t.print(os.Stdout)
	})
}

type mailboxCommonSeen struct {
	Login   string `arg:"" help:"The owner's account."`
	Mailbox string `arg:"" help:"The mailbox."`
	Common  string `arg:"" enum:"on,off" help:"on: what one has read all have read; off: each has their own."`
}

func (m *mailboxCommonSeen) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		err := admin.MailboxCommonSeen.Do(ctx, c, admin.CommonSeen{Login: m.Login, Mailbox: m.Mailbox, Common: m.Common == "on"})
		if m.Common == "on" {
			return said(err, "What one has read in %s is read for all.", m.Mailbox)
		}
		return said(err, "Each has their own read and unread in %s.", m.Mailbox)
	})
}

type mailboxList struct {
	Login string `arg:"" help:"The account."`
}

func (m *mailboxList) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		t := newTable("MAILBOX", "ROLE", "MESSAGES", "UNSEEN", "SIZE", "UIDVALIDITY", "UIDNEXT")
		err := admin.MailboxList.Each(ctx, c, admin.OfAccount{Login: m.Login}, func(r admin.Mailbox) error {
			t.row(r.Path, string(r.Role), r.Messages, r.Unseen, bytesText(r.Size), uint32(r.UIDValidity), uint32(r.UIDNext))
			return nil
		})
		if err != nil {
			return err
		}
		return t.print(os.Stdout)
	})
}

type queueCommand struct {
	List    queueList    `cmd:"" help:"List what is on its way out, in the order of the next attempt."`
	Release queueRelease `cmd:"" help:"Send what is held since a restore."`
	Drop    queueDrop    `cmd:"" help:"Remove what is held since a restore. Nobody is told."`
}

type queueList struct{}

func (queueList) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		t := newTable("NUMBER", "FROM", "TO", "SIZE", "SINCE", "ATTEMPTS", "NEXT", "LAST ERROR")
		err := admin.QueueList.Each(ctx, c, admin.Nothing{}, func(r admin.Outgoing) error {
			next := r.Next.Local().Format("01-02 15:04")
			if r.Restored {
				next = "held"
			}
			t.row(r.ID, "<"+r.From+">", r.To, bytesText(r.Size), r.Arrived.Local().Format("01-02 15:04"), r.Attempts, next, r.LastError)
			return nil
		})
		if err != nil {
			return err
		}
		return t.print(os.Stdout)
	})
}

// decision says which of the queue is meant.
type decision struct {
	Number int64 `arg:"" optional:"" help:"The number that the list shows."`
	All    bool  `help:"Everything that is held."`
}

// Help is what --help says below the flags.
func (decision) Help() string {
	return "After a restore, what was on its way out when the copy was made is held: it may have been sent since. Nothing else is touched."
}

func (d decision) do(ctx context.Context, g *globals, v admin.Verb[admin.Decide, admin.Decided], done string) error {
	if (d.Number > 0) == d.All {
		return errors.New("say which: the number that lockstep queue list shows, or --all")
	}
	return g.with(ctx, func(c *admin.Client) error {
		r, err := v.One(ctx, c, admin.Decide{ID: d.Number})
		if err == nil {
			fmt.Printf("%s %d of what was held.\n", done, r.Messages)
		}
		return err
	})
}

type queueRelease struct{ decision }

func (q queueRelease) Run(ctx context.Context, g *globals) error {
	return q.do(ctx, g, admin.QueueRelease, "Released")
}

type queueDrop struct{ decision }

func (q queueDrop) Run(ctx context.Context, g *globals) error {
	return q.do(ctx, g, admin.QueueDrop, "Dropped")
}
