package sqlstore

import (
	"path/filepath"
	"testing"

	"lockstep/internal/mail"
)

// The rows of a database that was copied are read by place, and nothing is written.
func TestRowsOfACopyAreReadByPlace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lockstep.db")
	db, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	places := []string{"00000000000a-20-90", "00000000000a-b0-90", "00000000000b-20-90"}
	for i, place := range places {
		b := mail.Blob{Name: mail.BlobName{byte(9 - i)}, Size: int64(i), Place: place, Key: []byte{1}}
		if err := db.Blobs().Restore(t.Context(), []mail.Blob{b}); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for prefix, want := range map[string]int{"": 3, "00000000000a-": 2, "00000000000b-": 1, "00000000000c-": 0} {
		last, n := "", 0
		err := EachBlob(t.Context(), path, prefix, func(b mail.Blob) error {
			if b.Place <= last || len(b.Key) != 1 {
				t.Errorf("%q: %+v after %s", prefix, b, last)
			}
			last = b.Place
			n++
			return nil
		})
		if err != nil || n != want {
			t.Errorf("%q: %d rows, %v; want %d", prefix, n, err, want)
		}
	}
	if left, _ := filepath.Glob(path + "-*"); len(left) != 0 {
		t.Errorf("files were made: %v", left)
	}
}

// Pages that somebody wants are given once more.
func TestWantedPagesAreGivenAgain(t *testing.T) {
	db, err := Open(t.Context(), filepath.Join(t.TempDir(), "lockstep.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	c, err := db.NewCopier()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	settle := func() map[uint32]bool {
		given := map[uint32]bool{}
		if _, err := c.Settle(t.Context(), false, func(n uint32, _ []byte) error { given[n] = true; return nil }); err != nil {
			t.Fatal(err)
		}
		c.Kept()
		return given
	}
	all := settle()
	if again := settle(); len(again) >= len(all) {
		t.Fatalf("%d of %d pages were given again unasked", len(again), len(all))
	}
	c.Want([]uint32{2, 5})
	if given := settle(); !given[2] || !given[5] {
		t.Errorf("given were %v", given)
	}
}
