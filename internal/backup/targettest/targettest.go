// Package targettest proves that something keeps the promises of backup.Target.
package targettest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep/internal/backup"
	"lockstep/internal/mail"
)

// Run proves targets that open makes, each empty. large is a size that the target
// does not store in one piece, if it has such.
func Run(t *testing.T, large int, open func(t *testing.T) backup.Target) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, to backup.Target)
	}{
		{"WhatIsPutIsRead", whatIsPutIsRead},
		{"PutReplaces", putReplaces},
		{"LargeObjects", func(t *testing.T, to backup.Target) { largeObjects(t, to, large) }},
		{"Ranges", ranges},
		{"BeyondTheEnd", beyondTheEnd},
		{"WhatIsNotThere", whatIsNotThere},
		{"BytesThatEndEarly", func(t *testing.T, to backup.Target) { bytesThatEndEarly(t, to, large) }},
		{"ListsByName", listsByName},
		{"ListsPages", listsPages},
		{"ListEndsEarly", listEndsEarly},
		{"DeletesWhileListing", deletesWhileListing},
		{"BadNames", badNames},
		{"AtOnce", func(t *testing.T, to backup.Target) { atOnce(t, to, large) }},
		{"EndedContext", func(t *testing.T, to backup.Target) { endedContext(t, to, large) }},
		{"ItsName", itsName},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

// Put puts bytes.
func Put(ctx context.Context, to backup.Target, name string, b []byte) error {
	return to.Put(ctx, name, bytes.NewReader(b), int64(len(b)))
}

// Get gets bytes.
func Get(ctx context.Context, from backup.Target, name string, offset, length int64) ([]byte, error) {
	r, err := from.Get(ctx, name, offset, length)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(r)
	return b, errors.Join(err, r.Close())
}

// Names lists the names below a prefix.
func Names(ctx context.Context, from backup.Target, prefix string) ([]string, error) {
	var names []string
	err := from.List(ctx, prefix, func(o backup.Object) error {
		names = append(names, o.Name)
		return nil
	})
	return names, err
}

// Bytes are the same for the same seed.
func Bytes(seed uint64, n int) []byte {
	b := make([]byte, n)
	rng := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24)})
	_, _ = rng.Read(b)
	return b
}

func mustPut(t *testing.T, to backup.Target, name string, b []byte) {
	t.Helper()
	if err := Put(t.Context(), to, name, b); err != nil {
		t.Fatal(err)
	}
}

func wantBytes(t *testing.T, from backup.Target, name string, offset, length int64, want []byte) {
	t.Helper()
	got, err := Get(t.Context(), from, name, offset, length)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s, %d bytes from %d: %d bytes, want %d, %v", name, length, offset, len(got), len(want), err)
	}
}

func wantNames(t *testing.T, from backup.Target, prefix string, want ...string) {
	t.Helper()
	got, err := Names(t.Context(), from, prefix)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("below %q: %q, want %q, %v", prefix, got, want, err)
	}
}

func whatIsPutIsRead(t *testing.T, to backup.Target) {
	for i, size := range []int{0, 1, 4095, 65_537, 1 << 20} {
		name, b := fmt.Sprintf("sets/a/pages/%d", i), Bytes(uint64(i), size)
		mustPut(t, to, name, b)
		wantBytes(t, to, name, 0, -1, b)
	}
	before := time.Now().Add(-time.Hour)
	err := to.List(t.Context(), "", func(o backup.Object) error {
		if o.Name == "sets/a/pages/2" && (o.Size != 4095 || o.Modified.Before(before)) {
			t.Errorf("%+v", o)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// Where the reader stands does not matter: the bytes are those from its beginning.
func putReplaces(t *testing.T, to backup.Target) {
	for i, size := range []int{70_000, 10, 0, 20_000} {
		b := Bytes(uint64(i), size)
		r := bytes.NewReader(b)
		_, _ = r.Seek(int64(size/2), io.SeekStart)
		if err := to.Put(t.Context(), "lockstep-backup", r, int64(size)); err != nil {
			t.Fatal(err)
		}
		wantBytes(t, to, "lockstep-backup", 0, -1, b)
		wantNames(t, to, "", "lockstep-backup")
	}
}

func largeObjects(t *testing.T, to backup.Target, large int) {
	for i, size := range []int{large - 1, large, large + 1, 3*large + 17} {
		b := Bytes(uint64(i), size)
		mustPut(t, to, "packs/p1/0-1", b)
		wantBytes(t, to, "packs/p1/0-1", 0, -1, b)
		wantBytes(t, to, "packs/p1/0-1", int64(size-100), 100, b[size-100:])
		wantBytes(t, to, "packs/p1/0-1", int64(size/2), 1000, b[size/2:][:1000])
	}
	wantNames(t, to, "", "packs/p1/0-1")
}

func ranges(t *testing.T, to backup.Target) {
	b := Bytes(1, 10_000)
	mustPut(t, to, "r", b)
	for _, c := range [][2]int64{{0, 0}, {0, 1}, {9999, 1}, {5000, 0}, {5000, 2500}, {0, 10_000}, {10_000, 0}} {
		wantBytes(t, to, "r", c[0], c[1], b[c[0]:c[0]+c[1]])
	}
	for _, from := range []int64{0, 1, 9999, 10_000} {
		wantBytes(t, to, "r", from, -1, b[from:])
	}
}

// Beyond the end there is nothing: what is before it may be given, and then the
// reader ends, with io.ErrUnexpectedEOF or without.
func beyondTheEnd(t *testing.T, to backup.Target) {
	b := Bytes(1, 100)
	mustPut(t, to, "short", b)
	for _, c := range [][2]int64{{90, 20}, {0, 1000}, {100, 1}, {200, 5}} {
		got, err := Get(t.Context(), to, "short", c[0], c[1])
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) || !bytes.HasPrefix(b[min(c[0], 100):], got) {
			t.Errorf("%d bytes from %d: %d bytes, %v", c[1], c[0], len(got), err)
		}
	}
}

func whatIsNotThere(t *testing.T, to backup.Target) {
	for _, name := range []string{"nothing", "sets/nothing/key"} {
		for _, length := range []int64{-1, 0, 5} {
			if _, err := Get(t.Context(), to, name, 0, length); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s, %d bytes: %v", name, length, err)
			}
		}
		if err := to.Delete(t.Context(), name); err != nil {
			t.Errorf("deleting %s: %v", name, err)
		}
	}
	wantNames(t, to, "")
	wantNames(t, to, "sets/")
	mustPut(t, to, "sets/a/key", []byte("k"))
	for range 2 {
		if err := to.Delete(t.Context(), "sets/a/key"); err != nil {
			t.Error(err)
		}
	}
	wantNames(t, to, "")
	if _, err := Get(t.Context(), to, "sets/a/key", 0, -1); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// failing ends with an error before its end.
type failing struct {
	*bytes.Reader
	after int64
}

var errDisk = errors.New("the disk is damaged")

func (f *failing) Read(p []byte) (int, error) {
	at := f.Size() - int64(f.Len())
	if at >= f.after {
		return 0, errDisk
	}
	return f.Reader.Read(p[:min(int64(len(p)), f.after-at)])
}

// When the bytes can't be read, or are fewer than was said, nothing changes.
func bytesThatEndEarly(t *testing.T, to backup.Target, large int) {
	old := []byte("what was there before")
	mustPut(t, to, "a", old)
	for _, size := range []int{1000, 2*large + 5} {
		b := Bytes(1, size)
		for _, name := range []string{"a", "new"} {
			if err := to.Put(t.Context(), name, &failing{bytes.NewReader(b), int64(size - 10)}, int64(size)); !errors.Is(err, errDisk) {
				t.Errorf("%s of %d bytes: %v", name, size, err)
			}
			if err := to.Put(t.Context(), name, bytes.NewReader(b), int64(size+1)); err == nil {
				t.Errorf("%s of %d bytes: one that was missing was not missed", name, size)
			}
		}
	}
	wantNames(t, to, "", "a")
	wantBytes(t, to, "a", 0, -1, old)
}

// The order is that of the bytes: a hyphen and a dot come before a slash.
func listsByName(t *testing.T, to backup.Target) {
	names := []string{"packs/a-b/0-1", "packs/a.b/0-1", "packs/a/0-1", "packs/a/0-1.5", "packs/a/10-1", "packs/a0/0-1", "packs/b/0-1", "sets/x/key", "sets/x/points/2026", "zz"}
	for _, i := range rand.Perm(len(names)) {
		mustPut(t, to, names[i], []byte(names[i]))
	}
	if !slices.IsSorted(names) {
		t.Fatal("the test's names are not sorted")
	}
	for _, prefix := range []string{"", "packs/", "packs/a", "packs/a/", "packs/a/0-1", "packs/a/0-1.5", "packs/a-", "sets/x/points/", "packs/zz", "packs/a/0-1/", "z"} {
		var want []string
		for _, n := range names {
			if strings.HasPrefix(n, prefix) {
				want = append(want, n)
			}
		}
		wantNames(t, to, prefix, want...)
	}
}

// listsPages has more than one answer of S3 can hold.
func listsPages(t *testing.T, to backup.Target) {
	const n = 1_050
	var names []string
	var all sync.WaitGroup
	room := make(chan struct{}, 16)
	for i := range n {
		name := fmt.Sprintf("sets/s%d/points/%04d", i%3, i)
		names = append(names, name)
		room <- struct{}{}
		all.Go(func() {
			defer func() { <-room }()
			if err := Put(t.Context(), to, name, nil); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	slices.Sort(names)
	wantNames(t, to, "", names...)
	wantNames(t, to, "sets/s1/", slices.DeleteFunc(names, func(s string) bool { return !strings.HasPrefix(s, "sets/s1/") })...)
}

func listEndsEarly(t *testing.T, to backup.Target) {
	for _, name := range []string{"a", "b", "c"} {
		mustPut(t, to, name, nil)
	}
	stop := errors.New("enough")
	n := 0
	err := to.List(t.Context(), "", func(backup.Object) error {
		if n++; n == 2 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || n != 2 {
		t.Errorf("%d calls, %v", n, err)
	}
}

func deletesWhileListing(t *testing.T, to backup.Target) {
	for i := range 20 {
		mustPut(t, to, fmt.Sprintf("sets/%d/key", i), nil)
	}
	n := 0
	err := to.List(t.Context(), "sets/", func(o backup.Object) error {
		n++
		return to.Delete(t.Context(), o.Name)
	})
	if err != nil || n != 20 {
		t.Errorf("%d of 20, %v", n, err)
	}
	wantNames(t, to, "")
}

func badNames(t *testing.T, to backup.Target) {
	for _, name := range []string{"", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", "A", "a b", "a\x00", "ä", `a\b`, "a?b", "a%2e", ".hidden", "a/.hidden", strings.Repeat("a", 300)} {
		if err := Put(t.Context(), to, name, []byte("x")); mail.KindOf(err) != mail.Invalid {
			t.Errorf("put %q: %v", name, err)
		}
		if _, err := Get(t.Context(), to, name, 0, -1); mail.KindOf(err) != mail.Invalid {
			t.Errorf("get %q: %v", name, err)
		}
		if err := to.Delete(t.Context(), name); mail.KindOf(err) != mail.Invalid {
			t.Errorf("delete %q: %v", name, err)
		}
	}
	wantNames(t, to, "")
}

// Whoever reads while somebody puts gets one of the objects, whole.
func atOnce(t *testing.T, to backup.Target, large int) {
	var versions [][]byte
	for i := range 3 {
		versions = append(versions, Bytes(uint64(i), large+i*1000))
	}
	mustPut(t, to, "shared", versions[0])
	var all sync.WaitGroup
	for i := range 3 {
		all.Go(func() {
			for range 5 {
				if err := Put(t.Context(), to, "shared", versions[i]); err != nil {
					t.Error(err)
				}
			}
		})
		all.Go(func() {
			for n := range 5 {
				name, b := fmt.Sprintf("own/%d-%d", i, n), Bytes(uint64(100*i+n), 5000)
				if err := Put(t.Context(), to, name, b); err != nil {
					t.Error(err)
				}
				if got, err := Get(t.Context(), to, name, 0, -1); err != nil || !bytes.Equal(got, b) {
					t.Errorf("%s: %d bytes, %v", name, len(got), err)
				}
				got, err := Get(t.Context(), to, "shared", 0, -1)
				if err != nil || !slices.ContainsFunc(versions, func(v []byte) bool { return bytes.Equal(v, got) }) {
					t.Errorf("shared: %d bytes that nobody put, %v", len(got), err)
				}
			}
		})
	}
	all.Wait()
}

func endedContext(t *testing.T, to backup.Target, large int) {
	mustPut(t, to, "a", []byte("before"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Put(ctx, to, "a", Bytes(1, 2*large)); !errors.Is(err, context.Canceled) {
		t.Error("put: ", err)
	}
	if _, err := Names(ctx, to, ""); !errors.Is(err, context.Canceled) {
		t.Error("list: ", err)
	}
	wantBytes(t, to, "a", 0, -1, []byte("before"))
	wantNames(t, to, "", "a")
}

func itsName(t *testing.T, to backup.Target) {
	if to.String() == "" {
		t.Error("a target without a name")
	}
}
