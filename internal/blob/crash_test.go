package blob_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	mathrand "math/rand/v2"
	"strings"
	"sync"
	"testing"

	"lockstep/internal/blob"
	"lockstep/internal/mail"
	"lockstep/internal/vfs"
	"lockstep/internal/vfs/faulty"
)

// acked is what puts gave back before the crash.
type acked struct {
	mu    sync.Mutex
	blobs map[mail.BlobName]stored
}

type stored struct {
	blob mail.Blob
	data []byte
}

func (a *acked) add(b mail.Blob, data []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.blobs[b.Name] = stored{b, data}
}

// TestAcknowledgedPutsSurviveCrashes lets the disk fail and the power go, again
// and again, under concurrent puts.
func TestAcknowledgedPutsSurviveCrashes(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			fsys := faulty.New(seed)
			w := newWorld(t, fsys, blob.Options{PackSize: 64 << 10})
			all := &acked{blobs: map[mail.BlobName]stored{}}
			for life := range 6 {
				fsys.SetOdds(faulty.Odds{Create: 0.05, Write: 0.05, ShortWrite: 0.05, Sync: 0.1, SyncDir: 0.05})
				crashUnderPuts(w, all, seed, life)
				w.open()
				for _, s := range all.blobs {
					w.mustRead(s.blob, s.data)
				}
				checkScan(w, all)
			}
			if len(all.blobs) == 0 {
				t.Error("nothing was ever stored")
			}
		})
	}
}

// crashUnderPuts puts from several goroutines and crashes in the midst.
func crashUnderPuts(w *world, all *acked, seed uint64, life int) {
	fsys := w.fs.(*faulty.FS)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			rng := mathrand.New(mathrand.NewPCG(seed, uint64(life*10+g)))
			for i := range 12 {
				data := fmt.Appendf(textBytes(rng.IntN(1<<rng.IntN(18))), "%d %d %d", life, g, i)
				b, _, err := w.Put(context.Background(), bytes.NewReader(data), blob.PutOptions{HeaderSize: 100, Soon: i%2 == 0})
				if err == nil && w.index.Commit(b) == nil {
					all.add(b, data)
				}
				if g == 0 && i == 9 {
					fsys.Crash()
					return
				}
			}
		})
	}
	wg.Wait()
	fsys.Crash()
}

// checkScan makes sure that an index made anew lacks nothing and holds nothing
// that is not good.
func checkScan(w *world, all *acked) {
	w.t.Helper()
	found := map[mail.BlobName]bool{}
	for f, err := range blob.Scan(context.Background(), w.fs, w.dir, w.keys) {
		if err != nil {
			w.t.Fatal(err)
		}
		if f.Err != nil {
			continue
		}
		found[f.Blob.Name] = true
		if err := w.Verify(context.Background(), f.Blob); err != nil {
			w.t.Fatalf("scan gave a bad record: %v", err)
		}
	}
	for name := range all.blobs {
		if !found[name] {
			w.t.Fatalf("scan lacks %s", name)
		}
	}
}

func TestPutRepeatsInANewPackAfterOneFailure(t *testing.T) {
	for name, odds := range map[string]faulty.Odds{"sync": {Sync: 1}, "write": {Write: 1}, "short write": {ShortWrite: 1}} {
		t.Run(name, func(t *testing.T) {
			fsys := &failOnce{FS: faulty.New(1), odds: odds}
			w := newWorld(t, fsys, blob.Options{})
			first := w.put([]byte("before"), blob.PutOptions{})
			fsys.armed = true
			second := w.put([]byte("after"), blob.PutOptions{})
			if pack(first) == pack(second) {
				t.Errorf("still writing to the pack that failed")
			}
			w.mustRead(first, []byte("before"))
			w.mustRead(second, []byte("after"))
			if n := w.Stats().FailedBatches; n != 1 {
				t.Errorf("%d failed batches", n)
			}
		})
	}
}

// TestPutSoonSaysWhetherItBecameDurable has one put after another refused by the
// disk once its place is known, and one that waits behind it.
func TestPutSoonSaysWhetherItBecameDurable(t *testing.T) {
	fsys := faulty.New(1)
	w := newWorld(t, fsys, blob.Options{})
	soon := func(text string) mail.Blob {
		t.Helper()
		b, _, err := w.Put(t.Context(), strings.NewReader(text), blob.PutOptions{Soon: true})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	good := soon("before")
	if err := w.index.Commit(good); err != nil {
		t.Fatal(err)
	}
	fsys.SetOdds(faulty.Odds{Sync: 1})
	if err := w.index.Commit(soon("refused")); mail.KindOf(err) != mail.Unavailable {
		t.Errorf("bytes that are not on the disk were committed: %v", err)
	}
	fsys.SetOdds(faulty.Odds{})
	after := soon("after")
	if err := w.index.Commit(after); err != nil {
		t.Fatal(err)
	}
	if pack(good) == pack(after) {
		t.Error("still writing to the pack that failed")
	}
	fsys.Crash()
	w.open()
	w.mustRead(good, []byte("before"))
	w.mustRead(after, []byte("after"))
}

// failOnce lets things fail, from armed until the next pack is created.
type failOnce struct {
	*faulty.FS
	odds  faulty.Odds
	armed bool
}

func (f *failOnce) Create(name string) (vfs.File, error) {
	f.SetOdds(faulty.Odds{})
	file, err := f.FS.Create(name)
	return &armedFile{file, f}, err
}

type armedFile struct {
	vfs.File
	fs *failOnce
}

func (a *armedFile) WriteAt(p []byte, off int64) (int, error) {
	if a.fs.armed {
		a.fs.armed = false
		a.fs.SetOdds(a.fs.odds)
	}
	return a.File.WriteAt(p, off)
}

func pack(b mail.Blob) string {
	id, _, _ := strings.Cut(b.Place, "-")
	return id
}

func TestPutFailsWhenTheDiskTakesNothing(t *testing.T) {
	for name, odds := range map[string]faulty.Odds{"create": {Create: 1}, "write": {Write: 1}, "sync": {Sync: 1}, "directory": {SyncDir: 1}} {
		for _, size := range []int{10, 3 << 20} {
			fsys := faulty.New(1)
			w := newWorld(t, fsys, blob.Options{})
			fsys.SetOdds(odds)
			_, _, err := w.Put(t.Context(), bytes.NewReader(randomBytes(size)), blob.PutOptions{})
			if mail.KindOf(err) != mail.Unavailable {
				t.Errorf("%s, %d bytes: %v", name, size, err)
			}
			if left := w.files(); len(left) > 0 {
				t.Errorf("%s: left behind %v", name, left)
			}
			fsys.SetOdds(faulty.Odds{})
			w.put([]byte("and it recovers"), blob.PutOptions{})
		}
	}
}

func TestReadErrorIsDamageNotWrongBytes(t *testing.T) {
	fsys := faulty.New(1)
	w := newWorld(t, fsys, blob.Options{})
	data := randomBytes(300 << 10)
	b := w.put(data, blob.PutOptions{})
	r, err := w.Open(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	fsys.SetOdds(faulty.Odds{Read: 1})
	if _, err := r.ReadAt(make([]byte, 10), 200<<10); mail.KindOf(err) != mail.Corrupt {
		t.Errorf("got %v", err)
	}
	fsys.SetOdds(faulty.Odds{})
	w.mustRead(b, data)
}

// TestNoByteOfAPackCanBeChanged changes every byte of a pack, one at a time:
// what is read is right, or it is damage.
func TestNoByteOfAPackCanBeChanged(t *testing.T) {
	w := newWorld(t, faulty.New(1), blob.Options{})
	attachment := textBytes(2000)
	text := asBase64(attachment, 76, "\r\n", true)
	data := []byte("Subject: a\r\n\r\n" + text + "end\r\n")
	b := w.put(data, blob.PutOptions{HeaderSize: 14, Cuts: []blob.Cut{{Offset: 14, Length: int64(len(text)), LineLen: 76, EOL: "\r\n"}}})
	name := w.dir + "/" + pack(b) + ".pack"
	info, err := w.fs.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	for i := range info.Size {
		flip := func(p []byte) []byte { p[i] ^= 1 << (i % 8); return p }
		w.fs.(*faulty.FS).Corrupt(name, flip)
		got, err := w.read(b)
		if err != nil && mail.KindOf(err) != mail.Corrupt {
			t.Fatalf("byte %d: %v", i, err)
		}
		if !bytes.HasPrefix(data, got) || err == nil && len(got) != len(data) {
			t.Fatalf("byte %d: wrong bytes served", i)
		}
		if err == nil && i >= 32 {
			t.Fatalf("byte %d: the change went unnoticed", i)
		}
		w.fs.(*faulty.FS).Corrupt(name, flip)
	}
	w.mustRead(b, data)
}

func TestRowThatPointsAstrayIsDamage(t *testing.T) {
	w := newWorld(t, faulty.New(1), blob.Options{})
	a, _, _ := w.Put(t.Context(), strings.NewReader("aaaa"), blob.PutOptions{}) // not committed:
	b, _, _ := w.Put(t.Context(), strings.NewReader("bbbb"), blob.PutOptions{}) // no row to set it right
	for name, change := range map[string]func(*mail.Blob){
		"another's place":      func(x *mail.Blob) { x.Place = b.Place },
		"another's key":        func(x *mail.Blob) { x.Key = b.Key },
		"another's everything": func(x *mail.Blob) { *x = b; x.Name = a.Name },
		"another size":         func(x *mail.Blob) { x.Size++ },
		"no key":               func(x *mail.Blob) { x.Key = nil },
		"no place":             func(x *mail.Blob) { x.Place = "" },
		"a huge place":         func(x *mail.Blob) { x.Place = pack(a) + "-20-7fffffffffffffff" },
		"a place past the end": func(x *mail.Blob) { x.Place = pack(a) + "-ffffff-100" },
		"a missing pack":       func(x *mail.Blob) { x.Place = "000000000001" + strings.TrimPrefix(a.Place, pack(a)) },
	} {
		x := a
		change(&x)
		if _, err := w.read(x); mail.KindOf(err) != mail.Corrupt {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPackOfAnotherKeyIsRefused(t *testing.T) {
	w := newWorld(t, faulty.New(1), blob.Options{})
	w.put([]byte("x"), blob.PutOptions{})
	w.Close()
	other := newWorld(t, faulty.New(1), blob.Options{})
	_, err := blob.Open(w.dir, other.keys, w.index, w.opts)
	if err == nil || !strings.Contains(err.Error(), "another key file") {
		t.Errorf("got %v", err)
	}
	w.open()
}

func TestStoreIsOpenedOnce(t *testing.T) {
	w := newWorld(t, vfs.OS{}, blob.Options{})
	if _, err := blob.Open(w.dir, w.keys, w.index, w.opts); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("got %v", err)
	}
}

func TestKeyFile(t *testing.T) {
	fsys := faulty.New(1)
	_, created, err := blob.OpenKeyring(fsys, "/d/key", "/d/blobs")
	if err != nil || !created {
		t.Fatalf("first start: %v, created %v", err, created)
	}
	if info, _ := fsys.Stat("/d/key"); info.Mode != 0o600 {
		t.Errorf("mode %v", info.Mode)
	}
	fsys.Crash()
	if _, created, err = blob.OpenKeyring(fsys, "/d/key", "/d/blobs"); err != nil || created {
		t.Fatalf("second start: %v, created %v", err, created)
	}
	fsys.Chmod("/d/key", 0o640)
	wantKeyError(t, fsys, "chmod 600")
	fsys.Chmod("/d/key", fs.FileMode(0o600))
	for want, change := range map[string]func(string) string{
		"is damaged":    func(s string) string { return strings.Replace(s, "key 1 ", "key 1 A", 1) },
		"without gaps":  func(s string) string { return strings.Replace(s, "key 1 ", "key 2 ", 1) },
		"later":         func(s string) string { return strings.Replace(s, "file 1\n", "file 3\n", 1) },
		"no key":        func(s string) string { return s[:strings.Index(s, "key 1 ")] },
		"its number":    func(s string) string { return s + "hello\n" },
		"a few hundred": func(s string) string { return strings.Repeat(s, 1000) },
	} {
		var before []byte
		fsys.Corrupt("/d/key", func(b []byte) []byte { before = b; return []byte(change(string(b))) })
		wantKeyError(t, fsys, want)
		fsys.Corrupt("/d/key", func([]byte) []byte { return before })
	}
}

func TestDerivedSecretsLastAsLongAsTheKey(t *testing.T) {
	secret := func(fsys vfs.FS, purpose string) string {
		k, _, err := blob.OpenKeyring(fsys, "/d/key", "/d/blobs")
		if err != nil {
			t.Fatal(err)
		}
		s, err := k.Derive(purpose)
		if err != nil || len(s) != 32 {
			t.Fatalf("%d bytes, %v", len(s), err)
		}
		return string(s)
	}
	one, other := faulty.New(1), faulty.New(2)
	s := secret(one, "a")
	if secret(one, "a") != s {
		t.Error("another one after opening again")
	}
	if secret(one, "b") == s || secret(other, "a") == s {
		t.Error("purposes or keys share one")
	}
}

func wantKeyError(t *testing.T, fsys vfs.FS, want string) {
	t.Helper()
	if _, _, err := blob.OpenKeyring(fsys, "/d/key", "/d/blobs"); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("want an error that says %q, got %v", want, err)
	}
}

func TestLostKeyIsNotReplaced(t *testing.T) {
	w := newWorld(t, faulty.New(1), blob.Options{})
	w.put([]byte("x"), blob.PutOptions{})
	w.fs.Remove(w.keyFile())
	_, created, err := blob.OpenKeyring(w.fs, w.keyFile(), w.dir)
	if err == nil || created || !strings.Contains(err.Error(), "backup") {
		t.Errorf("created %v, %v", created, err)
	}
	if _, err := w.fs.Stat(w.keyFile()); err == nil {
		t.Error("a key was made over mail that it cannot read")
	}
}
