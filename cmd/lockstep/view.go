package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/text/runes"
	"golang.org/x/text/transform"

	"lockstep/internal/admin"
	"lockstep/internal/mail"
	"lockstep/internal/mailfile"
	"lockstep/internal/message"
	"lockstep/internal/message/render"
	"lockstep/internal/past"
)

type viewCommand struct {
	Login   string `arg:"" help:"The account."`
	Mailbox string `arg:"" optional:"" help:"A mailbox, by the path it had then; without one, their list."`
	UID     uint32 `arg:"" optional:"" name:"uid" help:"A message of it, by the UID it had then."`
	AsOf    string `required:"" help:"When: 2026-11-20T14:00:00Z, \"2026-11-20 14:00\", \"yesterday 14:00\", \"3 days ago\", or \"before act 1234\", which history shows." placeholder:"TIME"`
	Raw     bool   `help:"The message as it came, byte for byte."`
	To      string `help:"Copy what is asked for into this directory, as a Maildir." placeholder:"DIR"`
}

// Help is printed under the command's --help.
func (viewCommand) Help() string {
	return `It only looks: nothing of the account changes. How far back it can look says history.horizon (30 days).
To bring something back into the account: lockstep restore --account LOGIN --at TIME`
}

func (v *viewCommand) Run(ctx context.Context, g *globals) error {
	when, err := past.ParseWhen(v.AsOf, time.Now())
	if err != nil {
		return err
	}
	if v.Raw && (v.UID == 0 || v.To != "") {
		return errors.New("--raw shows one message: say which with MAILBOX and UID")
	}
	asOf := admin.AsOf{Login: v.Login, When: when}
	return g.with(ctx, func(c *admin.Client) error {
		switch {
		case v.To != "":
			return v.copyOut(ctx, c, asOf)
		case v.Mailbox == "":
			return v.mailboxes(ctx, c, asOf)
		case v.UID == 0:
			return v.messages(ctx, c, asOf)
		}
		return v.message(ctx, c, asOf)
	})
}

// mailboxes lists them.
func (v *viewCommand) mailboxes(ctx context.Context, c *admin.Client, asOf admin.AsOf) error {
	t := newTable("MAILBOX", "ROLE", "MESSAGES", "SINCE THEN")
	var at mail.Moment
	err := admin.PastMailboxes.Each(ctx, c, asOf, func(mb admin.PastMailbox) error {
		since := ""
		switch {
		case mb.Now == "":
			since = "deleted"
		case mb.Now != mb.Path:
			since = "now " + mb.Now
		}
		t.row(mb.Path, mb.Role, mb.Messages, since)
		at = mb.At
		return nil
	})
	if err != nil {
		return err
	}
	fmt.Printf("%s after the change of %s:\n", v.Login, at.Time.Local().Format(time.DateTime))
	return t.print(os.Stdout)
}

// messages lists those of a mailbox as they come, since they may be a great many.
func (v *viewCommand) messages(ctx context.Context, c *admin.Client, asOf admin.AsOf) error {
	out := bufio.NewWriter(os.Stdout)
	n := 0
	err := admin.PastMessages.Each(ctx, c, admin.OfPastMailbox{AsOf: asOf, Path: v.Mailbox}, func(m admin.PastMessage) error {
		n++
		gone := ""
		if m.Gone {
			gone = "  gone since"
		}
		_, err := fmt.Fprintf(out, "%7d  %s  %-24s  %s  (%s)%s\n", m.UID, m.Date.Local().Format("2006-01-02 15:04"), shortened(m.From, 24),
			strings.Map(printable, m.Subject), strings.Map(printable, strings.Join(m.Flags, " ")), gone)
		return err
	})
	if err == nil {
		fmt.Fprintln(out, inWords(n, "message"))
	}
	return errors.Join(err, out.Flush())
}

func shortened(text string, n int) string {
	all := []rune(strings.Map(printable, text))
	if len(all) > n {
		return string(all[:n-1]) + "…"
	}
	return string(all)
}

// message shows one.
func (v *viewCommand) message(ctx context.Context, c *admin.Client, asOf admin.AsOf) error {
	found, err := admin.PastMessages.All(ctx, c, admin.OfPastMailbox{AsOf: asOf, Path: v.Mailbox, UID: mail.UID(v.UID)})
	if err == nil && len(found) == 0 {
		err = mail.Errorf(mail.NotFound, "%s held no message %d then; see: lockstep view %s %s --as-of %q", v.Mailbox, v.UID, v.Login, v.Mailbox, v.AsOf)
	}
	if err != nil {
		return err
	}
	body, err := c.PastMessage(ctx, v.Login, found[0])
	if err != nil {
		return err
	}
	defer body.Close()
	if v.Raw {
		_, err := io.Copy(os.Stdout, body)
		return err
	}
	f, err := os.CreateTemp("", "lockstep-view-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := io.Copy(f, body); err != nil {
		return err
	}
	return showMessage(os.Stdout, f, found[0].Flags)
}

// showMessage writes who, when, what and the text of a message.
func showMessage(w io.Writer, f *os.File, flags []string) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	m, err := message.Parse(f)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(harmless(w))
	e := m.Envelope
	for _, h := range []struct{ name, value string }{{"From", addresses(e.From)}, {"To", addresses(e.To)}, {"Cc", addresses(e.Cc)},
		{"Date", e.Date}, {"Subject", message.DecodeWords(e.Subject)}, {"Flags", strings.Join(flags, " ")}} {
		if h.value != "" {
			fmt.Fprintf(out, "%s: %s\n", h.name, strings.Map(printable, h.value))
		}
	}
	d := render.New(m.Root, f)
	files, err := d.Attachments()
	if err != nil {
		return err
	}
	for _, a := range files {
		fmt.Fprintf(out, "Attached: %s\n", strings.Map(printable, a.Name))
	}
	fmt.Fprintln(out)
	_, err = d.WriteTo(out, render.Text)
	fmt.Fprintln(out)
	return errors.Join(err, out.Flush())
}

func addresses(all []message.Address) string {
	var words []string
	for _, a := range all {
		word := a.Mailbox + "@" + a.Host
		if a.Name != "" {
			word = message.DecodeWords(a.Name) + " <" + word + ">"
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

// harmless keeps what a sender wrote from steering the terminal.
func harmless(w io.Writer) io.Writer {
	return transform.NewWriter(w, transform.Chain(runes.Remove(runes.Predicate(func(r rune) bool { return r == '\r' })),
		runes.Map(func(r rune) rune {
			if r == '\n' || r == '\t' {
				return r
			}
			return printable(r)
		})))
}

// copyOut writes a message, a mailbox or all as a Maildir.
func (v *viewCommand) copyOut(ctx context.Context, c *admin.Client, asOf admin.AsOf) error {
	w, err := mailfile.NewMaildirWriter(v.To)
	if err != nil {
		return err
	}
	p, n, last := newProgress("copied"), 0, ""
	if v.Mailbox == "" { // also the empty ones
		err = admin.PastMailboxes.Each(ctx, c, asOf, func(mb admin.PastMailbox) error { return w.Mailbox(mb.Path) })
	}
	if err != nil {
		return err
	}
	q := admin.OfPastMailbox{AsOf: asOf, Path: v.Mailbox, UID: mail.UID(v.UID)}
	err = admin.PastMessages.Each(ctx, c, q, func(m admin.PastMessage) error {
		if m.Mailbox != last {
			last = m.Mailbox
			if err := w.Mailbox(last); err != nil {
				return err
			}
		}
		flags, err := mail.NewFlags(m.Flags...)
		if err != nil {
			return err
		}
		body := &lazyBody{open: func() (io.ReadCloser, error) { return c.PastMessage(ctx, v.Login, m) }}
		defer body.close()
		err = w.Write(p.count(body), mailfile.Meta{Mailbox: m.Mailbox, Flags: flags, Received: m.Date, Name: fmt.Sprintf("%d.U%010d.%s", m.Date.Unix(), m.UID, m.Name)})
		if err == nil {
			n++
			p.show(n)
		}
		return err
	})
	p.end()
	if err != nil {
		return fmt.Errorf("%w (%s in %s so far; run the same command again to go on)", err, inWords(n, "message"), v.To)
	}
	fmt.Printf("Copied %s to %s.\n", inWords(n, "message"), v.To)
	return nil
}
