package main

import (
	"context"
	"fmt"

	"lockstep/internal/admin"
)

type doctorCommand struct {
	Account      string `help:"Only this account." placeholder:"LOGIN"`
	Fast         bool   `help:"Check counters and references, but not each byte of each message."`
	RebuildIndex bool   `help:"Make everything that is derived (counters, usage) anew."`
}

func (d *doctorCommand) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		found, repaired := 0, 0
		var last admin.Finding
		err := admin.Doctor.Each(ctx, c, admin.Examine{Login: d.Account, Repair: d.RebuildIndex, Fast: d.Fast}, func(f admin.Finding) error {
			switch {
			case f.Problem == "":
				last = f
				return nil
			case f.Repaired:
				repaired++
				fmt.Printf("%s: %s: put right\n", f.Login, f.Problem)
			default:
				found++
				fmt.Printf("%s: %s\n", f.Login, f.Problem)
			}
			return nil
		})
		if err != nil {
			return err
		}
		fmt.Printf("Looked at %d accounts and %d messages.\n", last.Accounts, last.Messages)
		switch {
		case found > 0 && !d.RebuildIndex:
			return fmt.Errorf("%d things are not as they should be. Wrong counters are put right by: lockstep doctor --rebuild-index", found)
		case found > 0:
			return fmt.Errorf("%d things are not as they should be and can't be made anew from what is stored; see above", found)
		case repaired > 0:
			fmt.Printf("Put %d things right.\n", repaired)
		default:
			fmt.Println("All is well.")
		}
		return nil
	})
}
