package main

import (
	"context"
	"os"

	"lockstep/internal/admin"
)

type mailboxCommand struct {
	List mailboxList `cmd:"" help:"List the mailboxes of an account."`
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
	List queueList `cmd:"" help:"List what is on its way out, in the order of the next attempt."`
}

type queueList struct{}

func (queueList) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		t := newTable("FROM", "TO", "SIZE", "SINCE", "ATTEMPTS", "NEXT", "LAST ERROR")
		err := admin.QueueList.Each(ctx, c, admin.Nothing{}, func(r admin.Outgoing) error {
			t.row("<"+r.From+">", r.To, bytesText(r.Size), r.Arrived.Local().Format("01-02 15:04"), r.Attempts, r.Next.Local().Format("01-02 15:04"), r.LastError)
			return nil
		})
		if err != nil {
			return err
		}
		return t.print(os.Stdout)
	})
}
