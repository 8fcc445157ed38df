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
// What a driver does follows from its seed and from how its threads are scheduled.
// LOCKSTEP_SEED runs one seed again; as the same crash may not come again,
// a test that fails keeps the directory that was left, and the trace.
package crashtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep/internal/steady"
	"lockstep/internal/vfs"
)

// needStrace skips a test where there is no strace, or no leave to use it; in CI,
// where it has to be, the test fails.
func needStrace(t *testing.T) {
	t.Helper()
	err := exec.Command("strace", "-o", os.DevNull, "true").Run()
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatal("strace has to be installed and to work: ", err)
	default:
		t.Skip("strace is not installed or may not trace; on Debian: apt install strace: ", err)
	}
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
	before string  // a copy of the directory as it was at its beginning
	known  *ledger // what was known then
	file   string  // the trace
	steps  []step
}

// live runs a driver under strace on a copy of the directory before. inject says
// which of its system calls fail.
func live(t *testing.T, p plan, before string, known *ledger, inject string) *life {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "trace")
	p.Dir = filepath.Join(dir, "data")
	if err := os.CopyFS(p.Dir, os.DirFS(before)); err != nil {
		t.Fatal(err)
	}
	makePrivate(t, p.Dir)
	p.Clock = known.clock + 2
	cmd := traceCommand(file, inject, append([]string{os.Args[0]}, driverArgs...)...)
	cmd.Env = driverEnv(t, p)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("seed %d: the driver: %v\n%s", p.Seed, err, tail(string(out)))
	}
	steps, err := readTrace(file)
	if err != nil {
		t.Fatal(err)
	}
	return &life{p, before, known, file, steps}
}

// makePrivate gives the files in a copied directory to their owner alone.
func makePrivate(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return os.Chmod(path, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// tail is the end of a text, and what failed in it.
func tail(out string) string {
	lines := slices.DeleteFunc(strings.SplitAfter(out, "\n"), func(l string) bool {
		return strings.HasPrefix(l, sign) && !strings.HasPrefix(l, sign+"fail")
	})
	return strings.Join(lines[max(0, len(lines)-60):], "")
}

// A trial goes through a life and cuts the power at many of its moments.
type trial struct {
	*life
	points    int
	journaled bool
	lies      func(path string) bool // whose syncs do nothing
	first     bool                   // one loss is enough
}

// replayed goes through the life and calls at after each step.
func (tr *trial) replayed(at func(step int, boundary bool, d *disk, said *ledger) error) error {
	d, err := newDisk(tr.before, tr.journaled, rand.New(rand.NewPCG(tr.Seed, 1)))
	if err != nil {
		return err
	}
	said := tr.known.clone()
	r := newReplay(d, tr.Dir, said.hear)
	r.lies = tr.lies
	for i, s := range tr.steps {
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

// choose picks moments: half of them where something was said or synced, and the
// last. It returns also what the driver had said at its end.
func (tr *trial) choose() (map[int]bool, *ledger, error) {
	var boundaries []int
	var end *ledger
	err := tr.replayed(func(i int, boundary bool, _ *disk, said *ledger) error {
		if boundary {
			boundaries = append(boundaries, i)
		}
		end = said
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	rng := rand.New(rand.NewPCG(tr.Seed, 2))
	rng.Shuffle(len(boundaries), func(i, j int) { boundaries[i], boundaries[j] = boundaries[j], boundaries[i] })
	chosen := map[int]bool{len(tr.steps) - 1: true}
	for _, i := range boundaries[:min(len(boundaries), tr.points/2)] {
		chosen[i] = true
	}
	for range tr.points - tr.points/2 {
		chosen[rng.IntN(len(tr.steps))] = true
	}
	return chosen, end, nil
}

// crash writes the directory that a crash at a step leaves.
func (tr *trial) crash(d *disk, step int, dir string) error {
	return d.crash(rand.New(rand.NewPCG(tr.Seed, uint64(step))), dir)
}

// A point is a moment at which the power went.
type point struct {
	step  int
	known *ledger
}

// checksAtOnce is how many directories are checked at the same time.
const checksAtOnce = 4

// outcome is what came of a trial.
type outcome struct {
	points []point
	wrong  map[int]error // by step
	end    *ledger
}

// run cuts the power again and again, and holds what is left to what was said.
func (tr *trial) run(t *testing.T) outcome {
	t.Helper()
	chosen, end, err := tr.choose()
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	o := outcome{wrong: map[int]error{}, end: end}
	slots := make(chan struct{}, checksAtOnce)
	dir := t.TempDir()
	err = tr.replayed(func(i int, _ bool, d *disk, said *ledger) error {
		mu.Lock()
		skip := !chosen[i] || tr.first && len(o.wrong) > 0
		mu.Unlock()
		if skip {
			return nil
		}
		p, image := point{i, said.clone()}, filepath.Join(dir, fmt.Sprint(i))
		if err := tr.crash(d, i, image); err != nil {
			return err
		}
		o.points = append(o.points, p)
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := check(t.Context(), image, vfs.OS{}, p.known); err != nil {
				mu.Lock()
				o.wrong[i] = err
				mu.Unlock()
			}
			os.RemoveAll(image)
		})
		return nil
	})
	wg.Wait()
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// leave writes what a crash at a step leaves into dir.
func (tr *trial) leave(t *testing.T, step int, dir string) {
	t.Helper()
	done := errors.New("done")
	err := tr.replayed(func(i int, _ bool, d *disk, _ *ledger) error {
		if i != step {
			return nil
		}
		return errors.Join(tr.crash(d, i, dir), done)
	})
	if !errors.Is(err, done) {
		t.Fatal(err)
	}
}

// prove fails the test if any crash lost something, and keeps the first directory
// that did, and the trace, to be looked into.
func (tr *trial) prove(t *testing.T) outcome {
	t.Helper()
	o := tr.run(t)
	t.Logf("seed %d: %d steps, %d crashes, %d of them bad; no opening took longer than %v", tr.Seed, len(tr.steps), len(o.points), len(o.wrong), time.Duration(slowestOpen.Load()))
	for _, f := range o.end.failures {
		t.Errorf("seed %d: the driver: %s", tr.Seed, f)
	}
	for n, i := range slices.Sorted(maps.Keys(o.wrong)) {
		if n == 5 {
			break
		}
		t.Errorf("seed %d, step %d, journaled %v: %v", tr.Seed, i, tr.journaled, o.wrong[i])
		if n == 0 {
			kept, err := os.MkdirTemp("", "lockstep-crash-*")
			if err != nil {
				t.Fatal(err)
			}
			tr.leave(t, i, filepath.Join(kept, "data"))
			t.Logf("kept: %s; its trace: %v", kept, os.Rename(tr.file, filepath.Join(kept, "trace")))
		}
	}
	return o
}

// seeds calls fn with a fixed few seeds, and with new ones as long as a soak lasts.
func seeds(t *testing.T, few int, fn func(t *testing.T, seed uint64)) {
	for seed := range steady.SeedsFor(t, few, soak(t)) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { fn(t, seed) })
	}
}

// soak is how long a test may go on with chance; 0 when it should not.
func soak(t *testing.T) time.Duration { return steady.Soak(t) / soakTests }

// soakTests is how many tests share the time of a soak.
const soakTests = 3

// points is how many moments of a life are tried: half of them where something
// was said or synced, which is about a tenth of those there are; in a soak most.
func points(t *testing.T) int {
	if soak(t) > 0 {
		return 500
	}
	return 55
}

// TestAcknowledgedSurvivesPowerLoss lives twice for each seed: on an empty
// directory, and on what a crash of that life left.
func TestAcknowledgedSurvivesPowerLoss(t *testing.T) {
	needStrace(t)
	seeds(t, 3, func(t *testing.T, seed uint64) {
		first := &trial{life: live(t, plan{Seed: seed, Rounds: 5, Steps: 8, Restart: 3}, t.TempDir(), newLedger(), ""), points: points(t)}
		o := first.prove(t)
		p := o.points[seed%uint64(len(o.points))]
		left := filepath.Join(t.TempDir(), "left")
		first.leave(t, p.step, left)
		second := &trial{life: live(t, plan{Seed: seed + 1000, Rounds: 5, Steps: 8, Restart: 3}, left, p.known, ""), points: points(t), journaled: seed%2 == 1}
		second.prove(t)
	})
}

// TestSyncsThatDoNothingAreFound plants faults: the tests above must notice them.
func TestSyncsThatDoNothingAreFound(t *testing.T) {
	needStrace(t)
	l := live(t, plan{Seed: 7, Rounds: 6, Steps: 8}, t.TempDir(), newLedger(), "")
	for name, lies := range map[string]func(string) bool{
		"of the log":      func(path string) bool { return strings.HasSuffix(path, "-wal") },
		"of the database": func(path string) bool { return strings.HasSuffix(path, ".db") },
		"of packs":        func(path string) bool { return strings.HasSuffix(path, ".pack") },
		"of directories":  func(path string) bool { return filepath.Ext(path) == "" },
	} {
		tr := &trial{life: l, points: 80, lies: lies, first: true}
		if o := tr.run(t); len(o.wrong) == 0 {
			t.Errorf("syncs %s did nothing, and nobody noticed in %d crashes", name, len(o.points))
		}
	}
	tr := &trial{life: live(t, plan{Seed: 8, Rounds: 3, Steps: 8, Forgetful: true}, t.TempDir(), newLedger(), ""), points: 80, first: true}
	if o := tr.run(t); len(o.wrong) == 0 {
		t.Errorf("the packs were never synced, and nobody noticed in %d crashes", len(o.points))
	}
}

// injections are which calls of a thread the kernel refuses. Other seeds draw theirs.
var injections = []string{"fsync,fdatasync:error=EIO:when=9+11", "fsync:error=EIO:when=5+2", "pwrite64:error=ENOSPC:when=30+11", "pwrite64:error=EIO:when=25+9", "fsync:error=EIO:when=2+6"}

func injection(seed uint64) string {
	if seed < uint64(len(injections)) {
		return injections[seed]
	}
	rng := rand.New(rand.NewPCG(seed, 4))
	call, _, _ := strings.Cut(injections[seed%uint64(len(injections))], ":when")
	return fmt.Sprintf("%s:when=%d+%d", call, 2+rng.IntN(12), 2+rng.IntN(8))
}

// TestFailedSyncsAndWritesLoseNothing lets the kernel refuse some syncs and
// writes. After a sync that failed, what it should have written may be on disk or
// not, is never tried again, and can still be read: until the power goes.
func TestFailedSyncsAndWritesLoseNothing(t *testing.T) {
	needStrace(t)
	seeds(t, len(injections), func(t *testing.T, seed uint64) {
		inject := injection(seed)
		l := live(t, plan{Seed: seed, Rounds: 6, Steps: 6, Restart: 2, Hurt: true}, t.TempDir(), newLedger(), inject)
		o := (&trial{life: l, points: points(t)}).prove(t)
		if len(o.end.hurts) == 0 && seed < uint64(len(injections)) {
			t.Errorf("%s: nothing failed", inject)
		}
		t.Logf("%s: %d calls were refused", inject, len(o.end.hurts))
	})
}
