package bench

import (
	"maps"
	"os"
	"slices"
	"testing"
	"time"
)

func TestStatIsReadAfterTheName(t *testing.T) {
	got, err := parseStat([]byte("42 (a) b (c) S 7 42 42 0 -1 4194560 206 0 0 0 11 22 33 44 20 0 1 0 100 0 0"))
	if want := (procStat{parent: 7, cpu: 1100 * time.Millisecond}); err != nil || got != want {
		t.Fatalf("got %+v, %v; want %+v", got, err, want)
	}
	for _, broken := range []string{"", "42 (a", "42 (a) S 7", "42 (a) S x 4 4 0 -1 4 2 0 0 0 1 2 3 4 20", "42 (a) S 7 4 4 0 -1 4 2 0 0 0 1 two 3 4 20"} {
		if s, err := parseStat([]byte(broken)); err == nil {
			t.Errorf("%q was read as %+v", broken, s)
		}
	}
}

func TestDescendantsAreTheWholeTree(t *testing.T) {
	all := map[int]procStat{2: {parent: 1}, 10: {parent: 1}, 11: {parent: 10}, 12: {parent: 11}, 20: {parent: 2}, 30: {parent: 99}}
	got := slices.Sorted(maps.Keys(descendants(all, 10)))
	if want := []int{10, 11, 12}; !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

func TestOwnMemoryIsRead(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("no /proc")
	}
	for name, f := range map[string]func(int) (int64, error){"resident": residentKB, "peak": peakKB} {
		if kb, err := f(os.Getpid()); err != nil || kb < 1000 {
			t.Errorf("%s: %d kB, %v", name, kb, err)
		}
	}
	if cpuOf(1<<30) != 0 {
		t.Error("a process that is not there took time")
	}
}

func TestSyncsAreCountedOnce(t *testing.T) {
	trace := `12 fdatasync(5</a> <unfinished ...>
13 fsync(6</a b>) = 0
12 <... fdatasync resumed>) = 0
14 +++ exited with 0 +++
14 sync_file_range(7</c>, 0, 4096, SYNC_FILE_RANGE_WRITE) = 0
15 openat(AT_FDCWD, "fsync(") = 3
`
	if n := countSyncs([]byte(trace)); n != 3 {
		t.Fatalf("counted %d, want 3", n)
	}
}
