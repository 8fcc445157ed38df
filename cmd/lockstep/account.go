package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"lockstep/internal/admin"
	"lockstep/internal/config"
	"lockstep/internal/mail"
)

type accountCommand struct {
	Add          accountAdd          `cmd:"" help:"Add an account. The password is asked for, or read from standard input."`
	List         accountList         `cmd:"" help:"List the accounts."`
	Passwd       accountPasswd       `cmd:"" help:"Change an account's password. It is asked for, or read from standard input."`
	Quota        accountQuota        `cmd:"" help:"Set how much an account may keep."`
	Set          accountSet          `cmd:"" help:"Name an account's owner, or choose for it, such as pop3.delete=trash. NAME= chooses the default."`
	Show         accountShow         `cmd:"" help:"Show whose an account is, what is chosen for it, and what can be."`
	SecondFactor secondFactorCommand `cmd:"" help:"Let somebody in again who has lost a second factor."`
	Disable      accountDisable      `cmd:"" help:"Lock an account out and end its sessions. Its mail still arrives."`
	Enable       accountEnable       `cmd:"" help:"Let a disabled account in again."`
	Remove       accountRemove       `cmd:"" help:"Remove an account and all its mail. For a while it can be brought back."`
	Undelete     accountUndelete     `cmd:"" help:"List the removed accounts that can come back, or bring one back."`
}

type accountAdd struct {
	Login string       `arg:"" help:"The account's address, which is also its login."`
	Name  string       `help:"Whose it is, as others see it beside the address." placeholder:"NAME"`
	Quota *config.Size `help:"How much it may keep, such as 5GiB; 0B is without bound." placeholder:"SIZE"`
}

func (a *accountAdd) Run(ctx context.Context, g *globals) error {
	password, err := readPassword(a.Login, true)
	if err != nil {
		return err
	}
	c, err := g.reachOrMake(ctx)
	if err != nil {
		return err
	}
	q := admin.NewAccount{Login: a.Login, Name: a.Name, Password: password}
	if a.Quota != nil {
		n := int64(*a.Quota)
		q.Quota = &n
	}
	acc, err := admin.AccountAdd.One(ctx, c, q)
	if err == nil {
		fmt.Printf("Added %s. A device with a password of its own: lockstep device add %s phone\n", acc.Login, acc.Login)
	}
	return errors.Join(err, c.Close())
}

type accountList struct{}

func (accountList) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		rows, err := admin.AccountList.All(ctx, c, admin.Nothing{})
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			fmt.Println("No accounts yet. Add one: lockstep account add alice@example.test")
			return nil
		}
		t := newTable("ACCOUNT", "NAME", "MESSAGES", "USED", "QUOTA", "DEVICES", "MADE", "")
		for _, a := range rows {
			quota, note := "none", ""
			if a.Quota > 0 {
				quota = bytesText(a.Quota)
			}
			if a.Disabled {
				note = "disabled"
			}
			t.row(a.Login, a.Name, a.Messages, bytesText(a.Used), quota, a.Devices, a.Created.Local().Format("2006-01-02"), note)
		}
		return t.print(os.Stdout)
	})
}

type accountPasswd struct {
	Login string `arg:"" help:"The account."`
}

func (a *accountPasswd) Run(ctx context.Context, g *globals) error {
	password, err := readPassword(a.Login, true)
	if err != nil {
		return err
	}
	return g.with(ctx, func(c *admin.Client) error {
		err := admin.AccountPassword.Do(ctx, c, admin.NewPassword{Login: a.Login, Password: password})
		return said(err, "Changed the password of %s. Devices with an app password of their own stay signed in.", a.Login)
	})
}

type accountQuota struct {
	Login string      `arg:"" help:"The account."`
	Quota config.Size `arg:"" help:"How much it may keep, such as 5GiB; 0B is without bound."`
}

func (a *accountQuota) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		err := admin.AccountQuota.Do(ctx, c, admin.SetQuota{Login: a.Login, Quota: int64(a.Quota)})
		return said(err, "%s may keep %s now.", a.Login, a.Quota)
	})
}

type accountSet struct {
	Login  string  `arg:"" help:"The account."`
	Choice string  `arg:"" optional:"" help:"What to choose." placeholder:"NAME=VALUE"`
	Name   *string `help:"Whose it is, as others see it beside the address; \"\" takes the name away." placeholder:"NAME"`
}

func (a *accountSet) Run(ctx context.Context, g *globals) error {
	if a.Name == nil && a.Choice == "" {
		return fmt.Errorf("say what to set: --name, or NAME=VALUE; to see what can be chosen: lockstep account show %s", a.Login)
	}
	if a.Name != nil {
		if err := a.setName(ctx, g); err != nil || a.Choice == "" {
			return err
		}
	}
	name, value, found := strings.Cut(a.Choice, "=")
	if !found {
		return fmt.Errorf("write %s=VALUE; to see what can be chosen: lockstep account show %s", a.Choice, a.Login)
	}
	return g.with(ctx, func(c *admin.Client) error {
		p := mail.Preference(name)
		err := admin.AccountSet.Do(ctx, c, admin.Choice{Login: a.Login, Name: p, Value: value})
		return said(err, "%s of %s is %s now.", name, a.Login, cmp.Or(value, "what it is by default"))
	})
}

func (a *accountSet) setName(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		err := admin.AccountName.Do(ctx, c, admin.SetName{Login: a.Login, Name: *a.Name})
		return said(err, "%s is %s now.", a.Login, cmp.Or(*a.Name, "nobody by name"))
	})
}

type accountShow struct {
	Login string `arg:"" help:"The account."`
}

func (a *accountShow) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		who, err := admin.AccountGet.One(ctx, c, admin.OfAccount{Login: a.Login})
		if err != nil {
			return err
		}
		rows, err := admin.AccountShow.All(ctx, c, admin.OfAccount{Login: a.Login})
		if err != nil {
			return err
		}
		fmt.Printf("%s, %s\n\n", who.Login, cmp.Or(who.Name, "without a name: lockstep account set "+who.Login+" --name NAME"))
		t := newTable("PREFERENCE", "IS", "CAN BE")
		for _, p := range rows {
			t.row(string(p.Name), p.Value, strings.Join(p.Choices, ", "))
		}
		return t.print(os.Stdout)
	})
}

type secondFactorCommand struct {
	Remove secondFactorRemove `cmd:"" help:"Take codes, passkeys and recovery codes away: the password alone is enough again."`
}

type secondFactorRemove struct {
	Login string `arg:"" help:"The account."`
}

func (a *secondFactorRemove) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		was, err := admin.AccountFactors.One(ctx, c, admin.OfAccount{Login: a.Login})
		codes := "no codes"
		if was.TOTP {
			codes = "codes"
		}
		return said(err, "%s had %s and %d passkeys, and signs in with the password alone now. Make sure that it was its owner who asked.", a.Login, codes, was.Passkeys)
	})
}

type accountDisable struct {
	Login string `arg:"" help:"The account."`
}

func (a *accountDisable) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		err := admin.AccountDisable.Do(ctx, c, admin.SetDisabled{Login: a.Login, Disabled: true})
		return said(err, "%s is locked out; its mail still arrives. Let it in again: lockstep account enable %s", a.Login, a.Login)
	})
}

type accountEnable struct {
	Login string `arg:"" help:"The account."`
}

func (a *accountEnable) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		err := admin.AccountDisable.Do(ctx, c, admin.SetDisabled{Login: a.Login})
		return said(err, "%s may sign in again.", a.Login)
	})
}

type accountRemove struct {
	Login string `arg:"" help:"The account."`
	Now   bool   `help:"For good and at once, also one that was removed and is kept."`
	Yes   bool   `help:"Do it without asking."`
}

func (a *accountRemove) Run(ctx context.Context, g *globals) error {
	cfg, err := g.load()
	if err != nil {
		return err
	}
	question := fmt.Sprintf("Remove %s and all its mail? There is no way back. Type the address to confirm: ", a.Login)
	if cfg.Accounts.Keep > 0 && !a.Now {
		question = fmt.Sprintf("Remove %s and all its mail? It can be brought back for %v. Type the address to confirm: ", a.Login, cfg.Accounts.Keep)
	}
	if !a.Yes {
		if err := confirm(question, a.Login); err != nil {
			return err
		}
	}
	return g.with(ctx, func(c *admin.Client) error {
		k, err := admin.AccountRemove.One(ctx, c, admin.Removal{Login: a.Login, Now: a.Now})
		if err == nil && !k.Until.IsZero() {
			fmt.Printf("Removed %s. Until %s it can be brought back: lockstep account undelete %[1]s\n", k.Login, k.Until.Local().Format("2006-01-02 15:04"))
			return nil
		}
		return said(err, "Removed %s for good.", a.Login)
	})
}

type accountUndelete struct {
	Login string `arg:"" optional:"" help:"The login it had, or its number; without one, those that can come back are listed."`
	As    string `help:"Bring it back under another login, where somebody else has the one it had." placeholder:"LOGIN"`
}

func (a *accountUndelete) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		if a.Login == "" {
			return listKept(ctx, c)
		}
		back, err := admin.AccountUndelete.One(ctx, c, admin.Undeletion{Login: a.Login, As: a.As})
		if err != nil {
			return err
		}
		fmt.Printf("%s is back, with its mail, devices, passwords and shares.\n", back.Login)
		for _, address := range back.Taken {
			fmt.Printf("Not its own any more, as somebody else was given it: %s\n", address)
		}
		return nil
	})
}

func listKept(ctx context.Context, c *admin.Client) error {
	rows, err := admin.AccountsKept.All(ctx, c, admin.Nothing{})
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		fmt.Println("No removed account can come back.")
		return nil
	}
	t := newTable("NO", "REMOVED ACCOUNT", "NAME", "ADDRESSES", "REMOVED", "CAN COME BACK UNTIL")
	for _, k := range rows {
		t.row(k.ID, k.Login, k.Name, strings.Join(k.Addresses, ", "), k.Removed.Local().Format("2006-01-02 15:04"), k.Until.Local().Format("2006-01-02 15:04"))
	}
	return t.print(os.Stdout)
}
