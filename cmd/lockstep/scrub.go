package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"lockstep/internal/admin"
	"lockstep/internal/upkeep"
)

type scrubCommand struct {
	Status scrubStatus `cmd:"" help:"Say how far the pass is, and what the last one found."`
	Now    scrubNow    `cmd:"" help:"Make a pass now, or hurry the one that is under way."`
}

type scrubStatus struct{}

func (*scrubStatus) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		st, err := admin.ScrubStatus.One(ctx, c, admin.Nothing{})
		if err != nil {
			return err
		}
		return tellScrub(st)
	})
}

type scrubNow struct{}

// Help is what --help says below the flags.
func (*scrubNow) Help() string {
	return "It reads as fast as leaves half of the time to others, whatever scrub.rate says. Interrupted, it can be asked for again: it goes on where it was. The server may run or not. The exit status is 1 while anything is left wrong. To have everything looked at as fast as it can be, and the messages named: lockstep doctor."
}

func (*scrubNow) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		var last upkeep.Status
		err := admin.ScrubNow.Each(ctx, c, admin.Nothing{}, func(st upkeep.Status) error {
			last = st
			if st.Pass != nil && isTerminal(os.Stdout) {
				fmt.Printf("%s: %d%%, %s of %s read\033[K\r", stageText(st.Pass.Stage), int(100*st.Share()), bytesText(st.Pass.Bytes), bytesText(st.Packs))
			}
			return nil
		})
		if err != nil {
			return err
		}
		return tellScrub(last)
	})
}

// stageText is what is looked at.
func stageText(stage string) string {
	switch stage {
	case upkeep.StageRows:
		return "accounts"
	case upkeep.StageTables:
		return "the database"
	}
	return "the bytes of messages"
}

// tellScrub prints how the scrub stands, and fails while something is left wrong.
func tellScrub(st upkeep.Status) error {
	fmt.Println(admin.ScrubText(st, time.Now()))
	if st.Pass != nil {
		fmt.Printf("Now: %s, %s of %s read.\n", stageText(st.Pass.Stage), bytesText(st.Pass.Bytes), bytesText(st.Packs))
	}
	if !st.Next.IsZero() {
		fmt.Printf("The next pass begins on %s.\n", st.Next.Local().Format("Monday, 2 January 15:04"))
	}
	wrong := st.Damaged
	if p := st.Last; p != nil {
		for _, what := range p.Skipped {
			fmt.Println("Passed over: " + what)
		}
		for _, what := range p.Left {
			fmt.Println("Left wrong: " + what)
		}
		wrong += len(p.Left)
	}
	if st.Damaged > 0 {
		fmt.Println("lockstep doctor --fast names the damaged messages.")
	}
	if wrong > 0 {
		return fmt.Errorf("what is not as it should be: %d; see above", wrong)
	}
	return nil
}
