// Package crashtest cuts the power under the whole of the embedded store: the
// database with its log, and the packs of blobs beside it, together.
//
// SQLite writes to the machine's file system and to no other, so the file system
// is not replaced: a driver, which is this test binary run once more, works on a
// directory under strace, and says on its standard output what it acknowledges.
// The trace holds every write, sync and rename, and what was said, in one order.
// A replay of it onto a disk of our own (disk_test.go) can stop at any moment and
// make a directory such as a crash then could have left: what was synced is there;
// of the rest anything, page by page and name by name. The store is opened on that
// directory and held to what had been said (check_test.go).
//
// What a driver does depends on its seed and on the scheduling of its threads, so
// a test that fails keeps its trace; LOCKSTEP_CRASH_TRACE and LOCKSTEP_CRASH_SEED
// replay it.
package crashtest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// needStrace skips a test where there is no strace; where it has to be, the test
// fails.
func needStrace(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("strace"); err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("strace is not installed")
	}
	t.Skip("strace is not installed: apt install strace")
}

// driverEnv is the environment of a driver.
func driverEnv(t *testing.T, p plan) []string {
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return append(os.Environ(), planVariable+"="+string(text), "GODEBUG=asyncpreemptoff=1")
}

var driverArgs = []string{"-test.run=^TestDriver$"}

// A life is a driver's run as its trace shows it.
type life struct {
	plan
	steps []step
	start *ledger // what was known before
	file  string  // the trace
}

// live runs a driver under strace on p.Dir.
func live(t *testing.T, p plan, known *ledger, inject string) *life {
	t.Helper()
	file := filepath.Join(t.TempDir(), "trace")
	cmd := traceCommand(file, inject, append([]string{os.Args[0]}, driverArgs...)...)
	cmd.Env = driverEnv(t, p)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("the driver: %v\n%s", err, tail(string(out)))
	}
	steps, err := readTrace(file)
	if err != nil {
		t.Fatal(err)
	}
	return &life{plan: p, steps: steps, start: known, file: file}
}

// tail is the end of a text, and what failed in it.
func tail(out string) string {
	lines := slices.DeleteFunc(strings.SplitAfter(out, "\n"), func(l string) bool {
		return strings.HasPrefix(l, sign) && !strings.HasPrefix(l, sign+"fail")
	})
	return strings.Join(lines[max(0, len(lines)-60):], "")
}

// A point is a moment at which the power goes.
type point struct {
	step  int
	image string // the directory that is left
	*ledger
}

// replayed goes through a life, and stops at the steps that are asked for.
func (l *life) replayed(before *inode, journaled bool, lies func(string) bool, at func(step int, boundary bool, d *disk, said *ledger) error) error {
	said := l.start.clone()
	d := &disk{root: before, journaled: journaled, rng: rand.New(rand.NewPCG(l.Seed, 1))}
	r := newReplay(d, l.Dir, said.hear)
	r.lies = lies
	for i, s := range l.steps {
		boundary, err := r.do(s)
		if err == nil {
			err = at(i, boundary, d, said)
		}
		if err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	return nil
}

// choose picks moments: half of them where something was said or synced.
func (l *life) choose(before func() *inode, n int) (map[int]bool, *ledger, error) {
	var boundaries []int
	var end *ledger
	err := l.replayed(before(), false, nil, func(i int, boundary bool, _ *disk, said *ledger) error {
		if boundary {
			boundaries = append(boundaries, i)
		}
		end = said
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	rng := rand.New(rand.NewPCG(l.Seed, 2))
	rng.Shuffle(len(boundaries), func(i, j int) { boundaries[i], boundaries[j] = boundaries[j], boundaries[i] })
	chosen := map[int]bool{len(l.steps) - 1: true}
	for _, i := range boundaries[:min(len(boundaries), n/2)] {
		chosen[i] = true
	}
	for range n - n/2 {
		chosen[rng.IntN(len(l.steps))] = true
	}
	return chosen, end, nil
}

// A trial crashes one life many times.
type trial struct {
	*life
	points    int
	journaled bool
	lies      func(path string) bool
	before    func() *inode // the disk at its beginning
}

// checksAtOnce is how many images are checked at the same time.
const checksAtOnce = 4

// run crashes at many moments and returns what was wrong, by step, and how many
// moments there were.
func (tr *trial) run(t *testing.T) (wrong map[int]error, points int) {
	t.Helper()
	chosen, _, err := tr.choose(tr.before, tr.points)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	slots := make(chan struct{}, checksAtOnce)
	wrong = map[int]error{}
	dir := t.TempDir()
	err = tr.replayed(tr.before(), tr.journaled, tr.lies, func(i int, _ bool, d *disk, said *ledger) error {
		if !chosen[i] {
			return nil
		}
		p := point{i, filepath.Join(dir, fmt.Sprint(i)), said.clone()}
		if err := d.crash(rand.New(rand.NewPCG(tr.Seed, uint64(i))), p.image); err != nil {
			return err
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := check(t.Context(), p.image, p.ledger); err != nil {
				mu.Lock()
				wrong[i] = err
				mu.Unlock()
			}
			os.RemoveAll(p.image)
		})
		return nil
	})
	wg.Wait()
	if err != nil {
		t.Fatal(err)
	}
	return wrong, len(chosen)
}

// report fails the test with the first things that are wrong, and keeps the trace.
func (tr *trial) report(t *testing.T, wrong map[int]error, points int) {
	t.Helper()
	t.Logf("seed %d: %d crashes, %d of them bad, %d steps", tr.Seed, points, len(wrong), len(tr.steps))
	if len(wrong) == 0 {
		return
	}
	kept := filepath.Join(os.TempDir(), fmt.Sprintf("lockstep-crash-%d.trace", tr.Seed))
	if err := os.Rename(tr.file, kept); err != nil {
		kept = err.Error()
	}
	n := 0
	for i, err := range wrong {
		if n++; n <= 5 {
			t.Errorf("seed %d, step %d of %s (journaled %v): %v", tr.Seed, i, kept, tr.journaled, err)
		}
	}
}

func TestX(t *testing.T) {
	needStrace(t)
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l := live(t, plan{Dir: dir, Seed: 1, Rounds: 6, Steps: 8, Clock: firstClock}, newLedger(), "")
	t.Log("lived")
	for _, j := range []bool{true, false} {
		tr := &trial{life: l, points: 200, journaled: j, before: func() *inode { return newDir("") }}
		wrong, n := tr.run(t)
		tr.report(t, wrong, n)
	}
}
