package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"lockstep/internal/bench"
)

type benchCommand struct {
	Quick     bool     `help:"Do less of everything: some minutes in place of half an hour."`
	Only      []string `help:"Only these workloads." placeholder:"WORKLOAD"`
	Runs      int      `help:"Run each workload so many times on each server." placeholder:"N"`
	Peer      bool     `negatable:"" default:"true" help:"Run Dovecot beside; it must be installed (dovecot-imapd, dovecot-lmtpd)."`
	PeerFsync string   `default:"always" enum:"always,optimized" help:"Dovecot's mail_fsync. With \"optimized\" it answers changes of flags before they are durable."`
	Scratch   string   `type:"existingdir" help:"Where both servers keep their mail meanwhile: on the disk to be measured. Default: the temporary directory." placeholder:"DIR"`
	JSON      string   `name:"json" help:"Write all runs to this file." placeholder:"FILE"`
	List      bool     `help:"List the workloads and end."`
}

func (c *benchCommand) Run(ctx context.Context) error {
	if c.List {
		return bench.List(os.Stdout)
	}
	binary, err := os.Executable()
	if err != nil {
		return err
	}
	report, err := bench.Run(ctx, bench.Options{Binary: binary, Dir: c.Scratch, Only: c.Only, Quick: c.Quick, Runs: c.Runs,
		Peer: c.Peer, PeerFsync: c.PeerFsync, Progress: os.Stderr})
	if report == nil {
		return err
	}
	err = errors.Join(err, report.Print(os.Stdout))
	if c.JSON != "" {
		err = errors.Join(err, writeJSON(c.JSON, report))
	}
	if n := report.Missed(); n > 0 {
		fmt.Printf("\n%d goals missed.\n", n)
	}
	return err
}

func writeJSON(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
