package bench

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// clockTick is the unit of times in /proc/pid/stat: USER_HZ, 100 on every Linux
// that Go runs on.
const clockTick = 10 * time.Millisecond

// procStat is what is needed of /proc/pid/stat.
type procStat struct {
	parent int
	cpu    time.Duration // its own, and that of children it waited for
}

// parseStat reads /proc/pid/stat (proc_pid_stat(5)). The name in parentheses may
// hold anything, so fields are counted from the last parenthesis.
func parseStat(text []byte) (procStat, error) {
	end := bytes.LastIndexByte(text, ')')
	if end < 0 {
		return procStat{}, fmt.Errorf("no name in %q", text)
	}
	f := bytes.Fields(text[end+1:])
	if len(f) < 15 {
		return procStat{}, fmt.Errorf("%d fields in %q", len(f), text)
	}
	var s procStat
	var err error
	if s.parent, err = strconv.Atoi(string(f[1])); err != nil {
		return s, err
	}
	for _, t := range f[11:15] { // utime, stime, cutime, cstime
		n, err := strconv.ParseInt(string(t), 10, 64)
		if err != nil {
			return s, err
		}
		s.cpu += time.Duration(n) * clockTick
	}
	return s, nil
}

// family returns root and every process below it, with their stats.
func family(root int) map[int]procStat {
	all := map[int]procStat{}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		text, err := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		if err != nil {
			continue // it ended meanwhile
		}
		if s, err := parseStat(text); err == nil {
			all[pid] = s
		}
	}
	return descendants(all, root)
}

// descendants keeps root and whatever hangs below it.
func descendants(all map[int]procStat, root int) map[int]procStat {
	kept := map[int]procStat{}
	for pid, s := range all {
		for p := pid; p > 1; p = all[p].parent {
			if p == root {
				kept[pid] = s
				break
			}
		}
	}
	return kept
}

// cpuOf is the processor time of a server and all its processes so far.
func cpuOf(root int) time.Duration {
	var sum time.Duration
	for _, s := range family(root) {
		sum += s.cpu
	}
	return sum
}

// statusKB reads one value in kB of /proc/pid/status or smaps_rollup.
func statusKB(path, key string) (int64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, key+":"); ok {
			return strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
		}
	}
	return 0, fmt.Errorf("%s: no %s", path, key)
}

// residentKB is what a server holds in memory: the resident set of one process,
// or of several the proportional one, which counts a page they share once.
func residentKB(root int) (int64, error) {
	members := family(root)
	if len(members) == 1 {
		return statusKB(fmt.Sprintf("/proc/%d/status", root), "VmRSS")
	}
	var sum int64
	for pid := range members {
		n, err := statusKB(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Pss")
		if err == nil {
			sum += n
		}
	}
	return sum, nil
}

// forgetPeak makes peakKB count from now on (proc_pid_clear_refs(5)).
func forgetPeak(pid int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}

// peakKB is the largest resident set of one process since forgetPeak.
func peakKB(pid int) (int64, error) {
	return statusKB(fmt.Sprintf("/proc/%d/status", pid), "VmHWM")
}

// dropCaches makes the kernel forget the pages of every file below dir: only
// theirs, unlike drop_caches, and it needs no root.
func dropCaches(dir string) error {
	unix.Sync()
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // what vanished meanwhile has no pages
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		return forgetPages(f)
	})
}

// countSyncs counts the calls in what strace wrote. A call that another thread
// interrupts takes two lines; the first is counted.
func countSyncs(trace []byte) int {
	n := 0
	for line := range bytes.Lines(trace) {
		f := bytes.Fields(line)
		if len(f) < 2 {
			continue
		}
		name, _, called := bytes.Cut(f[1], []byte("("))
		if called && slices.Contains(syncCalls, string(name)) {
			n++
		}
	}
	return n
}
