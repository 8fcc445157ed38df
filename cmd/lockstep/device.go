package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"lockstep/internal/admin"
	"lockstep/internal/mail"
)

type deviceCommand struct {
	List    deviceList    `cmd:"" help:"List the devices of an account."`
	Add     deviceAdd     `cmd:"" help:"Add a device with an app password of its own, and print it once."`
	Show    deviceShow    `cmd:"" help:"Show all that is known of a device: what it told of itself, how far it is in step, what it was told last."`
	Allow   deviceAllow   `cmd:"" aliases:"unblock" help:"Let a device in that is blocked, quarantined or wiped."`
	Block   deviceBlock   `cmd:"" help:"Keep a device out, by whatever protocol and password."`
	SignOut deviceSignOut `cmd:"" help:"Revoke a device's app password and end its sessions."`
	Wipe    deviceWipe    `cmd:"" help:"Keep a device out and ask it to remove the account, or all it holds."`
	Policy  devicePolicy  `cmd:"" help:"See the policies for devices, or choose one for an account."`
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
	case d.Wipe.State != mail.WipeNone:
		return "wipe " + string(d.Wipe.State)
	case d.Access != mail.Allowed:
		return d.Access.String()
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
	Only  []string `help:"Protocols its password is for: imap, pop3, submission, eas. Default: all." placeholder:"PROTOCOL"`
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
		row, err := admin.DeviceAccess.One(ctx, c, admin.NewAccess{OfDevice: admin.OfDevice{Login: d.Login, Device: d.Device}, Access: mail.Blocked})
		return said(err, "Blocked %s.", row.Name)
	})
}

type deviceAllow struct {
	Login  string `arg:"" help:"The account."`
	Device string `arg:"" help:"The device's name or number."`
}

func (d *deviceAllow) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		row, err := admin.DeviceAccess.One(ctx, c, admin.NewAccess{OfDevice: admin.OfDevice{Login: d.Login, Device: d.Device}, Access: mail.Allowed})
		if err == nil && row.Wipe.State == mail.WipeSent {
			return said(nil, "%s may sign in again. It was told already to wipe, and may still do so.", row.Name)
		}
		return said(err, "%s may sign in again.", row.Name)
	})
}

type deviceWipe struct {
	Login  string `arg:"" help:"The account."`
	Device string `arg:"" help:"The device's name or number."`
	Full   bool   `help:"Erase all the device holds, as if it were new: also what has nothing to do with this account."`
	Yes    bool   `help:"Do --full without asking."`
}

func (d *deviceWipe) Run(ctx context.Context, g *globals) error {
	scope := mail.WipeAccount
	if d.Full {
		scope = mail.WipeDevice
		if !d.Yes {
			question := fmt.Sprintf("Erase everything on the device %s of %s, private things too? There is no way back. Type the account's address to confirm: ", d.Device, d.Login)
			if err := confirm(question, d.Login); err != nil {
				return err
			}
		}
	}
	return g.with(ctx, func(c *admin.Client) error {
		row, err := admin.DeviceWipe.One(ctx, c, admin.NewWipe{OfDevice: admin.OfDevice{Login: d.Login, Device: d.Device}, Scope: scope})
		if err != nil {
			return err
		}
		fmt.Printf("%s is kept out from now on%s\n", row.Name, wipeOutlook(row, d.Login))
		if !row.AppPassword {
			fmt.Println("It signs in with the account's own password, which programs on it may still use by other protocols: change that too, once it was told.")
		}
		return nil
	})
}

// wipeOutlook says what will become of a wipe that was just asked for.
func wipeOutlook(d admin.Device, login string) string {
	switch {
	case d.ActiveSync == "":
		return ". It never spoke ActiveSync, so it can't be told to remove anything: it keeps what it has."
	case d.Wipe.Scope == mail.WipeAccount && d.ActiveSync != removesAccounts:
		return fmt.Sprintf(". It last spoke ActiveSync %s, which has no word for removing an account alone: it keeps what it has. Only --full is understood.", d.ActiveSync)
	}
	return fmt.Sprintf(", and is told to %s when it next comes. To see what came of it: lockstep device show %s %d", wipeWords(d.Wipe.Scope), login, d.ID)
}

// removesAccounts is the version of ActiveSync that knows of removing one account.
const removesAccounts = "16.1"

func wipeWords(s mail.WipeScope) string {
	if s == mail.WipeDevice {
		return "erase all it holds"
	}
	return "remove the account"
}

type devicePolicy struct {
	Login string `arg:"" optional:"" help:"The account; without one, all policies and who chose them."`
	Name  string `arg:"" optional:"" help:"The policy to choose for it: default, or one of the configuration."`
}

func (d *devicePolicy) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		if d.Name != "" {
			err := admin.PolicySet.Do(ctx, c, admin.PolicyOf{Login: d.Login, Name: d.Name})
			return said(err, "The devices of %s are under the policy %s now, as each of them next comes.", d.Login, d.Name)
		}
		rows, err := admin.PolicyList.All(ctx, c, admin.Nothing{})
		if err != nil {
			return err
		}
		return printPolicies(rows, d.Login)
	})
}

// printPolicies lists policies, or says which one an account has.
func printPolicies(rows []admin.Policy, login string) error {
	t := newTable("POLICY", "ACCOUNTS", "")
	for _, p := range rows {
		note := ""
		if p.Missing {
			note = "not configured: the default policy holds"
		}
		switch {
		case login == "":
			t.row(p.Name, len(p.Accounts), note)
		case slices.ContainsFunc(p.Accounts, func(a string) bool { return strings.EqualFold(a, login) }):
			fmt.Println(strings.TrimSuffix(p.Name+", "+note, ", "))
			return nil
		}
	}
	if login != "" {
		return fmt.Errorf("there is no account %s; see: lockstep account list", login)
	}
	return t.print(os.Stdout)
}
