// Package steady is for tests that fail only when something is wrong: where their
// chance comes from, and how long they wait.
package steady

import (
	"hash/fnv"
	"iter"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// Patience is how long a test waits for what has to come. One that passes never waits
// that long; a machine that runs everything at once may stand still for many seconds.
const Patience = 2 * time.Minute

// What the environment says: a seed to play again, how long to go on with new ones, and
// whether what is tested is a commit.
const (
	seedVariable = "LOCKSTEP_SEED"
	soakVariable = "LOCKSTEP_SOAK"
	ciVariable   = "CI"
)

// Seed is what a test's chance comes from. With LOCKSTEP_SEED it is that; with CI=true it
// follows from the test's name, so that what CI says is about the commit; else it is new
// each time. A test that fails says how it is played again.
func Seed(t testing.TB) uint64 {
	t.Helper()
	seed, given := givenSeed(t)
	if !given {
		seed = chosen(t)
	}
	tellWhenFailed(t, seed)
	return seed
}

// Seeds are the few seeds that a test always plays, 1 and those that follow; with
// LOCKSTEP_SOAK new ones after them for that long, until the test has failed; and with
// LOCKSTEP_SEED that one alone. It is for tests that play each in a test of its own,
// whose name says the seed, or that say it where they fail.
func Seeds(t testing.TB, few int) iter.Seq[uint64] {
	t.Helper()
	return SeedsFor(t, few, Soak(t))
}

// SeedsFor is Seeds for one of several tests that share the time of a soak.
func SeedsFor(t testing.TB, few int, soak time.Duration) iter.Seq[uint64] {
	t.Helper()
	return func(yield func(uint64) bool) {
		if seed, given := givenSeed(t); given {
			yield(seed)
			return
		}
		ends := time.Now().Add(soak)
		for seed := range uint64(few) {
			if !yield(seed + 1) {
				return
			}
		}
		for time.Now().Before(ends) && !t.Failed() {
			if !yield(rand.Uint64()) {
				return
			}
		}
	}
}

// Soak is how long a test goes on with new seeds, 0 when it should not.
func Soak(t testing.TB) time.Duration {
	t.Helper()
	text := os.Getenv(soakVariable)
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("%s: %v", soakVariable, err)
	}
	return d
}

// Eventually waits until it is so, for Patience.
func Eventually(t testing.TB, what string, so func() bool) {
	t.Helper()
	for ends := time.Now().Add(Patience); !so(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(ends) {
			t.Fatalf("not in %v: %s", Patience, what)
		}
	}
}

func givenSeed(t testing.TB) (seed uint64, given bool) {
	t.Helper()
	text := os.Getenv(seedVariable)
	if text == "" {
		return 0, false
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", seedVariable, err)
	}
	return seed, true
}

func chosen(t testing.TB) uint64 {
	if os.Getenv(ciVariable) != "true" || os.Getenv(soakVariable) != "" {
		return rand.Uint64()
	}
	h := fnv.New64a()
	h.Write([]byte(t.Name()))
	return h.Sum64()
}

func tellWhenFailed(t testing.TB, seed uint64) {
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s=%d go test -run '^%s$' plays this again", seedVariable, seed, t.Name())
		}
	})
}
