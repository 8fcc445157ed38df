package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"lockstep/internal/admin"
	"lockstep/internal/mail"
)

type guardCommand struct {
	List   guardList   `cmd:"" help:"List what devices deleted in a rush and nobody decided about."`
	Undo   guardUndo   `cmd:"" help:"Take back all that a device deleted in a flood."`
	Accept guardAccept `cmd:"" help:"Leave what was deleted deleted, so that it is forgotten in time."`
}

type guardList struct {
	Login string `arg:"" optional:"" help:"The account; without one, all."`
}

func (l *guardList) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		rows, err := admin.GuardList.All(ctx, c, admin.OfAccount{Login: l.Login})
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			fmt.Println("Nothing is to be decided.")
			return nil
		}
		t := newTable("ACCOUNT", "NO", "DEVICE", "DELETED", "FROM", "TO", "TOLD")
		for _, f := range rows {
			told := "no"
			if f.Told {
				told = "yes"
			}
			t.row(f.Login, int64(f.ID), strings.Map(printable, f.Device), f.Removed, f.Began.Local().Format("2006-01-02 15:04"), f.Ended.Local().Format("15:04"), told)
		}
		return t.print(os.Stdout)
	})
}

type guardUndo struct {
	Login string `arg:"" help:"The account."`
	No    int64  `arg:"" help:"The number that guard list shows."`
}

func (u *guardUndo) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		done, err := admin.GuardUndo.One(ctx, c, admin.OfFlood{Login: u.Login, ID: mail.ModSeq(u.No)})
		if err != nil {
			return err
		}
		sayUndone(done, u.Login, false)
		return nil
	})
}

type guardAccept struct {
	Login string `arg:"" help:"The account."`
	No    int64  `arg:"" help:"The number that guard list shows."`
}

func (a *guardAccept) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		err := admin.GuardAccept.Do(ctx, c, admin.OfFlood{Login: a.Login, ID: mail.ModSeq(a.No)})
		return said(err, "What was deleted stays deleted, and is forgotten when history is.")
	})
}
