// Command fuzz fuzzes the decoders of this repository for as long as they are owed,
// remembers how long each had, and keeps of what was found the few inputs that reach
// what no seed reaches. docs/fuzzing.md has the ledger that it writes.
//
//	fuzz run -for 1h TARGET ...   fuzzes until each target has been fuzzed for so long in all
//	fuzz keep TARGET ...          keeps a small corpus in testdata/fuzz, and measures it
//	fuzz missed TARGET ...        prints the lines that a target's corpus does not reach
//
// A TARGET is as in the ledger: the package below internal, a point, the function, such
// as imap/wire.FuzzCommand; a package alone means all of its targets, and nothing all
// there are. Go's fuzzer takes up where it ended, as it keeps in its cache what it found.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("say what to do: run, keep or missed")
	}
	verb := args[0]
	flags := flag.NewFlagSet(verb, flag.ContinueOnError)
	owed := flags.Duration("for", time.Minute, "how long each target is to have been fuzzed in all, by the clock")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	all, err := allTargets(".")
	if err != nil {
		return err
	}
	chosen, err := choose(all, flags.Args())
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "fuzz-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	w := &workshop{dir: dir}
	switch verb {
	case "run":
		return w.runAll(ctx, chosen, *owed)
	case "keep":
		return w.keepAll(ctx, chosen, all)
	case "missed":
		return w.missedAll(ctx, chosen)
	}
	return fmt.Errorf("%q is none of run, keep and missed", verb)
}
