package crashtest

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// parse reads lines as strace writes them.
func parse(t *testing.T, lines string) []step {
	t.Helper()
	file := filepath.Join(t.TempDir(), "trace")
	if err := os.WriteFile(file, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	steps, err := readTrace(file)
	if err != nil {
		t.Fatal(err)
	}
	return steps
}

// replayAll replays steps on an empty disk called /d.
func replayAll(seed uint64, journaled bool, steps []step) (*replay, error) {
	r := newReplay(&disk{root: newDir(""), journaled: journaled, rng: rand.New(rand.NewPCG(seed, 1))}, "/d", func(string) {})
	for _, s := range steps {
		if _, err := r.do(s); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// The paths, as strace writes them: /d, /d/f and /d/g.
const (
	pathD = `"\x2f\x64"`
	pathF = `"\x2f\x64\x2f\x66"`
	pathG = `"\x2f\x64\x2f\x67"`
)

// outcomes are what a file may hold after a crash; "-" is no file.
func outcomes(t *testing.T, seeds uint64, name string, journaled bool, lines string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	steps, tmp := parse(t, lines), t.TempDir()
	for seed := range seeds {
		r, err := replayAll(seed, journaled, steps)
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(tmp, fmt.Sprint(seed))
		if err := r.crash(rand.New(rand.NewPCG(seed, 2)), dir); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(dir, name))
		if os.IsNotExist(err) {
			found["-"] = true
			continue
		}
		found[string(bytes.TrimRight(b, "\x00"))] = true
	}
	return found
}

func wantOutcomes(t *testing.T, got map[string]bool, want ...string) {
	t.Helper()
	for _, w := range want {
		if !got[w] {
			t.Errorf("never left %q, only %q", w, slices.Sorted(maps.Keys(got)))
		}
		delete(got, w)
	}
	if len(got) > 0 {
		t.Errorf("left also %q", slices.Sorted(maps.Keys(got)))
	}
}

func TestDiskKeepsWhatWasSyncedAndAnyOfTheRest(t *testing.T) {
	create := "1 openat(AT_FDCWD, " + pathF + ", O_RDWR|O_CREAT, 0600) = 3\n"
	lasting := create + "1 openat(AT_FDCWD, " + pathD + ", O_RDONLY) = 4\n1 fsync(4) = 0\n"
	writeA, writeB := `1 pwrite64(3, "\x41", 1, 0) = 1`+"\n", `1 pwrite64(3, "\x42", 1, 0) = 1`+"\n"
	const syncF, failF = "1 fsync(3) = 0\n", "1 fsync(3) = -1 EIO (Input/output error) (INJECTED)\n"
	for _, tt := range []struct {
		name, file, lines string
		journaled         bool
		want              []string
	}{
		{"a name that was not synced", "f", create + writeA + syncF, false, []string{"-", "A"}},
		{"with a journal", "f", create + writeA + syncF, true, []string{"A"}},
		{"a write that was not synced", "f", lasting + writeA, false, []string{"", "A"}},
		{"one that was, and one that was not", "f", lasting + writeA + syncF + writeB, false, []string{"A", "B"}},
		{"two that were not", "f", lasting + writeA + writeB, false, []string{"", "A", "B"}},
		{"a write under way while another syncs", "f", lasting + writeA + `2 pwrite64(3, "\x42", 1, 0 <unfinished ...>` + "\n" + syncF + "2 <... pwrite64 resumed>) = 1\n", false, []string{"A", "B"}},
		{"a sync that did not return", "f", lasting + writeA + "1 fsync(3 <unfinished ...>\n", false, []string{"", "A"}},
		{"a sync that failed is not made up for", "f", lasting + writeA + failF + syncF, false, []string{"", "A"}},
		{"but by another write", "f", lasting + writeA + failF + writeB + syncF, false, []string{"B"}},
		{"a write that failed", "f", lasting + writeA + syncF + `1 pwrite64(3, "\x42", 1, 0) = -1 ENOSPC (No space left on device)` + "\n", false, []string{"A"}},
		{"a size", "f", lasting + writeA + syncF + "1 ftruncate(3, 0) = 0\n", false, []string{"A", ""}},
		{"a rename", "g", lasting + writeA + syncF + "1 renameat(AT_FDCWD, " + pathF + ", AT_FDCWD, " + pathG + ") = 0\n", false, []string{"-", "A"}},
		{"a removal", "f", lasting + writeA + syncF + "1 unlink(" + pathF + ") = 0\n", false, []string{"-", "A"}},
	} {
		t.Run(tt.name, func(t *testing.T) { wantOutcomes(t, outcomes(t, 80, tt.file, tt.journaled, tt.lines), tt.want...) })
	}
}

func TestPagesReachTheDiskInAnyOrder(t *testing.T) {
	var lines strings.Builder
	lines.WriteString("1 openat(AT_FDCWD, " + pathF + ", O_RDWR|O_CREAT, 0600) = 3\n1 openat(AT_FDCWD, " + pathD + ", O_RDONLY) = 4\n1 fsync(4) = 0\n")
	for i := range 3 {
		lines.WriteString(`1 pwrite64(3, "\x4` + string(rune('1'+i)) + `", 1, ` + []string{"0", "4096", "8192"}[i] + ") = 1\n")
	}
	found := map[string]bool{}
	for got := range outcomes(t, 300, "f", false, lines.String()) {
		found[strings.ReplaceAll(got, "\x00", "")] = true
	}
	wantOutcomes(t, found, "", "A", "B", "C", "AB", "AC", "BC", "ABC")
}

func TestCallsThatAreNotReplayedAreRefused(t *testing.T) {
	for _, line := range []string{
		"1 fallocate(3, 0, 0, 100) = 0", "1 writev(3, [], 0) = 0", "1 link(" + pathF + ", " + pathG + ") = 0",
		"1 mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, 3, 0) = 0x7f0000000000", "1 dup(3) = 5",
	} {
		if _, err := replayAll(1, false, parse(t, "1 openat(AT_FDCWD, "+pathF+", O_RDWR|O_CREAT, 0600) = 3\n"+line+"\n")); err == nil {
			t.Errorf("replayed without a word: %s", line)
		}
	}
}

// A thread that puts a new process in the place of all cuts off what others do. What
// those wrote a later sync makes last.
func TestWhatANewProcessCutsOffHasEnded(t *testing.T) {
	const exec = `21 execve("\x2f\x74", ["\x2f\x74", "\x2d\x61"], 0x7f00 /* 20 vars */`
	for name, lines := range map[string]string{
		"by another thread": exec + " <pid changed to 17 ...>\n" + `17 pwrite64(3, "\x41", 1, 517   +++ superseded by execve in pid 21 +++` + "\n17 <... execve resumed>) = 0\n",
		"of another thread": `17 pwrite64(3, "\x41", 1, 5 <detached ...>` + "\n" + exec + ") = 0\n",
		"by the first":      `17 pwrite64(3, "\x41", 1, 5 <unfinished ...>` + "\n" + exec + ") = 0\n",
	} {
		steps := parse(t, lines+`17 fsync(3) = 0`+"\n")
		var write, sync *call
		for _, s := range steps {
			switch s.name {
			case "pwrite64":
				write = s.call
			case "fsync":
				sync = s.call
			}
		}
		if write == nil || write.done || write.text(1) != "A" || write.num(3) != 5 || write.left >= sync.entered || !sync.done {
			t.Errorf("%s: %+v, then %+v", name, write, sync)
		}
		if _, err := replayAll(1, false, steps); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
