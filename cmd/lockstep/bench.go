package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"lockstep/internal/bench"
	"lockstep/internal/config"
)

type benchCommand struct {
	Quick     bool     `help:"Do less of everything: some minutes in place of half an hour."`
	Only      []string `help:"Only these workloads." placeholder:"WORKLOAD"`
	Runs      int      `help:"Run each workload so many times on each server." placeholder:"N"`
	Peer      bool     `negatable:"" default:"true" help:"Run Dovecot beside; it must be installed (dovecot-imapd, dovecot-lmtpd)."`
	PeerFsync string   `default:"always" enum:"always,optimized" help:"Dovecot's mail_fsync. With \"optimized\" it answers changes of flags before they are durable."`
	Cluster   bool     `help:"Also measure a node on PostgreSQL, with a bucket and NATS; it must be installed (Debian: postgresql)."`
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
	shared, stop, err := c.engines(ctx)
	if err != nil {
		return err
	}
	defer stop()
	report, err := bench.Run(ctx, bench.Options{Binary: binary, Dir: c.Scratch, Only: c.Only, Quick: c.Quick, Runs: c.Runs,
		Peer: c.Peer, PeerFsync: c.PeerFsync, Progress: os.Stderr, Cluster: shared})
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

// engines starts what a node shares with others, on the disk that is measured.
func (c *benchCommand) engines(ctx context.Context) (shared *bench.Cluster, stop func(), err error) {
	if !c.Cluster {
		return nil, func() {}, nil
	}
	dir, err := os.MkdirTemp(c.Scratch, "lockstep-bench-shared-")
	if err != nil {
		return nil, nil, err
	}
	remove := func() { os.RemoveAll(dir) }
	if err = os.Chmod(dir, 0o755); err == nil { // PostgreSQL is another user where we are root
		e, startErr := startEngines(ctx, dir, dir, &demoOutput{w: os.Stderr})
		if err = startErr; err == nil {
			return &bench.Cluster{Settings: clusterSettings(e.share), Workers: []int{e.db.PID()}, About: "Lockstep as a node: PostgreSQL with fsync, small mail in its rows, large mail in a bucket (versitygw), NATS"},
				func() { e.stop(); remove() }, nil
		}
	}
	remove()
	return nil, nil, err
}

// clusterSettings are the part of a node's configuration that says what it shares.
func clusterSettings(c config.Cluster) string {
	return fmt.Sprintf(`[cluster]
node = "bench"
database = %q
notify = %q
blobs = %q
drain_notice = "0s"
drain_time = "0s"
[cluster.s3]
endpoint = %q
region = %q
path_style = %t
access_key = %q
secret_key_file = %q
`, c.Database, c.Notify, c.Blobs, c.S3.Endpoint, c.S3.Region, c.S3.PathStyle, c.S3.AccessKey, c.S3.SecretKeyFile)
}

func writeJSON(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
