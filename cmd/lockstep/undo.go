package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"lockstep/internal/admin"
	"lockstep/internal/mail"
)

type undoCommand struct {
	Act     int64  `arg:"" optional:"" help:"The number that history shows after \"act\"."`
	Account string `help:"Whose act it is; needed when there are several accounts." placeholder:"LOGIN"`
	Device  string `help:"All that this device did --since: its name or number." placeholder:"DEVICE"`
	Since   string `help:"From when on, such as 14:05, 3h (ago) or \"2026-11-20 15:04\"." placeholder:"TIME"`
	Preview bool   `help:"Only say what would come of it."`
}

func (u *undoCommand) Run(ctx context.Context, g *globals) error {
	q := admin.OfAct{Login: u.Account, Act: mail.ActID(u.Act), Device: u.Device, Preview: u.Preview}
	switch {
	case (u.Act != 0) == (u.Device != ""):
		return errors.New("say which act, or which device and since when: lockstep undo ACT, or lockstep undo --device phone --since 14:05")
	case (u.Device == "") != (u.Since == ""):
		return errors.New("--device and --since go together")
	case u.Since != "":
		since, err := parseWhen(u.Since, time.Now())
		if err != nil {
			return err
		}
		q.Since = since.Truncate(time.Second) // the whole of that second
	}
	return g.with(ctx, func(c *admin.Client) error {
		done, err := admin.Undo.One(ctx, c, q)
		if err != nil {
			return err
		}
		if u.Device != "" {
			fmt.Printf("%s did %s since %s.\n", strings.Map(printable, u.Device), inWords(done.Acts, "thing"), q.Since.Local().Format(time.DateTime))
		}
		sayUndone(done, u.Account, u.Preview)
		return nil
	})
}

// sayUndone says what an undo did, or would do.
func sayUndone(done admin.Undone, login string, preview bool) {
	if preview {
		fmt.Printf("Would put back %d.\n", done.Count)
	} else {
		fmt.Printf("Put back %d.\n", done.Count)
	}
	for _, left := range done.Left {
		fmt.Println("Left alone:", strings.Map(printable, left))
	}
	if done.Act == 0 {
		return
	}
	account := ""
	if login != "" {
		account = " --account " + login
	}
	fmt.Printf("To take that back: lockstep undo %d%s\n", done.Act, account)
}

type mailboxUndelete struct {
	Login   string `arg:"" help:"The account."`
	Mailbox string `arg:"" optional:"" help:"The mailbox to bring back, with the path it had; without one, those that can come back are listed."`
	Below   bool   `help:"Also what was deleted below it."`
	Preview bool   `help:"Only say what would come of it."`
}

func (m *mailboxUndelete) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		if m.Mailbox == "" {
			return m.list(ctx, c)
		}
		done, err := admin.MailboxUndelete.One(ctx, c, admin.Undelete{Login: m.Login, Path: m.Mailbox, Below: m.Below, Preview: m.Preview})
		if err != nil {
			return err
		}
		sayUndone(done, m.Login, m.Preview)
		return nil
	})
}

func (m *mailboxUndelete) list(ctx context.Context, c *admin.Client) error {
	rows, err := admin.MailboxDeleted.All(ctx, c, admin.OfAccount{Login: m.Login})
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		fmt.Println("No mailbox that was deleted can come back.")
		return nil
	}
	t := newTable("DELETED MAILBOX", "MESSAGES", "WHEN", "BY", "ACT")
	for _, r := range rows {
		t.row(r.Path, r.Messages, r.Deleted.Local().Format(time.DateTime), r.Who, r.Act)
	}
	return t.print(os.Stdout)
}
