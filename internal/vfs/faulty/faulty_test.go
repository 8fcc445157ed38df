package faulty

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"testing"

	"lockstep/internal/vfs"
)

// TestBothFileSystemsAgree holds the faulty file system, left alone, to what
// the real one does.
func TestBothFileSystemsAgree(t *testing.T) {
	for name, fsys := range map[string]vfs.FS{"os": vfs.OS{}, "faulty": New(1)} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "a", "b")
			must(t, fsys.MkdirAll(dir))
			testFiles(t, fsys, dir)
			testDirs(t, fsys, dir)
			testTemp(t, fsys, dir)
			testLock(t, fsys, filepath.Join(dir, "lock"))
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func testFiles(t *testing.T, fsys vfs.FS, dir string) {
	one, two := filepath.Join(dir, "one"), filepath.Join(dir, "two")
	f, err := fsys.Create(one)
	must(t, err)
	if _, err := fsys.Create(one); !errors.Is(err, fs.ErrExist) {
		t.Errorf("created twice: %v", err)
	}
	_, err = f.WriteAt([]byte("world"), 6)
	must(t, err)
	_, err = f.WriteAt([]byte("hello"), 0)
	must(t, err)
	must(t, f.Sync())
	must(t, f.Close())
	must(t, fsys.Rename(one, two))
	must(t, fsys.SyncDir(dir))
	info, err := fsys.Stat(two)
	if err != nil || info.Size != 11 || info.Mode.Perm() != 0o600 || info.Name != "two" {
		t.Errorf("stat: %+v, %v", info, err)
	}
	if list, err := fsys.ReadDir(dir); err != nil || len(list) != 1 || list[0].Name != "two" {
		t.Errorf("list: %+v, %v", list, err)
	}
	if f, err = fsys.Open(two); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 20)
	if n, err := f.ReadAt(b, 0); string(b[:n]) != "hello\x00world" || err == nil {
		t.Errorf("read %q, %v", b[:n], err)
	}
	if _, err := f.WriteAt(b, 0); err == nil {
		t.Error("wrote to a file that was opened to read")
	}
	must(t, f.Close())
	if f, err = fsys.Change(two); err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt([]byte("j"), 0)
	must(t, err)
	if n, err := f.ReadAt(b[:5], 0); string(b[:n]) != "jello" || err != nil {
		t.Errorf("edited: read %q, %v", b[:n], err)
	}
	must(t, f.Close())
	if _, err := fsys.Change(one); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("edited what is not there: %v", err)
	}
	must(t, fsys.Remove(two))
	if _, err := fsys.Open(two); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after removal: %v", err)
	}
}

func testDirs(t *testing.T, fsys vfs.FS, dir string) {
	below := filepath.Join(dir, "below", "further")
	must(t, fsys.MkdirAll(below))
	f, err := fsys.Create(filepath.Join(below, "file"))
	must(t, err)
	must(t, f.Close())
	for of, want := range map[string]string{dir: "[below]", filepath.Join(dir, "below"): "[further]", below: "[]"} {
		if names, err := fsys.Dirs(of); err != nil || fmt.Sprint(names) != want {
			t.Errorf("directories in %s: %v, %v; want %s", of, names, err, want)
		}
	}
	must(t, fsys.Remove(filepath.Join(below, "file")))
}

func testTemp(t *testing.T, fsys vfs.FS, dir string) {
	f, err := fsys.Temp(dir)
	must(t, err)
	_, err = f.WriteAt([]byte("x"), 0)
	must(t, err)
	if list, _ := fsys.ReadDir(dir); len(list) != 0 {
		t.Errorf("a temporary file has a name: %+v", list)
	}
	must(t, f.Close())
}

func testLock(t *testing.T, fsys vfs.FS, name string) {
	l, err := fsys.Lock(name)
	must(t, err)
	if _, err := fsys.Lock(name); err == nil {
		t.Error("locked twice")
	}
	must(t, l.Close())
	l, err = fsys.Lock(name)
	must(t, err)
	must(t, l.Close())
}

// writeNew writes data in pages to a new file and returns it.
func writeNew(t *testing.T, fsys *FS, name string, data []byte) vfs.File {
	t.Helper()
	f, err := fsys.Create(name)
	must(t, err)
	for off := 0; off < len(data); off += 1000 {
		_, err = f.WriteAt(data[off:min(off+1000, len(data))], int64(off))
		must(t, err)
	}
	return f
}

// afterCrash says what a crash left of a file that held data.
func afterCrash(t *testing.T, fsys *FS, name string, data []byte) string {
	t.Helper()
	fsys.Crash()
	info, err := fsys.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "no file"
	}
	must(t, err)
	f, err := fsys.Open(name)
	must(t, err)
	got := make([]byte, info.Size)
	if len(got) > 0 {
		_, err = f.ReadAt(got, 0)
		must(t, err)
	}
	switch {
	case bytes.Equal(got, data):
		return "whole"
	case len(got) == 0:
		return "empty"
	case len(got) == len(data):
		return "holes"
	}
	return "short"
}

func TestCrashLosesOnlyWhatWasNotSynced(t *testing.T) {
	data := bytes.Repeat([]byte("mail"), 2000)
	seen := map[string]map[string]bool{"synced": {}, "bytes only": {}, "name only": {}, "failed": {}}
	for seed := range uint64(200) {
		for how, results := range seen {
			fsys := New(seed)
			f := writeNew(t, fsys, "/d/f", data)
			if how == "failed" {
				fsys.SetOdds(Odds{Sync: 1})
				if f.Sync() == nil {
					t.Fatal("sync did not fail")
				}
				fsys.SetOdds(Odds{})
			}
			if how != "name only" {
				must(t, f.Sync())
			}
			if how != "bytes only" {
				must(t, fsys.SyncDir("/d"))
			}
			results[afterCrash(t, fsys, "/d/f", data)] = true
			if _, err := f.ReadAt(make([]byte, 1), 0); !errors.Is(err, fs.ErrClosed) {
				t.Fatalf("a handle outlived the crash: %v", err)
			}
		}
	}
	for how, want := range map[string][]string{
		"synced":     {"whole"},
		"bytes only": {"whole", "no file"},
		"name only":  {"whole", "empty", "holes", "short"},
		"failed":     {"whole", "empty", "holes", "short"}, // a sync after one that failed proves nothing
	} {
		for _, w := range want {
			if !seen[how][w] {
				t.Errorf("%s: %q was never seen", how, w)
			}
		}
		if len(seen[how]) != len(want) {
			t.Errorf("%s: saw %v, want %v", how, seen[how], want)
		}
	}
}

func TestSameSeedSameCrash(t *testing.T) {
	data := bytes.Repeat([]byte("mail"), 2000)
	for seed := range uint64(20) {
		var results []string
		for range 2 {
			fsys := New(seed)
			writeNew(t, fsys, "/d/f", data)
			results = append(results, afterCrash(t, fsys, "/d/f", data))
		}
		if results[0] != results[1] {
			t.Fatalf("seed %d: %q, then %q", seed, results[0], results[1])
		}
	}
}
