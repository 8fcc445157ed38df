package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"lockstep/internal/admin"
	"lockstep/internal/config"
	"lockstep/internal/vfs"
)

type clusterCommand struct {
	Status clusterStatus `cmd:"" default:"1" help:"Say which nodes serve, and what each does for all."`
	Drain  clusterDrain  `cmd:"" help:"Have this node say that it is not ready, send its sessions away a few at a time, and end."`
}

type clusterDrain struct {
	Over *config.Duration `help:"Within which sessions are sent away, such as 60s. Default: cluster.drain_time." placeholder:"TIME"`
}

// Help is what --help says below the flags.
func (*clusterDrain) Help() string {
	return "GET /readyz says so at once (503). For cluster.drain_notice connections are still taken, until balancers have noticed; then none is, and those that are there are told to go, in the words of their protocol, spread evenly over the time. What is in the middle of a command ends it first. The server ends with exit status 0, and so does this command when it has; interrupting this command does not stop the drain."
}

func (d *clusterDrain) Run(ctx context.Context, g *globals) error {
	cfg, err := g.load()
	if err != nil {
		return err
	}
	c, err := admin.Dial(ctx, cfg.Socket())
	if err != nil {
		return fmt.Errorf("no server runs in %s, so that there is nothing to drain: %w", cfg.Data, err)
	}
	defer c.Close()
	q, last := admin.DrainQuestion{Over: -1}, admin.Draining{}
	if d.Over != nil {
		q.Over = time.Duration(*d.Over)
	}
	err = admin.ClusterDrain.Each(ctx, c, q, func(now admin.Draining) error {
		if now.Phase != last.Phase || isTerminal(os.Stdout) && now != last {
			fmt.Println(drainText(now))
		}
		last = now
		return nil
	})
	if err != nil && last.Phase == "" {
		return err // it did not even begin
	}
	return awaitEnd(ctx, cfg)
}

// drainText says how far a drain is.
func drainText(d admin.Draining) string {
	switch d.Phase {
	case admin.PhaseNotice:
		return fmt.Sprintf("Not ready any more; balancers have time to notice. Sessions: %d", d.Sessions)
	case admin.PhaseLeaving:
		return fmt.Sprintf("No more connections are taken. Sessions that are there yet: %d", d.Sessions)
	case admin.PhaseGone:
		return "All sessions have gone."
	}
	return "The server is asked to go."
}

// awaitEnd waits until a server that stops has let go of its directory.
func awaitEnd(ctx context.Context, cfg config.Config) error {
	bound := time.Duration(cfg.Limits.StopTime) + 2*flushTime
	for deadline := time.Now().Add(bound); ; {
		lock, err := vfs.OS{}.Lock(filepath.Join(cfg.Data, lockFile))
		if err == nil {
			fmt.Println("The server has ended.")
			return lock.Close()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the server still runs, %v after its sessions went: see its log", bound)
		}
		wait(ctx, lookWhoIsLeft)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}
