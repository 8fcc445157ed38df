package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"lockstep/internal/admin"
	"lockstep/internal/mail"
)

type deviceShow struct {
	Login  string `arg:"" help:"The account."`
	Device string `arg:"" help:"The device's name or number."`
}

func (d *deviceShow) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		row, err := admin.DeviceShow.One(ctx, c, admin.OfDevice{Login: d.Login, Device: d.Device})
		if err != nil {
			return err
		}
		return printDevice(os.Stdout, row)
	})
}

func printDevice(to io.Writer, d admin.DeviceDetail) error {
	t := newTable("DEVICE", fmt.Sprintf("%s (no. %d)", d.Name, d.ID))
	t.row("access", d.Access)
	if d.Wipe.State != mail.WipeNone {
		t.row("wipe", wipeLine(d.Wipe))
	}
	t.row("signs in", signsIn(d.Device))
	t.row("known since", when(d.Created))
	t.row("last seen", fmt.Sprintf("%s from %s; %d connections now", when(d.LastSeen), cmp.Or(d.LastAddr, "nowhere"), d.Connected))
	for _, line := range [][2]string{{"calls itself", d.Client}, {"kind", d.Told.Kind}, {"model", d.Told.Model}, {"system", d.Told.OS}, {"name on it", d.Told.FriendlyName}, {"agent", d.Told.UserAgent}, {"version", d.Told.Version}} {
		if line[1] != "" {
			t.row(line[0], line[1])
		}
	}
	if len(d.Syncs) > 0 || d.Protocol == mail.EAS {
		t.row("policy", policyLine(d))
	}
	if err := t.print(to); err != nil {
		return err
	}
	for _, s := range d.Syncs {
		if err := printSync(to, s); err != nil {
			return err
		}
	}
	return printChanges(to, d.Changes)
}

func signsIn(d admin.Device) string {
	by := "with the account's password"
	if d.AppPassword {
		by = "with an app password of its own"
	}
	if d.Protocol != mail.Local {
		by += ", first by " + string(d.Protocol)
	}
	if d.DownloadOnly {
		by += ", download only"
	}
	return by
}

func when(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

func wipeLine(w mail.Wipe) string {
	line := fmt.Sprintf("to %s: %s at %s", wipeWords(w.Scope), w.State, when(w.At))
	if w.Status != "" {
		line += ", status " + w.Status
	}
	return line
}

func policyLine(d admin.DeviceDetail) string {
	line := d.Policy
	if d.PolicyMissing {
		line += " (the one chosen for the account is not configured)"
	}
	a := d.Told.Policy
	switch {
	case a.At.IsZero():
		return line + "; the device has answered to none"
	case a.Name != d.Policy:
		line += "; the device last answered to " + a.Name
	default:
		line += "; the device answered"
	}
	return fmt.Sprintf("%s at %s, status %s", line, when(a.At), a.Status)
}

func printSync(to io.Writer, s admin.DeviceSync) error {
	fmt.Fprintf(to, "\nActiveSync, DeviceId %s\n", strings.Map(printable, s.DeviceID))
	if len(s.Collections) > 0 {
		t := newTable("MAILBOX", "IS", "AT")
		for _, c := range s.Collections {
			t.row(cmp.Or(c.Mailbox, "a deleted mailbox ("+c.Collection+")"), position(c), when(c.At))
		}
		if err := t.print(to); err != nil {
			return err
		}
	}
	if len(s.Restarts) > 0 {
		last := s.Restarts[len(s.Restarts)-1]
		fmt.Fprintf(to, "Last started over: %s, %s: %s\n", when(last.At), strings.Map(printable, cmp.Or(last.Collection, "all folders")), strings.Map(printable, last.Why))
	}
	for _, skip := range s.Skipped {
		fmt.Fprintf(to, "Left out: %s, item %s: %s\n", when(skip.At), strings.Map(printable, skip.Item), strings.Map(printable, skip.Why))
	}
	if len(s.Commands) == 0 {
		return nil
	}
	t := newTable("AT", "COMMAND", "VERSION", "STATUS", "TOOK")
	for _, c := range s.Commands {
		name := c.Name
		if c.Times > 1 {
			name = fmt.Sprintf("%s, %d times", c.Name, c.Times)
		}
		t.row(when(c.At), name, c.Version, c.Status, c.Took.Round(time.Millisecond))
	}
	return t.print(to)
}

// position says how far the device has come.
func position(c admin.Collection) string {
	switch {
	case c.Mailbox == "":
		return "gone"
	case c.Behind == 0:
		return "in step"
	case c.More:
		return fmt.Sprintf("behind by %d, and fetching", c.Behind)
	}
	return fmt.Sprintf("behind by %d", c.Behind)
}

func printChanges(to io.Writer, changes []admin.Event) error {
	if len(changes) == 0 {
		return nil
	}
	fmt.Fprintln(to, "\nIts last changes:")
	for _, e := range changes {
		if _, err := fmt.Fprintf(to, "%s %s\n", when(e.Time), strings.Map(printable, e.What)); err != nil {
			return err
		}
	}
	return nil
}
