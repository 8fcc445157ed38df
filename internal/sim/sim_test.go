package sim

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"

	"lockstep/internal/store/sqlstore/sqltest"
)

var (
	seedFlag  = flag.Uint64("sim.seed", 0, "play only this seed")
	seedsFlag = flag.Int("sim.seeds", 20, "how many seeds to play")
)

// play runs a plan in a bubble in which time is ours.
func play(t *testing.T, p Plan, f Fault) (r Result) {
	home, leave := atHome(t)
	defer leave()
	synctest.Test(t, func(t *testing.T) { r = Run(t.Context(), p, home, f, synctest.Wait) })
	return r
}

// atHome makes a home on the engine that tests are run with, and takes it away again.
func atHome(t *testing.T) (h Home, leave func()) {
	h.Dir = t.TempDir()
	if fast := scratch(t); fast != "" {
		h.Dir = fast
	}
	leave = func() {}
	if sqltest.OnPostgres(t) {
		h.Postgres, leave = sqltest.Borrow(t)
	}
	return h, leave
}

// scratch is a directory that needs no disk, "" where there is none.
func scratch(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "lockstep-sim-")
	if err != nil {
		return ""
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// plan is of two people who share, with or without phones and programs, of one who has phones alone,
// or of one who is told everything at once.
func plan(seed uint64) Plan {
	switch seed % 4 {
	case 0:
		return NewPlan(seed, 2, 10, 150)
	case 1:
		if seed%8 == 5 {
			return from(10, NewPlan(seed, 1, 4, 150))
		}
		return from(8, NewPlan(seed, 2, 8, 150))
	case 2:
		if seed%8 == 2 {
			return NewPlan(seed, 2, len(roster), 150)
		}
		return NewPlan(seed, 2, 14, 150)
	}
	return from(8, NewPlan(seed, 1, 6, 150))
}

func from(first int, p Plan) Plan {
	p.First = first
	return p
}

func TestEveryDeviceEndsInStep(t *testing.T) { inStep(t, plan) }

// inStep plays as many seeds as were asked for. On PostgreSQL, where a seed mostly waits
// for the server, several are played at once.
func inStep(t *testing.T, plan func(uint64) Plan) {
	first, n := uint64(1), *seedsFlag
	if *seedFlag != 0 {
		first, n = *seedFlag, 1
	}
	for seed := first; seed < first+uint64(n); seed++ {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			if sqltest.OnPostgres(t) {
				t.Parallel()
			}
			p := plan(seed)
			if wrong := play(t, p, Fault{}).Wrong; len(wrong) > 0 {
				short := p.Shorter(100, func(p Plan) bool { return len(play(t, p, Fault{}).Wrong) > 0 })
				t.Fatalf("-sim.seed=%d: %s\nthe shortest history that fails: %v", seed, strings.Join(wrong, "\n"), short)
			}
		})
	}
}

// What a seed does can be looked at again.
func TestAPlanTakesTheSameCourseEachTime(t *testing.T) {
	for seed := uint64(1); seed <= 3; seed++ {
		one, other := play(t, plan(seed), Fault{}), play(t, plan(seed), Fault{})
		if one.Course != other.Course {
			t.Errorf("seed %d took two courses", seed)
		}
		if one.Course == play(t, plan(seed+100), Fault{}).Course {
			t.Errorf("seeds %d and %d took the same course", seed, seed+100)
		}
	}
}
