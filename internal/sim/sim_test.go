package sim

import (
	"flag"
	"os"
	"strings"
	"testing"
	"testing/synctest"
)

var (
	seedFlag  = flag.Uint64("sim.seed", 0, "play only this seed")
	seedsFlag = flag.Int("sim.seeds", 20, "how many seeds to play")
)

// scratch is a directory that needs no disk, where there is one.
func scratch(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "lockstep-sim-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// play runs a plan in a bubble in which time is ours.
func play(t *testing.T, p Plan, f Fault) (wrong []string) {
	dir, err := os.MkdirTemp(scratch(t), "")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) { wrong = Run(t.Context(), p, dir, f, synctest.Wait) })
	return wrong
}

func TestEveryDeviceEndsInStep(t *testing.T) {
	first, n := uint64(1), *seedsFlag
	if *seedFlag != 0 {
		first, n = *seedFlag, 1
	}
	for seed := first; seed < first+uint64(n); seed++ {
		p := NewPlan(seed, 2, 9, 140)
		if wrong := play(t, p, Fault{}); len(wrong) > 0 {
			t.Fatalf("-sim.seed=%d: %s", seed, strings.Join(wrong, "\n"))
		}
	}
}
