package backup_test

import (
	"testing"
	"time"

	"lockstep/internal/backup"
	"lockstep/internal/vfs/faulty"
)

// unlock opens a backup with the server's key file.
func (h *house) unlock(t backup.Target) *backup.Repo {
	h.t.Helper()
	r, err := backup.Unlock(h.t.Context(), t, backup.Secret{KeyFile: h.file("/data/key")})
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

func TestEachPointComesBackAsItWas(t *testing.T) {
	h := newHouse(t, 1000)
	target := backup.NewDir(faulty.New(2), "/target")
	var points []backup.Point
	var states []state
	for i := range 40 {
		for range 3 {
			h.put(1 + h.rng.IntN(15_000))
		}
		for range 30 {
			h.change(1 + h.rng.IntN(len(h.db.pages)))
		}
		switch i {
		case 10:
			h.grow(300)
		case 20:
			h.db.pages = h.db.pages[:700]
		case 30:
			h.grow(100)
		}
		points = append(points, h.mustBackup(target).Point)
		states = append(states, h.state())
	}
	r := h.unlock(target)
	listed, err := r.Points(t.Context())
	if err != nil || len(listed) != len(points) {
		t.Fatalf("%d points, %v", len(listed), err)
	}
	for _, i := range []int{0, 1, 7, 8, 9, 10, 19, 20, 21, 29, 30, 39} {
		fs := faulty.New(3)
		done, err := r.Restore(t.Context(), points[i], "/new", h.restoreOptions(fs))
		if err != nil || done.LostCount > 0 {
			t.Fatalf("point %d: %+v, %v", i, done, err)
		}
		h.agree(fs, "/new", states[i])
		if n := len(done.Manifest.Layers); n > 20 {
			t.Errorf("point %d has %d layers", i, n)
		}
	}
}

func TestWhatChangesWhileItIsCopiedIsAsOfTheMoment(t *testing.T) {
	h := newHouse(t, 5000)
	target := backup.NewDir(faulty.New(2), "/target")
	h.db.during = func(pgno uint32) {
		if pgno%50 == 0 {
			h.change(1+h.rng.IntN(len(h.db.pages)), int(pgno))
		}
	}
	for range 3 {
		point := h.mustBackup(target).Point
		want := h.state()
		fs := faulty.New(3)
		if _, err := h.unlock(target).Restore(t.Context(), point, "/new", h.restoreOptions(fs)); err != nil {
			t.Fatal(err)
		}
		h.agree(fs, "/new", want)
	}
}

func TestTheSecondBackupMovesWhatChanged(t *testing.T) {
	h := newHouse(t, 20_000)
	target := backup.NewDir(faulty.New(2), "/target")
	for range 300 {
		h.put(20_000)
	}
	first := h.mustBackup(target)
	for range 100 {
		h.change(1 + h.rng.IntN(len(h.db.pages)))
	}
	h.put(5000)
	second := h.mustBackup(target)
	if second.Sent.Pages > 102 || second.Sent.PageBytes > 102*testPage {
		t.Errorf("100 pages changed, and %d with %d bytes were sent", second.Sent.Pages, second.Sent.PageBytes)
	}
	if second.Sent.PackBytes > 1<<20 {
		t.Errorf("one message came, and %d bytes of packs were sent", second.Sent.PackBytes)
	}
	third := h.mustBackup(target)
	if third.Sent.Pages > 1 || third.Sent.PackBytes > 0 || third.Sent.Bytes > 16<<10 {
		t.Errorf("nothing changed, and this was sent: %+v", third.Sent)
	}
	t.Logf("first %+v\nsecond %+v\nthird %+v", first.Sent, second.Sent, third.Sent)
}

func TestTimesChooseThePointBefore(t *testing.T) {
	h := newHouse(t, 10)
	target := backup.NewDir(faulty.New(2), "/target")
	var points []backup.Point
	for range 3 {
		points = append(points, h.mustBackup(target).Point)
	}
	r := h.unlock(target)
	for i, p := range points {
		for _, at := range []time.Time{p.Time, p.Time.Add(time.Millisecond)} {
			if got, err := r.Newest(t.Context(), at); err != nil || got != p {
				t.Errorf("at %v: %v, %v; want point %d", at, got, err, i)
			}
		}
	}
	if got, err := r.Newest(t.Context(), time.Time{}); err != nil || got != points[2] {
		t.Errorf("newest: %v, %v", got, err)
	}
	if _, err := r.Newest(t.Context(), points[0].Time.Add(-time.Millisecond)); err == nil {
		t.Error("a point came before the first")
	}
}
