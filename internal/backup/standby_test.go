package backup_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"lockstep/internal/backup"
	"lockstep/internal/mail"
	"lockstep/internal/vfs"
	"lockstep/internal/vfs/faulty"
)

// cutting is a disk whose machine loses its power at one of the things done to it.
type cutting struct {
	*faulty.FS
	mu   sync.Mutex
	left int // things until then; below 0: never
}

var errNoPower = errors.New("the power is cut")

func (c *cutting) cut() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.left < 0:
		return nil
	case c.left == 0:
		return errNoPower
	}
	if c.left--; c.left == 0 {
		c.Crash()
		return errNoPower
	}
	return nil
}

func (c *cutting) wrap(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &cuttingFile{f, c}, nil
}

func (c *cutting) Create(name string) (vfs.File, error) {
	if err := c.cut(); err != nil {
		return nil, err
	}
	return c.wrap(c.FS.Create(name))
}
func (c *cutting) Change(name string) (vfs.File, error) { return c.wrap(c.FS.Change(name)) }
func (c *cutting) Rename(from, to string) error         { return errors.Join(c.cut(), c.FS.Rename(from, to)) }
func (c *cutting) Remove(name string) error             { return errors.Join(c.cut(), c.FS.Remove(name)) }
func (c *cutting) SyncDir(dir string) error             { return errors.Join(c.cut(), c.FS.SyncDir(dir)) }

type cuttingFile struct {
	vfs.File
	c *cutting
}

func (f *cuttingFile) WriteAt(b []byte, off int64) (int, error) {
	if err := f.c.cut(); err != nil {
		return 0, err
	}
	return f.File.WriteAt(b, off)
}

func (f *cuttingFile) Sync() error { return errors.Join(f.c.cut(), f.File.Sync()) }

// stood is a house, a backup of it, and a standby that follows that.
type stood struct {
	*house
	target *backup.Dir
	disk   *cutting // the standby's
	states map[uint64]state
}

func newStood(t testing.TB, pages int) *stood {
	return &stood{house: newHouse(t, pages), target: backup.NewDir(faulty.New(2), "/backup"), disk: &cutting{FS: faulty.New(5), left: -1}, states: map[uint64]state{}}
}

// point makes a point after some changes.
func (w *stood) point(changes int) {
	w.t.Helper()
	for range changes {
		w.change(1 + w.rng.IntN(len(w.db.pages)))
	}
	w.mustBackup(w.target)
	w.states[w.db.commit] = w.state()
}

func (w *stood) repo() *backup.Repo {
	w.t.Helper()
	r, err := backup.Unlock(context.Background(), w.target, backup.Secret{KeyFile: w.file("/data/key")})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *stood) options() backup.StandbyOptions {
	o := w.restoreOptions(w.disk.FS)
	o.FS = w.disk
	return backup.StandbyOptions{RestoreOptions: o, From: "/backup"}
}

// sync opens the standby, brings it to the newest point and closes it.
func (w *stood) sync() (backup.Synced, error) {
	s, err := backup.OpenStandby("/standby", w.options())
	if err != nil {
		return backup.Synced{}, err
	}
	done, err := s.Sync(context.Background(), w.repo())
	return done, errors.Join(err, s.Close())
}

func (w *stood) mustSync() backup.Synced {
	w.t.Helper()
	done, err := w.sync()
	if err != nil {
		w.t.Fatal(err)
	}
	return done
}

func (w *stood) promote() {
	w.t.Helper()
	s, err := backup.OpenStandby("/standby", w.options())
	if err == nil {
		var lost int
		if lost, err = s.Promote(context.Background(), layout.Database); lost != 0 {
			w.t.Errorf("%d messages are not whole", lost)
		}
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func TestAStandbyBecomesTheServer(t *testing.T) {
	w := newStood(t, 100)
	for range 20 {
		w.put(5000)
	}
	w.point(0)
	first := w.mustSync()
	if !first.New || first.Pages != 100 || first.Lost != 0 {
		t.Errorf("the first time: %+v", first)
	}
	for i := range 12 {
		w.put(3000)
		w.grow(1)
		w.point(5)
		if i%3 == 0 { // it need not see each
			continue
		}
		done := w.mustSync()
		if done.Pages == 0 || done.Pages > 30 || done.Bytes >= first.Bytes {
			t.Errorf("point %d: %+v", i, done)
		}
	}
	if again := w.mustSync(); again.New || again.Bytes > 0 {
		t.Errorf("when nothing is new: %+v", again)
	}
	if n := w.keysInPacks(); n != 0 {
		t.Errorf("%d keys are in packs, where an erasure does not reach them", n)
	}
	if !backup.IsStandby(w.disk, "/standby") {
		t.Error("a standby does not say that it is one")
	}
	if _, err := w.disk.Stat("/standby/" + layout.Database); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a standby has a database that can be served")
	}
	w.promote()
	if backup.IsStandby(w.disk, "/standby") {
		t.Error("what was promoted still is a standby")
	}
	w.agree(w.disk.FS, "/standby", w.state())
	if n := w.keysInPacks(); n != len(w.state().rows) {
		t.Errorf("%d keys are in packs, want %d", n, len(w.state().rows))
	}
}

// keysInPacks counts the keys of rows that can be found in the standby's packs.
func (w *stood) keysInPacks() (n int) {
	w.t.Helper()
	files, err := w.disk.ReadDir("/standby/packs")
	if err != nil || len(files) == 0 {
		w.t.Fatal(len(files), err)
	}
	for _, f := range files {
		pack := (&house{t: w.t, fs: w.disk.FS}).file("/standby/packs/" + f.Name)
		for _, row := range w.state().rows {
			if bytes.Contains(pack, row.Key) {
				n++
			}
		}
	}
	return n
}

// Wherever the power is cut, what is there afterwards is one point, whole; and it goes on.
func TestAStandbyIsOnePointWhereverItIsCut(t *testing.T) {
seeds:
	for seed := range uint64(6) {
		rng := rand.New(rand.NewPCG(seed, 7))
		w := newStood(t, 60)
		w.disk.FS = faulty.New(seed)
		for range 5 {
			w.put(4000)
		}
		w.point(0)
		cuts := 0
		for step := range 60 {
			if step%2 == 0 {
				w.put(1 + rng.IntN(9000))
				w.grow(rng.IntN(3))
				w.point(1 + rng.IntN(20))
			}
			w.disk.left = 1 + rng.IntN(60)
			_, err := w.sync()
			if err != nil && !errors.Is(err, errNoPower) && w.disk.left != 0 {
				t.Fatalf("seed %d, step %d: %v", seed, step, err)
			}
			if err != nil {
				cuts++
			}
			w.disk.left = -1
			w.disk.Crash()
			w.holdsAPoint(fmt.Sprintf("seed %d, step %d, after %v", seed, step, err))
		}
		if cuts < 10 {
			t.Errorf("seed %d: %d cuts only", seed, cuts)
		}
		w.mustSync()
		for w.disk.left = 1 + rng.IntN(4); backup.IsStandby(w.disk, "/standby"); { // and while it is promoted
			s, err := backup.OpenStandby("/standby", w.options())
			if err == nil {
				_, err = s.Promote(context.Background(), layout.Database)
			}
			w.disk.left = -1
			w.disk.Crash()
			if err == nil {
				continue
			}
			_, err = backup.EndPromotion("/standby", layout.Database, w.options())
			if lost := mail.KindOf(err) == mail.Corrupt; lost { // this disk may keep neither of two names
				continue seeds
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		w.agree(w.disk.FS, "/standby", w.state())
	}
}

// holdsAPoint opens the standby, which does what was written down, and holds the database
// against the point that it says it is.
func (w *stood) holdsAPoint(when string) {
	w.t.Helper()
	s, err := backup.OpenStandby("/standby", w.options())
	if err != nil {
		w.t.Fatalf("%s: %v", when, err)
	}
	at := s.At()
	if err := s.Close(); err != nil {
		w.t.Fatal(err)
	}
	if at.IsZero() {
		return // the first point is on its way
	}
	got := (&house{t: w.t, fs: w.disk.FS}).file("/standby/standby.db")
	want, known := w.states[binary.BigEndian.Uint64(got)]
	if !known || !bytes.Equal(got[:len(want.pages)], want.pages) {
		w.t.Fatalf("%s: the database is of no point", when)
	}
}

func TestAStandbyMendsWhatChangedBehindItsBack(t *testing.T) {
	w := newStood(t, 50)
	w.put(100)
	w.point(0)
	w.mustSync()
	w.disk.Corrupt("/standby/standby.db", func(b []byte) []byte { b[30*testPage+5]++; return b[:40*testPage] })
	w.point(1)
	if done := w.mustSync(); done.Pages < 11 {
		t.Errorf("%+v", done)
	}
	w.promote()
	w.agree(w.disk.FS, "/standby", w.state())
}

func TestAStandbyIsNotPutWhereSomethingIs(t *testing.T) {
	w := newStood(t, 10)
	w.point(0)
	f, err := w.disk.FS.Create("/standby/lockstep.db")
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if _, err := w.sync(); mail.KindOf(err) != mail.Conflict || !strings.Contains(err.Error(), "lockstep.db") {
		t.Error(err)
	}
}

func TestAStandbyStaysWithItsBackup(t *testing.T) {
	w := newStood(t, 10)
	w.point(0)
	w.mustSync()
	other := newStood(t, 10)
	other.point(0)
	other.disk = w.disk
	if _, err := other.sync(); mail.KindOf(err) != mail.Conflict {
		t.Error(err)
	}
}

func TestAStandbyWithoutAPointIsNotPromoted(t *testing.T) {
	w := newStood(t, 10)
	s, err := backup.OpenStandby("/standby", w.options())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Promote(context.Background(), layout.Database); mail.KindOf(err) != mail.Conflict {
		t.Error(err)
	}
}

// Mail that is missing in the backup stops a standby, unless that is accepted.
func TestAStandbySaysWhatTheBackupHasNot(t *testing.T) {
	w := newStood(t, 10)
	w.put(100)
	w.point(0)
	w.mustSync()
	b := w.put(40_000)
	w.point(1)
	disk := w.target
	var names []string
	err := disk.List(context.Background(), "packs/", func(o backup.Object) error { names = append(names, o.Name); return nil })
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := disk.Delete(context.Background(), name); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.sync(); mail.KindOf(err) != mail.Corrupt || !strings.Contains(err.Error(), "packs/") {
		t.Error(err)
	}
	o := w.options()
	o.AcceptDamage = true
	s, err := backup.OpenStandby("/standby", o)
	if err != nil {
		t.Fatal(err)
	}
	if done, err := s.Sync(context.Background(), w.repo()); err != nil || done.Lost != 1 {
		t.Errorf("%+v, %v", done, err)
	}
	if lost, err := s.Promote(context.Background(), layout.Database); err != nil || lost != 1 {
		t.Errorf("%d are lost, %v; %s is", lost, err, b.Place)
	}
}

func FuzzReadRedo(f *testing.F) {
	w := newStood(f, 3)
	w.put(10)
	w.point(0)
	w.mustSync()
	w.point(2)
	w.disk.left = -1
	for n := 1; ; n++ { // until one is left
		w.disk.left = n
		_, err := w.sync()
		w.disk.left = -1
		if info, statErr := w.disk.Stat("/standby/standby.redo"); statErr == nil && info.Size > 0 {
			f.Add((&house{t: f, fs: w.disk.FS}).file("/standby/standby.redo"))
			break
		}
		if err == nil {
			f.Fatal("no redo file was ever there")
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		pages := 0
		whole := backup.CheckRedo(bytes.NewReader(b), int64(len(b))) == nil
		state, err := backup.ReadRedo(bytes.NewReader(b), int64(len(b)), func(pgno uint32, page []byte) error {
			pages++
			if pgno == 0 || len(page) < 512 {
				t.Errorf("page %d of %d bytes", pgno, len(page))
			}
			return nil
		})
		if err == nil && (state == "" || pages*512 > len(b)) {
			t.Errorf("%d pages of %q; whole %t", pages, state, whole)
		}
	})
}
