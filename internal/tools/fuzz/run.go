package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	// slice is how long the fuzzer runs before its time is written down: an
	// interruption loses no more.
	slice = 5 * time.Minute
	// grace is what the fuzzer may take beyond its slice, to read its corpus and to
	// end, until it is taken for hung.
	grace = 10 * time.Minute
	// smaller is how long an input that reaches something new is made smaller. Go
	// takes a minute, and where a session's goroutines make coverage waver, all its time.
	smaller = "2s"
)

// A workshop builds test binaries into a directory, each once.
// It is used by one goroutine.
type workshop struct {
	dir   string
	built map[string]string
}

// binary builds the tests of the target's package with the flags.
func (w *workshop) binary(ctx context.Context, t target, flags ...string) (string, error) {
	key := t.pkg + " " + strings.Join(flags, " ")
	if file, ok := w.built[key]; ok {
		return file, nil
	}
	file := filepath.Join(w.dir, fmt.Sprintf("%d.test", len(w.built)))
	args := append([]string{"test", "-c", "-o", file}, flags...)
	if out, err := exec.CommandContext(ctx, "go", append(args, "./"+filepath.ToSlash(t.dir()))...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the tests of %s: %w\n%s", t.pkg, err, out)
	}
	if w.built == nil {
		w.built = map[string]string{}
	}
	w.built[key] = file
	return file, nil
}

// cacheDir is where Go's fuzzer keeps what it found for the package.
func cacheDir(ctx context.Context, t target) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOCACHE").Output()
	if err != nil {
		return "", fmt.Errorf("asking go for GOCACHE: %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "fuzz", "lockstep", "internal", filepath.FromSlash(t.pkg)), nil
}

// runAll gives each target what it is still owed. One that fails does not keep the
// others from theirs.
func (w *workshop) runAll(ctx context.Context, chosen []target, owed time.Duration) error {
	var failed []error
	for _, t := range chosen {
		if err := w.runOne(ctx, t, owed); err != nil {
			failed = append(failed, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(failed...)
}

func (w *workshop) runOne(ctx context.Context, t target, owed time.Duration) error {
	book, err := openLedger(ctx)
	if err != nil {
		return err
	}
	for left := owed - book.of(t).ran; left > 0 && ctx.Err() == nil; left = owed - book.of(t).ran {
		fmt.Printf("%s: %v to go\n", t, left.Round(time.Second))
		did, err := w.fuzz(ctx, t, min(slice, max(left, time.Second)))
		if noteErr := book.note(t, did); noteErr != nil {
			return noteErr
		}
		if err != nil {
			return fmt.Errorf("%s: %w", t, err)
		}
	}
	return nil
}

// A stint is one run of the fuzzer.
type stint struct {
	ran   time.Duration // by the clock, but for when it stood still
	spent time.Duration // of a processor, in all processes
	execs int64
}

// tick is how often running is looked at: what did not run for two of these stood
// still, as processes do that are stopped, or whose machine sleeps.
const tick = time.Second

// running counts how long it ran until done is closed, and says it then.
func running(done <-chan struct{}) <-chan time.Duration {
	sum := make(chan time.Duration, 1)
	go func() {
		ticks := time.NewTicker(tick)
		defer ticks.Stop()
		var ran time.Duration
		for last, over := time.Now(), false; !over; {
			select {
			case <-ticks.C:
			case <-done:
				over = true
			}
			now := time.Now()
			ran += min(now.Sub(last), 2*tick)
			last = now
		}
		sum <- ran
	}()
	return sum
}

// fuzz runs Go's fuzzer with one worker. It returns what was done, also with an error.
func (w *workshop) fuzz(ctx context.Context, t target, long time.Duration) (stint, error) {
	file, err := w.binary(ctx, t, "-fuzz=.")
	if err != nil {
		return stint{}, err
	}
	cache, err := cacheDir(ctx, t)
	if err != nil {
		return stint{}, err
	}
	limited, cancel := context.WithTimeout(ctx, long+grace)
	defer cancel()
	cmd := exec.CommandContext(limited, file, "-test.run=^$", "-test.fuzz=^"+t.name+"$", "-test.fuzztime="+long.String(),
		"-test.parallel=1", "-test.fuzzcachedir="+cache, "-test.fuzzminimizetime="+smaller)
	cmd.Dir = t.dir()
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	var said bytes.Buffer
	cmd.Stdout = io.MultiWriter(&said, os.Stdout) // the same for both, so that one goroutine writes
	cmd.Stderr = cmd.Stdout
	done := make(chan struct{})
	ran := running(done)
	err = cmd.Run()
	close(done)
	did := stint{ran: <-ran, execs: executions(said.Bytes())}
	if cmd.ProcessState != nil {
		did.spent = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	return did, err
}

var progress = regexp.MustCompile(`execs: (\d+) `)

// executions is the last count that the fuzzer told.
func executions(said []byte) int64 {
	all := progress.FindAllSubmatch(said, -1)
	if len(all) == 0 {
		return 0
	}
	n, err := strconv.ParseInt(string(all[len(all)-1][1]), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
