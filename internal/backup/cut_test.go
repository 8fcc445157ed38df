package backup_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep/internal/backup"
	"lockstep/internal/mail"
	"lockstep/internal/vfs/faulty"
)

var errCut = errors.New("cut off")

// cutTarget works until so many calls were made, and then not at all: as a network that
// goes, or a process that is killed. A Put that is cut may have stored its object.
type cutTarget struct {
	backup.Target
	mu    sync.Mutex
	left  int
	calls int
	late  bool // the call that is cut is done all the same
}

func (c *cutTarget) call() (done, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls++
	c.left--
	if c.left == 0 && c.late {
		return errCut, nil
	}
	if c.left <= 0 {
		return errCut, errCut
	}
	return nil, nil
}

func (c *cutTarget) Put(ctx context.Context, name string, r io.ReadSeeker, size int64) error {
	after, err := c.call()
	if err != nil {
		return err
	}
	return errors.Join(c.Target.Put(ctx, name, r, size), after)
}

func (c *cutTarget) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	if after, err := c.call(); after != nil || err != nil {
		return nil, errCut
	}
	return c.Target.Get(ctx, name, offset, length)
}

func (c *cutTarget) List(ctx context.Context, prefix string, fn func(backup.Object) error) error {
	if after, err := c.call(); after != nil || err != nil {
		return errCut
	}
	return c.Target.List(ctx, prefix, fn)
}

func (c *cutTarget) Delete(ctx context.Context, name string) error {
	after, err := c.call()
	if err != nil {
		return err
	}
	return errors.Join(c.Target.Delete(ctx, name), after)
}

// changed does what a day does to a server.
func (h *house) changed() {
	for range 3 {
		h.put(1 + h.rng.IntN(20_000))
	}
	for range 10 {
		h.change(1 + h.rng.IntN(len(h.db.pages)))
	}
	h.grow(3)
}

// Wherever a run is cut, the point before comes back as it was, and the next run
// succeeds and uses what is there.
func TestRunsThatAreCutGoOn(t *testing.T) {
	for _, late := range []bool{false, true} {
		h := newHouse(t, 150)
		inner := backup.NewDir(faulty.New(2), "/target")
		h.changed()
		// The first run, cut again and again, a call later each time.
		n := 0
		for {
			n++
			cut := &cutTarget{Target: inner, left: n, late: late}
			_, err := h.backup(cut)
			if err == nil {
				break
			}
			if !errors.Is(err, errCut) {
				t.Fatalf("cut at call %d: %v", n, err)
			}
		}
		if n < 15 {
			t.Fatalf("the first run had %d calls", n)
		}
		// Later runs, each begun on the same state, cut once.
		for n = 1; n < 30; n++ {
			before, err := h.unlock(inner).Newest(t.Context(), time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			was := h.state()
			h.changed()
			_, err = h.backup(&cutTarget{Target: inner, left: n, late: late})
			fs := faulty.New(3)
			if _, err := h.unlock(inner).Restore(t.Context(), before, "/new", h.restoreOptions(fs)); err != nil {
				t.Fatalf("cut at call %d: the point before: %v", n, err)
			}
			h.agree(fs, "/new", was)
			if err == nil {
				continue
			}
			if !errors.Is(err, errCut) {
				t.Fatalf("cut at call %d: %v", n, err)
			}
			point := h.mustBackup(inner).Point
			fs = faulty.New(3)
			if _, err := h.unlock(inner).Restore(t.Context(), point, "/new", h.restoreOptions(fs)); err != nil {
				t.Fatalf("after a cut at call %d: %v", n, err)
			}
			h.agree(fs, "/new", h.state())
		}
	}
}

// What a cut run had stored whole is not stored again, but for the segment of the first
// page, which changes with each commit.
func TestWhatIsThereWholeIsNotSentAgain(t *testing.T) {
	h := newHouse(t, 8000)
	for range 60 {
		h.put(100_000)
	}
	inner := backup.NewDir(faulty.New(2), "/target")
	whole := h.mustBackup(backup.NewDir(faulty.New(3), "/elsewhere")).Sent
	cut := &cutTarget{Target: inner, left: 20}
	if _, err := h.backup(cut); !errors.Is(err, errCut) {
		t.Fatal(err)
	}
	const oneSegment = 5 << 18 // compressed
	stored := int64(0)
	if err := inner.List(t.Context(), "", func(o backup.Object) error { stored += o.Size; return nil }); err != nil {
		t.Fatal(err)
	}
	second := h.mustBackup(inner).Sent
	if stored < whole.Bytes/10 || second.Bytes+stored > whole.Bytes+oneSegment || second.Found == 0 {
		t.Errorf("%d bytes are needed; %d were there after the cut, and %d were sent: %+v", whole.Bytes, stored, second.Bytes, second)
	}
}

// A disk that fails, fills up and loses power under the target harms no point.
func TestTargetsOnBadDisks(t *testing.T) {
	for seed := range uint64(8) {
		h := newHouse(t, 200)
		disk := faulty.New(seed)
		target := backup.NewDir(disk, "/target")
		states := map[backup.Point]state{}
		for i := range 12 {
			h.changed()
			if i > 0 {
				disk.SetOdds(faulty.Odds{Create: 0.03, Write: 0.03, ShortWrite: 0.03, Sync: 0.03, SyncDir: 0.03, Read: 0.01})
			}
			r, err := h.backup(target)
			if err == nil {
				states[r.Point] = h.state()
			}
			disk.SetOdds(faulty.Odds{})
			if i%3 == 2 {
				disk.Crash()
			}
		}
		r := h.mustBackup(target)
		states[r.Point] = h.state()
		for p, want := range states {
			fs := faulty.New(3)
			if _, err := h.unlock(target).Restore(t.Context(), p, "/new", h.restoreOptions(fs)); err != nil {
				t.Fatalf("seed %d, %v: %v", seed, p, err)
			}
			h.agree(fs, "/new", want)
		}
		if left := names(t, target); strings.Contains(strings.Join(left, " "), "tmp") {
			t.Errorf("temporary files are listed: %v", left)
		}
	}
}

// A restore on a disk that fails and loses power is done when it says so, is marked
// until then, and goes on when it is run again.
func TestRestoresThatAreCutGoOn(t *testing.T) {
	h := newHouse(t, 300)
	target := backup.NewDir(faulty.New(2), "/target")
	for range 3 {
		h.changed()
		h.mustBackup(target)
	}
	want := h.state()
	r := h.unlock(target)
	point, err := r.Newest(t.Context(), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	resumed := false
	for seed := range uint64(40) {
		disk := faulty.New(seed)
		for try := 0; ; try++ {
			odds := 0.005 * float64(seed%5)
			disk.SetOdds(faulty.Odds{Create: odds, Write: odds, ShortWrite: odds, Sync: odds, SyncDir: odds, Read: odds / 10})
			if try > 20 {
				disk.SetOdds(faulty.Odds{})
			}
			done, err := r.Restore(t.Context(), point, "/new", h.restoreOptions(disk))
			resumed = resumed || done.Kept > 0
			disk.Crash()
			_, marked := disk.Stat("/new/" + backup.RestoreMark)
			_, there := disk.Stat("/new/lockstep.db")
			if there == nil && marked != nil {
				h.agree(disk, "/new", want) // nobody would know that it was not done
			}
			if err == nil || there == nil && marked != nil {
				break // done, also where only that could not be made sure of
			}
			if mail.KindOf(err) == mail.Corrupt {
				t.Fatalf("seed %d: a bad disk is told as a bad backup: %v", seed, err)
			}
		}
		if _, err := disk.Stat("/new/" + backup.RestoreMark); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("seed %d: done, and still marked: %v", seed, err)
		}
		h.agree(disk, "/new", want)
	}
	if !resumed {
		t.Error("no restore used what was there")
	}
}

// A network that goes during a restore is not taken for damage.
func TestRestoresOverABadNetwork(t *testing.T) {
	h := newHouse(t, 300)
	inner := backup.NewDir(faulty.New(2), "/target")
	h.changed()
	point := h.mustBackup(inner).Point
	disk := faulty.New(3)
	for n := 1; ; n++ {
		r, err := backup.Unlock(t.Context(), &cutTarget{Target: inner, left: n}, backup.Secret{KeyFile: h.file("/data/key")})
		if err == nil {
			_, err = r.Restore(t.Context(), point, "/new", h.restoreOptions(disk))
		}
		if err == nil {
			break
		}
		if !errors.Is(err, errCut) {
			t.Fatalf("call %d: %v", n, err)
		}
	}
	h.agree(disk, "/new", h.state())
}

// Two servers that write to one target are told.
func TestTwoWritersAreTold(t *testing.T) {
	h := newHouse(t, 50)
	target := backup.NewDir(faulty.New(2), "/target")
	first, err := backup.Begin(t.Context(), target, h.server, h.options())
	if err != nil {
		t.Fatal(err)
	}
	other := h.server
	other.Holder = "other.example.test:/data"
	_, err = backup.Begin(t.Context(), target, other, h.options())
	if mail.KindOf(err) != mail.Conflict || !strings.Contains(err.Error(), h.server.Holder) {
		t.Errorf("the second got in: %v", err)
	}
	// Half an hour later it may, and the first finds out before it makes a point.
	other.Now = func() time.Time { return time.Now().Add(31 * time.Minute) }
	second, err := backup.Begin(t.Context(), target, other, h.options())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.Point(t.Context()); mail.KindOf(err) != mail.Conflict {
		t.Errorf("the first went on: %v", err)
	}
	if err := first.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := second.Point(t.Context()); err != nil {
		t.Errorf("the second: %v", err)
	}
	if err := second.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := h.backup(target); err != nil {
		t.Errorf("after both: %v", err)
	}
}
