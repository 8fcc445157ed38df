package main

import (
	"context"
	"fmt"

	"lockstep/internal/admin"
)

type doctorCommand struct {
	Account      string `help:"Only this account." placeholder:"LOGIN"`
	Fast         bool   `help:"Check counters and references, but not each byte of each message."`
	LookOnly     bool   `help:"Change nothing. Without it, wrong counters are counted anew, and damaged bytes of which there is a good copy are mended."`
	RebuildIndex bool   `help:"Make everything that is derived anew: also what lists of messages show (sender, subject, structure, preview), from the bytes of each message."`
}

// Help is what --help says below the flags.
func (*doctorCommand) Help() string {
	return "A damaged message is named and never served; it holds up nothing else, and is counted in the metric blob_damaged until it is mended or gone. The exit status is 1 while anything is not as it should be."
}

func (d *doctorCommand) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		found, repaired := 0, 0
		var notes []string
		var last admin.Finding
		err := admin.Doctor.Each(ctx, c, admin.Examine{Login: d.Account, LookOnly: d.LookOnly, Rebuild: d.RebuildIndex, Fast: d.Fast}, func(f admin.Finding) error {
			if f.Problem == "" {
				last = f
				if f.Note != "" {
					notes = append(notes, f.Note)
				}
				return nil
			}
			end := ""
			if f.Repaired {
				repaired++
				end = ": put right"
			} else {
				found++
			}
			fmt.Println(doctorLine(f) + end)
			return nil
		})
		if err != nil {
			return err
		}
		fmt.Printf("Looked at %s and %s.\n", inWords(last.Accounts, "account"), inWords(last.Messages, "message"))
		if err := g.saySchema(); err != nil {
			return err
		}
		if kept, err := admin.AccountsKept.All(ctx, c, admin.Nothing{}); err != nil {
			return err
		} else if len(kept) > 0 {
			fmt.Printf("Removed accounts that can still come back, and were not looked at: %d (lockstep account undelete).\n", len(kept))
		}
		for _, note := range notes {
			fmt.Println(note)
		}
		if repaired > 0 {
			fmt.Printf("Put %s right.\n", inWords(repaired, "thing"))
		}
		switch {
		case found > 0 && d.LookOnly:
			return fmt.Errorf("%s not as it should be; without --look-only, what can be put right is", things(found))
		case found > 0:
			return fmt.Errorf("%s not as it should be, and can't be put right from what is stored here; see above", things(found))
		case repaired == 0:
			fmt.Println("All is well.")
		}
		return nil
	})
}

// things counts what was found.
func things(n int) string {
	if n == 1 {
		return "one thing is"
	}
	return fmt.Sprintf("in %d places something is", n)
}

// doctorLine is a finding for people.
func doctorLine(f admin.Finding) string {
	if f.Login == "" {
		return f.Problem
	}
	return f.Login + ": " + f.Problem
}
