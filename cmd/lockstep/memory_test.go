package main

import (
	"runtime"
	"testing"
	"time"

	"lockstep/internal/auth"
)

func TestMemoryIsGivenBackWhenItIsQuiet(t *testing.T) {
	start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	type look struct {
		hashed time.Duration // after start; 0 is never
		made   uint64        // bytes since the look before
		due    bool
	}
	for name, looks := range map[string][]look{
		"nothing happened":              {{0, 1 << 20, false}, {0, 1 << 20, false}, {0, 1 << 20, false}, {0, 1 << 20, false}},
		"a minute after a burst":        {{0, 200 << 20, false}, {0, 1 << 20, false}, {0, 1 << 20, true}, {0, 1 << 20, false}, {0, 1 << 20, false}},
		"work that goes on":             {{0, 200 << 20, false}, {0, 5 << 20, false}, {0, 1 << 20, false}, {0, 5 << 20, false}, {0, 5 << 20, false}},
		"a minute after a hash":         {{25 * time.Second, 20 << 20, false}, {25 * time.Second, 50 << 20, false}, {25 * time.Second, 50 << 20, true}, {25 * time.Second, 50 << 20, false}},
		"sign-ins that go on":           {{25 * time.Second, 20 << 20, false}, {55 * time.Second, 20 << 20, false}, {85 * time.Second, 20 << 20, false}},
		"many that need no hash, later": {{5 * time.Second, 20 << 20, false}, {5 * time.Second, 20 << 20, false}, {5 * time.Second, 20 << 20, true}, {5 * time.Second, 20 << 20, false}, {5 * time.Second, 0, false}, {5 * time.Second, 0, true}},
	} {
		var s stillness
		var made uint64
		for i, l := range looks {
			made += l.made
			var hashed time.Time
			if l.hashed > 0 {
				hashed = start.Add(l.hashed)
			}
			if got := s.due(hashed, made, start.Add(time.Duration(i+1)*quietEvery)); got != l.due {
				t.Errorf("%s: %v at look %d, want %v", name, got, i+1, l.due)
			}
		}
	}
}

// What a sign-in was checked with goes back to the system.
func TestMemoryOfPasswordsIsGivenBack(t *testing.T) {
	h := openTestHouse(t, testConfig(t))
	if _, err := auth.HashPassword(t.Context(), "a good password"); err != nil {
		t.Fatal(err)
	}
	before := heldMemory()
	h.giveBackMemory(t.Context())
	after := heldMemory()
	t.Logf("from the system: %d KiB, then %d KiB", before>>10, after>>10)
	if before-after < 15<<20 {
		t.Errorf("%d KiB were given back, want 19 MiB or so", (before-after)>>10)
	}
}

// heldMemory is what the runtime has of the system and has not given back.
func heldMemory() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapSys - m.HeapReleased)
}
