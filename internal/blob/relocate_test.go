package blob_test

import (
	"testing"

	"lockstep/internal/blob"
	"lockstep/internal/mail"
)

// An index that is older than its packs is put back: what compaction moved since is
// found again, and what is gone is written anew by the next who puts it.
func TestAnOlderIndexFindsWhatWasMoved(t *testing.T) {
	inBubble(t, 100<<10, func(t *testing.T, w *world) {
		blobs, data := w.fill(100, 5000)
		before := w.rows()
		w.drop(blobs, 10)
		if c := w.compact(); c.Moved != 10 {
			t.Fatalf("%+v", c)
		}
		if r, err := w.Relocate(t.Context()); err != nil || r != (blob.Relocated{}) {
			t.Errorf("with nothing missing: %+v, %v", r, err)
		}
		if err := w.index.Restore(t.Context(), before); err != nil { // as an older database has them
			t.Fatal(err)
		}
		for _, b := range blobs {
			w.index.Name(b.Name)
		}
		find := func(i int) mail.Blob {
			t.Helper()
			b, found, err := w.Find(t.Context(), blobs[i].Name)
			if err != nil || !found {
				t.Fatal(found, err)
			}
			return b
		}
		r, err := w.Relocate(t.Context())
		if err != nil || r.Packs == 0 || r.Moved != 10 || r.Lost != 90 {
			t.Errorf("%+v, %v", r, err)
		}
		for i := 0; i < len(blobs); i += 10 {
			w.mustRead(find(i), data[i])
		}
		if _, err := w.read(find(1)); mail.KindOf(err) != mail.Corrupt {
			t.Errorf("one that is gone: %v", err)
		}
		w.put(data[1], blob.PutOptions{})
		w.mustRead(find(1), data[1])
		if r, err := w.Relocate(t.Context()); err != nil || r.Moved != 0 || r.Lost != 89 {
			t.Errorf("once more: %+v, %v", r, err)
		}
	})
}

// Large ones too.
func TestALargeBlobWhosePackIsGoneIsWrittenAnew(t *testing.T) {
	inBubble(t, 0, func(t *testing.T, w *world) {
		blobs, data := w.fill(3, 300<<10)
		before := w.rows()
		w.drop(blobs, 100)
		w.compact()
		if err := w.index.Restore(t.Context(), before); err != nil {
			t.Fatal(err)
		}
		b := w.put(data[2], blob.PutOptions{})
		if err := w.Verify(t.Context(), b); err != nil {
			t.Error(err)
		}
		row, _, err := w.Find(t.Context(), b.Name)
		if err != nil || row.Place != b.Place {
			t.Errorf("the row says %s, it lies at %s: %v", row.Place, b.Place, err)
		}
	})
}
