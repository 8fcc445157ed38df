package crashtest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"lockstep/internal/vfs"
	"lockstep/internal/vfs/faulty"
)

// drive runs a driver to its end, without strace, and hears what it says.
func drive(t *testing.T, p plan, l *ledger) {
	t.Helper()
	p.Clock = l.clock + 2
	cmd := exec.Command(os.Args[0], driverArgs...)
	cmd.Env = driverEnv(t, p)
	out, err := cmd.Output()
	for line := range strings.Lines(string(out)) {
		l.hear(strings.TrimSuffix(line, "\n"))
	}
	if err != nil {
		t.Fatalf("seed %d: the driver: %v\n%s", p.Seed, err, tail(string(out)))
	}
	for _, f := range l.failures {
		t.Errorf("seed %d: the driver: %s", p.Seed, f)
	}
}

// checkCopy checks a copy of a directory, so that the directory can go on.
func checkCopy(t *testing.T, dir string, l *ledger) error {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(to)
	makePrivate(t, to)
	return check(t.Context(), to, vfs.OS{}, l)
}

// TestFilesThatCannotGrowLoseNothing bounds the size of files: the log, the
// database and packs all meet it in the midst of a write. Every call that fails
// for it is Unavailable: the driver fails on any other error.
func TestFilesThatCannotGrowLoseNothing(t *testing.T) {
	for seed, limit := range []uint64{200 << 10, 500 << 10, 1 << 20} {
		dir, l := t.TempDir(), newLedger()
		makePrivate(t, dir)
		drive(t, plan{Dir: dir, Seed: uint64(seed), Rounds: 1, Steps: 3}, l)
		drive(t, plan{Dir: dir, Seed: uint64(seed), Rounds: 6, Steps: 10, Restart: 3, Hurt: true, FileLimit: limit}, l)
		if len(l.hurts) == 0 {
			t.Errorf("%d bytes: nothing failed", limit)
		}
		if err := checkCopy(t, dir, l); err != nil {
			t.Errorf("%d bytes: %v", limit, err)
		}
		drive(t, plan{Dir: dir, Seed: uint64(seed) + 10, Rounds: 2, Steps: 5}, l)
		if err := checkCopy(t, dir, l); err != nil {
			t.Errorf("%d bytes, with room again: %v", limit, err)
		}
	}
}

// TestFullDiskLosesNothing fills a small file system to the brim. It needs leave
// to mount one; TestFilesThatCannotGrowLoseNothing does not.
func TestFullDiskLosesNothing(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=3m,mode=700"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("a tmpfs has to be mounted: ", err)
		}
		t.Skip("a tmpfs can't be mounted here: ", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	l := newLedger()
	drive(t, plan{Dir: dir, Seed: 1, Rounds: 1, Steps: 3}, l)
	drive(t, plan{Dir: dir, Seed: 1, Rounds: 8, Steps: 10, Restart: 3, Hurt: true}, l)
	if len(l.hurts) == 0 {
		t.Error("the disk never was full")
	}
	if err := checkCopy(t, dir, l); err != nil {
		t.Error(err)
	}
	if err := unix.Mount("none", dir, "tmpfs", unix.MS_REMOUNT, "size=64m"); err != nil {
		t.Fatal(err)
	}
	drive(t, plan{Dir: dir, Seed: 2, Rounds: 2, Steps: 5}, l)
	if err := checkCopy(t, dir, l); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// hearer is an io.Writer for a ledger.
type hearer struct{ *ledger }

func (h hearer) Write(p []byte) (int, error) {
	for line := range bytes.Lines(p) {
		h.hear(strings.TrimSuffix(string(line), "\n"))
	}
	return len(p), nil
}

// TestPacksThatFailLoseNothing lets the packs' file system fail, and in the end
// lose what was not synced.
func TestPacksThatFailLoseNothing(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			dir, l, fsys := t.TempDir(), newLedger(), faulty.New(seed)
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(time.Until(time.Unix(firstClock, 0)))
				d := &driver{
					plan: plan{Dir: dir, Seed: seed, Rounds: 6, Steps: 10, Clock: firstClock, Hurt: true},
					t:    t, ctx: context.Background(), say: sayer(hearer{l}), faulty: fsys,
				}
				d.run()
			})
			fsys.Crash()
			if len(l.hurts) == 0 {
				t.Error("nothing failed")
			}
			if err := check(t.Context(), dir, fsys, l); err != nil {
				t.Errorf("seed %d: %v", seed, err)
			}
		})
	}
}
