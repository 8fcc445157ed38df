package backup_test

import (
	"bytes"
	"io"
	"testing"
	"time"

	"lockstep/internal/backup"
	"lockstep/internal/blob"
	"lockstep/internal/mail"
	"lockstep/internal/vfs/faulty"
)

// A point is looked into: its messages are whole where they lay, and nothing else came.
func TestMessagesOfAPointAreFetchedAsTheyAreAskedFor(t *testing.T) {
	h := newHouse(t, 20)
	target := backup.NewDir(faulty.New(2), "/target")
	asked := []mail.Blob{h.put(100), h.put(70_000)}
	for range 50 {
		h.put(20_000)
	}
	point := h.mustBackup(target).Point
	fs := faulty.New(3)
	l, err := h.unlock(target).Look(t.Context(), point, fs, "/looking", nil)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := fs.Stat(l.Database); err != nil || info.Size != int64(len(h.db.pages))*testPage {
		t.Errorf("the database: %+v, %v", info, err)
	}
	keys, err := blob.ParseKeyring(l.Keys)
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := blob.Open(l.Packs, keys, h.index, blob.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for _, b := range asked {
			if err := l.Fetch(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			r, err := blobs.Open(t.Context(), b)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			if r.Close(); err != nil || !bytes.Equal(got, h.bytes[b.Name]) {
				t.Errorf("%d bytes came, %v", len(got), err)
			}
		}
	}
	other := h.put(10)
	if err := l.Fetch(t.Context(), other); mail.KindOf(err) != mail.NotFound {
		t.Errorf("what came after the point: %v", err)
	}
}

func TestAMomentIsLookedForInThePointAfterIt(t *testing.T) {
	h := newHouse(t, 10)
	target := backup.NewDir(faulty.New(2), "/target")
	r := func() *backup.Repo { return h.unlock(target) }
	var points []backup.Point
	for range 3 {
		points = append(points, h.mustBackup(target).Point)
	}
	for _, c := range []struct {
		at   time.Time
		want int
	}{{time.Time{}, 2}, {points[0].Time.Add(-time.Hour), 0}, {points[0].Time, 0}, {points[0].Time.Add(time.Millisecond), 1}, {points[2].Time.Add(time.Hour), 2}} {
		if got, err := r().Around(t.Context(), c.at); err != nil || got != points[c.want] {
			t.Errorf("around %v: %v, %v; want %v", c.at, got, err, points[c.want])
		}
	}
}
