package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"lockstep/internal/sim"
)

type simulateCommand struct {
	Devices int     `default:"200" help:"So many devices, fourteen to an account." placeholder:"N"`
	Minutes float64 `default:"5" help:"Let them work for so long." placeholder:"N"`
	Seed    uint64  `help:"What they do follows from it. Default: another each time." placeholder:"N"`
	Kill    bool    `negatable:"" default:"true" help:"Kill the server every some seconds, and start it again."`
	Keep    bool    `help:"Keep the server's directory, with its log."`
}

func (c *simulateCommand) Run(ctx context.Context) error {
	if c.Devices < 1 || c.Minutes <= 0 {
		return fmt.Errorf("nothing to do: --devices and --minutes must be more than 0")
	}
	binary, err := os.Executable()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "lockstep-simulation-")
	if err != nil {
		return err
	}
	if c.Seed == 0 {
		c.Seed = uint64(time.Now().UnixNano())
	}
	fmt.Fprintf(os.Stderr, "seed %d, in %s\n", c.Seed, dir)
	report, err := sim.Soak(ctx, sim.SoakOptions{Binary: binary, Dir: dir, Devices: c.Devices, Seed: c.Seed, Kills: c.Kill,
		Duration: time.Duration(c.Minutes * float64(time.Minute)), Progress: os.Stderr})
	if report == nil {
		return err
	}
	fmt.Printf("%d devices of %d accounts: %d acts, %d letters, %d kills, %d broken connections.\n",
		report.Devices, report.Accounts, report.Acts, report.Letters, report.Kills, report.Breaks)
	for _, w := range report.Wrong {
		fmt.Println("WRONG:", w)
	}
	if err == nil && len(report.Wrong) > 0 {
		err = fmt.Errorf("%d differences; the server's directory is %s", len(report.Wrong), dir)
	}
	if err == nil {
		fmt.Println("Every device holds the same.")
	}
	if err == nil && !c.Keep {
		return os.RemoveAll(dir)
	}
	return err
}
