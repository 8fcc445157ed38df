package main

import (
	"os"
	"path/filepath"
	"testing"

	"lockstep/internal/admin"
	"lockstep/internal/blob"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// spoil changes bytes of a stored record, as a disk does.
func (w *town) spoil(name mail.BlobName) {
	w.t.Helper()
	row, found, err := w.blobs.Find(w.t.Context(), name)
	if err != nil || !found {
		w.t.Fatal(found, err)
	}
	pack, offset, length, err := blob.PackOf(row.Place)
	if err != nil {
		w.t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(w.cfg.Data, packDir, pack+blob.PackSuffix), os.O_RDWR, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("this was something else"), offset+length-40); err != nil {
		w.t.Fatal(err)
	}
}

// blobOf is what a message in somebody's inbox is stored as.
func (w *town) blobOf(p store.Principal, at mail.Placement) mail.Blob {
	w.t.Helper()
	var row mail.Blob
	err := w.db.View(w.t.Context(), p.Account, func(r store.Reader) error {
		m, err := r.Message(at.Message)
		row.Name = m.Blob.Name
		return err
	})
	if err == nil {
		row, _, err = w.blobs.Find(w.t.Context(), row.Name)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return row
}

// An account that is brought out of a backup gets whole what is there and damaged, whether it
// is the message or a part of it, and whether it is in a mailbox or left it.
func TestAnAccountOutOfABackupIsWhole(t *testing.T) {
	w, target := newBackedUpTown(t)
	defer w.close()
	texts := []string{letterWith("whole"), letterWith("itself"), letterWith("attached"), letterWith("left"), letterWith("both")}
	var placed []mail.Placement
	for _, text := range texts {
		placed = append(placed, w.append(w.ann, text))
	}
	w.point()
	w.update(w.ann, func(tx store.Tx) error {
		_, err := tx.Expunge(placed[3].Mailbox, mail.MakeUIDSet(placed[3].UID), false)
		return err
	})
	w.spoil(w.blobOf(w.ann, placed[1]).Name)
	w.spoil(w.blobOf(w.ann, placed[2]).Parts[0])
	w.spoil(w.blobOf(w.ann, placed[3]).Name)
	both := w.blobOf(w.ann, placed[4])
	w.spoil(both.Name)
	w.spoil(both.Parts[0])

	for _, apply := range []bool{false, true, true} {
		c := w.client()
		rows, err := admin.PastRestore.All(t.Context(), c, admin.Wanted{AsOf: admin.AsOf{Login: w.ann.Login}, From: target, Apply: apply})
		c.Close()
		if err != nil {
			t.Fatal(err)
		}
		switch r := rows[len(rows)-1].Report; {
		case r.IsEmpty() && len(r.Left) == 0 && w.blobs.Damaged() == 0:
		case r.Mended != 4 || r.Back != 1 || len(r.Left) > 0:
			t.Errorf("apply %v: %+v", apply, r)
		}
	}
	for i, uid := range []mail.UID{1, 2, 3, 6, 5} { // the one that had left came back
		if got := w.exported(w.ann, uid); got != texts[i] {
			t.Errorf("message %d has %d bytes of %d", i, len(got), len(texts[i]))
		}
	}
	w.wantSound()
}
