package blob_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep/internal/blob"
	"lockstep/internal/mail"
	"lockstep/internal/vfs"
	"lockstep/internal/vfs/faulty"
)

func silent(blob.Rewrapped) error { return nil }

// reopen closes the store and opens it as a new process would.
func (w *world) reopen() {
	w.t.Helper()
	if err := w.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.open()
}

// rows are all rows, as the index has them.
func (w *world) rows() (all []mail.Blob) {
	w.t.Helper()
	if err := w.Each(context.Background(), func(b mail.Blob) error { all = append(all, b); return nil }); err != nil {
		w.t.Fatal(err)
	}
	return all
}

func (w *world) rotate() uint32 {
	w.t.Helper()
	n, err := w.keys.Rotate(time.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// keyText is what lies in the key file.
func (w *world) keyText() string {
	w.t.Helper()
	text, err := os.ReadFile(w.keyFile())
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

func TestARotationRewrapsKeysAndNoBlob(t *testing.T) {
	w := newWorld(t, vfs.OS{}, blob.Options{})
	bodies := [][]byte{textBytes(100), textBytes(200_000), randomBytes(3000)}
	var put []mail.Blob
	for _, b := range bodies {
		put = append(put, w.put(b, blob.PutOptions{}))
	}
	fingerprint, before := w.keys.Fingerprint(), packBytes(t, w.dir)
	if n := w.rotate(); n != 2 {
		t.Fatalf("key %d", n)
	}
	late := w.put(textBytes(500), blob.PutOptions{})
	done, err := w.Rewrap(t.Context(), silent)
	if err != nil || done.Rows != 3 || done.Left != 0 || done.Damaged != 0 {
		t.Fatalf("%+v, %v", done, err)
	}
	if again, err := w.Rewrap(t.Context(), silent); err != nil || again != (blob.Rewrapped{}) {
		t.Errorf("a second time: %+v, %v", again, err)
	}
	by, err := w.WrappedBy(t.Context())
	if err != nil || len(by) != 1 || by[2] != 4 {
		t.Errorf("wrapped by %v, %v", by, err)
	}
	if after := packBytes(t, w.dir); !strings.HasPrefix(after, before) {
		t.Error("bytes in the packs changed")
	}
	w.reopen()
	if w.keys.Fingerprint() != fingerprint {
		t.Error("the fingerprint changed")
	}
	for i, b := range w.rows() {
		if b.Name == late.Name {
			w.mustRead(b, textBytes(500))
		} else if _, err := w.read(b); err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
	// The name of what is put again is the one it had.
	if again := w.put(bodies[1], blob.PutOptions{}); again.Name != put[1].Name || again.Fresh {
		t.Error("a rotation renamed a blob")
	}
}

// packBytes are all packs, one after the other.
func packBytes(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.pack"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

func TestARetiredKeyIsNeededNowhere(t *testing.T) {
	w := newWorld(t, vfs.OS{}, blob.Options{})
	w.put(textBytes(100_000), blob.PutOptions{})
	w.put(randomBytes(10), blob.PutOptions{})
	w.index.Unname(w.put([]byte("garbage"), blob.PutOptions{}).Name)
	secrets := derivedSecrets(t, w.keys)
	old := w.keyText()
	w.rotate()
	if _, err := w.Retire(t.Context(), 1, silent); mail.KindOf(err) != mail.Unavailable || err == nil {
		t.Fatalf("mail that is on its way in may need it: %v", err)
	}
	w.reopen() // nothing is on its way in
	for n, want := range map[uint32]mail.Kind{0: mail.NotFound, 3: mail.NotFound, 2: mail.Invalid} {
		if _, err := w.Retire(t.Context(), n, silent); err == nil || mail.KindOf(err) != want {
			t.Errorf("key %d: %v", n, err)
		}
	}
	done, err := w.Retire(t.Context(), 1, silent)
	if err != nil || done.Rows != 3 || done.Records != 3 {
		t.Fatalf("%+v, %v", done, err)
	}
	if _, err := w.Retire(t.Context(), 1, silent); err == nil || mail.KindOf(err) != mail.Exists {
		t.Errorf("a second time: %v", err)
	}
	w.reopen()
	secret := strings.Fields(old[strings.Index(old, "\nkey 1 "):])[2]
	if text := w.keyText(); strings.Contains(text, secret) || !strings.Contains(text, "lockstep-key-file 2\n") {
		t.Error("the key is in the file yet")
	}
	for _, b := range w.rows() {
		if _, err := w.read(b); err != nil {
			t.Error(err)
		}
	}
	found := 0
	for f, err := range blob.Scan(t.Context(), w.fs, w.dir, w.keys) {
		if err != nil || f.Err != nil {
			t.Errorf("a record needs another key: %v, %v", err, f.Err)
		}
		found++
	}
	if found != 3 {
		t.Errorf("%d records", found)
	}
	if now := derivedSecrets(t, w.keys); now != secrets {
		t.Error("what is derived from the first key changed")
	}
	// The next rotation works from a file of version 2.
	if w.rotate() != 3 {
		t.Error("no third key")
	}
	w.reopen()
	if done, err := w.Retire(t.Context(), 2, silent); err != nil || done.Rows != 3 {
		t.Errorf("%+v, %v", done, err)
	}
	w.reopen()
	if keys := w.keys.Keys(); len(keys) != 3 || keys[0].Retired.IsZero() || keys[1].Retired.IsZero() || !keys[2].Newest || keys[0].Made.IsZero() {
		t.Errorf("%+v", keys)
	}
	if now := derivedSecrets(t, w.keys); now != secrets {
		t.Error("what is derived from the first key changed")
	}
}

func derivedSecrets(t *testing.T, k *blob.Keyring) string {
	t.Helper()
	text := k.Fingerprint()
	for _, p := range blob.Purposes {
		s, err := k.Derive(p)
		if err != nil {
			t.Fatal(err)
		}
		text += fmt.Sprintf(" %x", s)
	}
	return text
}

// TestEachPurposeIsListed finds those that would change when key 1 is retired.
func TestEachPurposeIsListed(t *testing.T) {
	for _, top := range []string{"..", "../../cmd"} {
		err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			for rest := string(text); err == nil; {
				_, after, found := strings.Cut(rest, `Derive("`)
				if !found {
					break
				}
				purpose, more, _ := strings.Cut(after, `"`)
				if rest = more; !strings.Contains(strings.Join(blob.Purposes, "\n"), purpose) {
					t.Errorf("%s derives a secret for %q, which blob.Purposes lacks", path, purpose)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A cutFS cuts the power after so many operations.
type cutFS struct {
	*faulty.FS
	left int // operations; negative: as many as there are
	dead bool
}

var errCut = errors.New("the power is gone")

// step is one operation that changes something.
func (c *cutFS) step() error {
	if c.dead {
		return errCut
	}
	if c.left == 0 {
		c.dead = true
		c.FS.Crash()
		return errCut
	}
	c.left--
	return nil
}

func (c *cutFS) Create(name string) (vfs.File, error) { return c.open(c.FS.Create, name) }

func (c *cutFS) Change(name string) (vfs.File, error) { return c.open(c.FS.Change, name) }

func (c *cutFS) open(open func(string) (vfs.File, error), name string) (vfs.File, error) {
	if err := c.step(); err != nil {
		return nil, err
	}
	f, err := open(name)
	return cutFile{f, c}, err
}

func (c *cutFS) Rename(from, to string) error {
	return orElse(c.step, func() error { return c.FS.Rename(from, to) })
}

func (c *cutFS) Remove(name string) error {
	return orElse(c.step, func() error { return c.FS.Remove(name) })
}

func (c *cutFS) SyncDir(dir string) error {
	return orElse(c.step, func() error { return c.FS.SyncDir(dir) })
}

func orElse(first, then func() error) error {
	if err := first(); err != nil {
		return err
	}
	return then()
}

type cutFile struct {
	vfs.File
	fs *cutFS
}

func (f cutFile) WriteAt(p []byte, off int64) (n int, err error) {
	if err := f.fs.step(); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, off)
}

func (f cutFile) Sync() error { return orElse(f.fs.step, f.File.Sync) }

func TestAKilledRetirementIsFinishedByTheNext(t *testing.T) {
	cut := 0
	for at := range 60 {
		fsys := &cutFS{FS: faulty.New(uint64(at)), left: -1}
		w := newWorld(t, fsys, blob.Options{})
		bodies := map[mail.BlobName][]byte{}
		for i := range 5 {
			bodies[w.put(textBytes(100+i), blob.PutOptions{}).Name] = textBytes(100 + i)
		}
		w.rotate()
		w.reopen()
		fsys.left = at
		if _, err := w.Retire(t.Context(), 1, silent); err != nil {
			if !fsys.dead {
				t.Fatalf("after %d operations: %v", at, err)
			}
			cut++
		}
		fsys.left = -1
		if fsys.dead {
			fsys.dead = false
			w.open()
		} else {
			w.reopen()
		}
		rows := w.rows()
		if len(rows) != len(bodies) {
			t.Fatalf("%d rows", len(rows))
		}
		for _, row := range rows {
			if got, err := w.read(row); err != nil || !bytes.Equal(got, bodies[row.Name]) {
				t.Fatalf("after %d operations: %v", at, err)
			}
		}
		if w.keys.Keys()[0].Retired.IsZero() {
			if _, err := w.Retire(t.Context(), 1, silent); err != nil {
				t.Fatalf("after %d operations, again: %v", at, err)
			}
			w.reopen()
		}
		for f, err := range blob.Scan(t.Context(), w.fs, w.dir, w.keys) {
			if err != nil || f.Err != nil {
				t.Fatalf("after %d operations: %v, %v", at, err, f.Err)
			}
		}
		w.Close()
	}
	if cut < 5 || cut > 50 {
		t.Errorf("cut %d times: the test is not about what it says", cut)
	}
}

func TestAKeyFileThatSomebodyChangedIsLeftAlone(t *testing.T) {
	w := newWorld(t, vfs.OS{}, blob.Options{})
	text := w.keyText() + "# a word\n"
	if err := os.WriteFile(w.keyFile(), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := w.keys.Rotate(time.Now()); err == nil || mail.KindOf(err) != mail.Conflict {
		t.Fatalf("got %v", err)
	}
	if w.keyText() != text {
		t.Error("it was written over")
	}
	w.reopen()
	if w.rotate() != 2 || !strings.HasPrefix(w.keyText(), text) {
		t.Error("what an operator wrote into it was lost")
	}
}

func TestWhoHasAWrongKeyIsToldWhichIsWanted(t *testing.T) {
	w := newWorld(t, vfs.OS{}, blob.Options{})
	w.put([]byte("x"), blob.PutOptions{})
	want := w.keys.Fingerprint()
	w.Close()
	if err := os.Rename(w.keyFile(), w.keyFile()+".away"); err != nil {
		t.Fatal(err)
	}
	_, _, err := blob.OpenKeyring(w.fs, w.keyFile(), w.dir)
	for _, says := range []string{"is missing", "nothing is lost", "subjects, addresses, previews", "key recover --from", "move " + w.dir + " away"} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("want %q, got %v", says, err)
		}
	}
	other, _, err := blob.OpenKeyring(w.fs, w.keyFile(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	_, err = blob.Open(w.dir, other, w.index, w.opts)
	for _, says := range []string{want, other.Fingerprint(), "nothing is lost", "key recover --from"} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("want %q, got %v", says, err)
		}
	}
	if err := os.Rename(w.keyFile()+".away", w.keyFile()); err != nil {
		t.Fatal(err)
	}
	w.open()
	w.Close()
}

func TestAKeyOlderThanTheStoreIsNamed(t *testing.T) {
	w := newWorld(t, vfs.OS{}, blob.Options{})
	old := w.keyText()
	w.rotate()
	b := w.put([]byte("x"), blob.PutOptions{})
	w.Close()
	if err := os.WriteFile(w.keyFile(), []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	w.open()
	if _, err := w.read(b); err == nil || !strings.Contains(err.Error(), "lacks key 2") || w.Damaged() != 0 {
		t.Errorf("got %v, %d damaged", err, w.Damaged())
	}
	w.Close()
}
