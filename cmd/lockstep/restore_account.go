package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"lockstep/internal/admin"
	"lockstep/internal/past"
)

// restoreAccount is the part of restore that is about one account.
type restoreAccount struct {
	Account     string `help:"Make this account as it was, on the server in --data." placeholder:"LOGIN"`
	Mailbox     string `help:"Of --account only this mailbox, by the path it had then." placeholder:"PATH"`
	OnlyMissing bool   `help:"Bring back only what is nowhere in the account any more; leave all else as it is."`
	Exact       bool   `help:"Also take away what came since: of an account it is removed, of one mailbox it goes to Trash. Without --account: everything, at the very moment of --at."`
	Apply       bool   `help:"Do it. Without this it is only said what would change."`
}

// unasked is an error if something was said that is about one account.
func (r *restoreAccount) unasked() error {
	if r.Mailbox != "" || r.OnlyMissing || r.Apply {
		return errors.New("--mailbox, --only-missing and --apply are about one account: say which with --account")
	}
	return nil
}

func (r *restoreAccount) mode() (past.Mode, error) {
	switch {
	case r.Exact && r.OnlyMissing:
		return "", errors.New("--exact or --only-missing: one of them")
	case r.Exact:
		return past.Exact, nil
	case r.OnlyMissing:
		return past.OnlyMissing, nil
	}
	return past.KeepNew, nil
}

func (r *restoreAccount) run(ctx context.Context, g *globals, all *restoreCommand) error {
	mode, err := r.mode()
	switch {
	case err != nil:
		return err
	case r.Exact && all.From != "":
		return errors.New("from a backup comes back only what is nowhere in the account any more: for --exact restore without --from, as far as history reaches")
	case all.At == "" && all.From == "":
		return errors.New("as of when? Say --at TIME, such as --at \"yesterday 14:00\" or --at \"before act 1234\", which history shows")
	}
	q := admin.Wanted{AsOf: admin.AsOf{Login: r.Account}, Mailbox: r.Mailbox, Mode: mode, Apply: r.Apply, From: absolute(all.From)}
	if all.At != "" {
		if q.When, err = past.ParseWhen(all.At, time.Now()); err != nil {
			return err
		}
	}
	if all.Key != "" || all.Recovery != "" {
		if q.Secret, err = readSecret(all.Key, all.Recovery); err != nil {
			return err
		}
	}
	return g.with(ctx, func(c *admin.Client) error {
		var last admin.Restoring
		line := &statusLine{}
		err := admin.PastRestore.Each(ctx, c, q, func(now admin.Restoring) error {
			switch last = now; {
			case now.Stage != "":
				line.show(now.Stage)
			case !now.Done:
				line.show(inOneLine(&now.Report))
			}
			return nil
		})
		line.clear()
		if err != nil {
			return err
		}
		return r.say(last, all)
	})
}

// say prints what would change, or did.
func (r *restoreAccount) say(s admin.Restoring, all *restoreCommand) error {
	what := r.Account
	if r.Mailbox != "" {
		what = r.Mailbox + " of " + r.Account
	}
	rep := &s.Report
	then := s.At.Time.Local().Format(time.DateTime)
	if rep.IsEmpty() {
		fmt.Printf("%s: there is nothing to do, as of the change of %s.\n", what, then)
		sayLeft(rep)
		return nil
	}
	fmt.Printf("%s, as of the change of %s: %s\n", what, then, inOneLine(rep))
	t := newTable("MAILBOX", "COME BACK", "GO", "MOVED BACK", "FLAGS")
	for _, mb := range rep.Mailboxes {
		t.row(mb.Path, mb.Back, mb.Gone, mb.Moved, mb.Flagged)
	}
	if len(rep.Mailboxes) > 0 {
		if err := t.print(os.Stdout); err != nil {
			return err
		}
	}
	for _, list := range []struct {
		what string
		all  []string
	}{{"Made again", rep.Made}, {"Called as before", rep.Renamed}, {"Removed", rep.Removed}, {"As before", rep.Other}} {
		for _, line := range list.all {
			fmt.Printf("%s: %s\n", list.what, strings.Map(printable, line))
		}
	}
	sayLeft(rep)
	if !r.Apply {
		fmt.Printf("Nothing was changed. To do it: %s --apply\n", r.again(s, all))
		return nil
	}
	if rep.Act == 0 {
		fmt.Println("Done.")
		return nil
	}
	fmt.Printf("Done. To take that back: lockstep undo %d --account %s\n", rep.Act, r.Account)
	return nil
}

// again is the command for the moment that was found: "3 days ago" is another one when
// it is said again.
func (r *restoreAccount) again(s admin.Restoring, all *restoreCommand) string {
	text := "lockstep restore --account " + r.Account
	if r.Mailbox != "" {
		text += fmt.Sprintf(" --mailbox %q", r.Mailbox)
	}
	if r.OnlyMissing {
		text += " --only-missing"
	}
	if r.Exact {
		text += " --exact"
	}
	for _, flag := range []struct{ name, value string }{{"--from", all.From}, {"--key", all.Key}, {"--recovery", all.Recovery}} {
		if flag.value != "" {
			text += fmt.Sprintf(" %s %q", flag.name, flag.value)
		}
	}
	if strings.HasPrefix(all.At, "before act ") {
		return fmt.Sprintf("%s --at %q", text, all.At)
	}
	return text + " --at " + s.At.Time.UTC().Format(time.RFC3339Nano)
}

func sayLeft(rep *past.Report) {
	if rep.Edited > 0 {
		fmt.Printf("Left: %s edited since; what is newer stays.\n", inWords(rep.Edited, "message"))
	}
	for _, line := range rep.Left {
		fmt.Println("Left:", strings.Map(printable, line))
	}
	if rep.LeftMore > 0 {
		fmt.Printf("Left: %d more of the kind.\n", rep.LeftMore)
	}
}

// inOneLine is a report in a few words.
func inOneLine(rep *past.Report) string {
	words := []string{fmt.Sprintf("+%d", rep.Back), fmt.Sprintf("−%d", rep.Gone)}
	made := "mailboxes made again"
	if len(rep.Made) == 1 {
		made = "mailbox made again"
	}
	for _, part := range []struct {
		n    int64
		word string
	}{{rep.Moved, "moved"}, {rep.Flagged, "flags"}, {rep.Annotated, "annotated"}, {rep.Mended, "mended"}, {int64(len(rep.Made)), made},
		{int64(len(rep.Renamed)), "renamed"}, {int64(len(rep.Removed)), "removed"}} {
		if part.n > 0 {
			words = append(words, fmt.Sprintf("%d %s", part.n, part.word))
		}
	}
	return strings.Join(words, ", ")
}
