package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"lockstep/internal/admin"
	"lockstep/internal/mail"
)

type historyCommand struct {
	Login   string `arg:"" help:"The account."`
	Mailbox string `help:"Only what touched this mailbox." placeholder:"PATH"`
	UID     uint32 `name:"uid" help:"Only what touched this message of --mailbox." placeholder:"UID"`
	Device  string `help:"Only what this device did: its name or number." placeholder:"DEVICE"`
	Limit   int    `help:"The newest so many." default:"50"`
}

func (h *historyCommand) Run(ctx context.Context, g *globals) error {
	if h.UID != 0 && h.Mailbox == "" {
		return fmt.Errorf("a UID is a number in one mailbox: say which with --mailbox")
	}
	return g.with(ctx, func(c *admin.Client) error {
		q := admin.OfHistory{Login: h.Login, Mailbox: h.Mailbox, UID: mail.UID(h.UID), Device: h.Device, Limit: h.Limit}
		day := ""
		return admin.History.Each(ctx, c, q, func(e admin.Event) error {
			t := e.Time.Local()
			if d := t.Format("Monday, 2 January 2006"); d != day {
				day = d
				fmt.Println(day)
			}
			_, err := fmt.Printf("%s %s · act %d\n", t.Format(time.TimeOnly), strings.Map(printable, e.String()), e.Act)
			return err
		})
	})
}
