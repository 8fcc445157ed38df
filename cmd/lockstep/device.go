package main

import (
	"context"
	"fmt"
	"os"

	"lockstep/internal/admin"
	"lockstep/internal/mail"
)

type deviceCommand struct {
	List    deviceList    `cmd:"" help:"List the devices of an account."`
	Add     deviceAdd     `cmd:"" help:"Add a device with an app password of its own, and print it once."`
	SignOut deviceSignOut `cmd:"" help:"Revoke a device's app password and end its sessions."`
	Block   deviceBlock   `cmd:"" help:"Keep a device out, by whatever protocol and password."`
	Unblock deviceUnblock `cmd:"" help:"Let a blocked device in again."`
}

type deviceList struct {
	Login string `arg:"" help:"The account."`
}

func (d *deviceList) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		rows, err := admin.DeviceList.All(ctx, c, admin.OfAccount{Login: d.Login})
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			fmt.Printf("No devices yet. They appear when they sign in, or: lockstep device add %s phone\n", d.Login)
			return nil
		}
		t := newTable("NO", "DEVICE", "BY", "CONNECTED", "LAST SEEN", "FROM", "")
		for _, r := range rows {
			seen := "never"
			if !r.LastSeen.IsZero() {
				seen = r.LastSeen.Local().Format("2006-01-02 15:04")
			}
			t.row(int64(r.ID), r.Name, deviceBy(r), r.Connected, seen, r.LastAddr, deviceNote(r))
		}
		return t.print(os.Stdout)
	})
}

func deviceBy(d admin.Device) string {
	if d.Protocol == mail.Local {
		return "-"
	}
	return string(d.Protocol)
}

func deviceNote(d admin.Device) string {
	switch {
	case d.Blocked:
		return "blocked"
	case d.DownloadOnly && d.AppPassword:
		return "app password, download only"
	case d.DownloadOnly:
		return "download only"
	case d.AppPassword:
		return "app password"
	}
	return ""
}

type deviceAdd struct {
	Login string   `arg:"" help:"The account."`
	Name  string   `arg:"" help:"What to call the device."`
	Only  []string `help:"Protocols its password is for: imap, pop3, submission. Default: all." placeholder:"PROTOCOL"`
}

func (d *deviceAdd) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		q := admin.NewDevice{Login: d.Login, Name: d.Name}
		for _, p := range d.Only {
			q.Protocols = append(q.Protocols, mail.Protocol(p))
		}
		added, err := admin.DeviceAdd.One(ctx, c, q)
		if err != nil {
			return err
		}
		fmt.Printf("%s\n", added.Secret)
		fmt.Fprintf(os.Stderr, "This is the password of device %q; the login is %s. It is not shown again.\n", added.Name, d.Login)
		return nil
	})
}

type deviceSignOut struct {
	Login  string `arg:"" help:"The account."`
	Device string `arg:"" help:"The device's name or number."`
}

func (d *deviceSignOut) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		row, err := admin.DeviceSignOut.One(ctx, c, admin.OfDevice{Login: d.Login, Device: d.Device})
		if err == nil && !row.AppPassword {
			return said(nil, "Ended the sessions of %s. It has no password of its own, so it can come back with the account's; to keep it out: lockstep device block %s %d", row.Name, d.Login, row.ID)
		}
		return said(err, "Signed out %s: its app password is worth nothing now.", row.Name)
	})
}

type deviceBlock struct {
	Login  string `arg:"" help:"The account."`
	Device string `arg:"" help:"The device's name or number."`
}

func (d *deviceBlock) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		row, err := admin.DeviceBlock.One(ctx, c, admin.OfDevice{Login: d.Login, Device: d.Device, Blocked: true})
		return said(err, "Blocked %s.", row.Name)
	})
}

type deviceUnblock struct {
	Login  string `arg:"" help:"The account."`
	Device string `arg:"" help:"The device's name or number."`
}

func (d *deviceUnblock) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		row, err := admin.DeviceBlock.One(ctx, c, admin.OfDevice{Login: d.Login, Device: d.Device})
		return said(err, "%s may sign in again.", row.Name)
	})
}
