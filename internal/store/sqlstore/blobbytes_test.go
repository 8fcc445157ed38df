package sqlstore

import (
	"slices"
	"testing"
	"time"

	"lockstep/internal/blob"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// onEachEngine runs a test on a fresh database of each.
func onEachEngine(t *testing.T, test func(t *testing.T, db *DB)) {
	t.Run("sqlite", func(t *testing.T) { test(t, open(t, Options{})) })
	t.Run("postgres", func(t *testing.T) { test(t, freshPostgres(t)) })
}

// enqueue names a blob.
func enqueue(t *testing.T, db *DB, id string, b mail.Blob) error {
	t.Helper()
	return db.Enqueue(t.Context(), []store.Outgoing{{Delivery: id, Blob: b, Recipient: "b@example.test", Arrived: time.Now(), Next: time.Now()}})
}

// dequeue names nothing any more.
func dequeue(t *testing.T, db *DB) {
	t.Helper()
	all, err := db.Pending(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range all {
		if err := db.Done(t.Context(), o.ID); err != nil {
			t.Fatal(err)
		}
	}
}

const (
	aRow       = "rows/0190a0000001.0123456789abcdef-0-100"
	anotherRow = "rows/0190a0000002.0123456789abcdef-0-100"
	aPack      = "packs/0190a0000003.0123456789abcdef"
	anObject   = "blobs/e501000000000000000000000000000000000000000000000000000000000000.0123456789abcdef"
)

func rowBlob(n byte, place, record string) mail.Blob {
	b := freshBlob(n, place)
	b.Record = []byte(record)
	return b
}

// A record that begins as a row comes with its blob's row, and goes with it, or some
// time after that says another place.
func TestRecordsInRows(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *DB) {
		x := db.Blobs()
		wantBytes := func(place, want string) {
			t.Helper()
			got, found, err := x.Bytes(t.Context(), place)
			if err != nil || found != (want != "") || string(got) != want {
				t.Errorf("%s: %q, %v, %v", place, got, found, err)
			}
		}
		if err := enqueue(t, db, "1", rowBlob(1, aRow, "one")); err != nil {
			t.Fatal(err)
		}
		if err := enqueue(t, db, "2", rowBlob(1, anotherRow, "the same, by another node")); err != nil {
			t.Fatal(err)
		}
		wantBytes(aRow, "one")
		wantBytes(anotherRow, "")
		places, err := x.Places(t.Context(), "rows/", "", 10)
		if err != nil || !slices.Equal(places, []string{aRow}) {
			t.Errorf("places %q, %v", places, err)
		}
		if all, err := x.Waiting(t.Context(), "", 10); err != nil || len(all) != 1 || string(all[0].Record) != "one" || all[0].Place != aRow || all[0].Name != erasedBlob(1) {
			t.Errorf("waiting %+v, %v", all, err)
		}
		if all, err := x.Waiting(t.Context(), aRow, 10); err != nil || len(all) != 0 {
			t.Errorf("waiting after %+v, %v", all, err)
		}
		if of, err := x.PlacesOf(t.Context(), []mail.BlobName{erasedBlob(1), erasedBlob(7)}); err != nil || len(of) != 1 || of[erasedBlob(1)] != aRow {
			t.Errorf("places %q, %v", of, err)
		}
		inPack := aPack + "-20-100"
		for range 2 { // the second finds it moved
			if _, err := x.Move(t.Context(), []blob.Move{{Name: erasedBlob(1), From: aRow, To: inPack}}); err != nil {
				t.Fatal(err)
			}
		}
		wantBytes(aRow, "one")
		if n, err := x.DropBytes(t.Context(), time.Now().Add(-time.Minute), 10); n != 0 || err != nil {
			t.Errorf("dropped %d, %v", n, err)
		}
		if n, err := x.DropBytes(t.Context(), time.Now().Add(time.Minute), 10); n != 1 || err != nil {
			t.Errorf("dropped %d, %v", n, err)
		}
		wantBytes(aRow, "")

		if err := enqueue(t, db, "3", rowBlob(2, anotherRow, "two")); err != nil {
			t.Fatal(err)
		}
		dequeue(t, db)
		later := time.Now().Add(time.Hour)
		if n, err := x.Condemn(t.Context(), []mail.BlobName{erasedBlob(1), erasedBlob(2)}, later); n != 2 || err != nil {
			t.Fatalf("condemned %d, %v", n, err)
		}
		third := "rows/0190a0000009.0123456789abcdef-0-100"
		if err := enqueue(t, db, "4", rowBlob(2, third, "two again")); err != nil { // what was condemned is put again
			t.Fatal(err)
		}
		if n, err := x.DropBytes(t.Context(), later, 10); n != 1 || err != nil {
			t.Errorf("dropped %d, %v", n, err)
		}
		wantBytes(anotherRow, "")
		wantBytes(third, "two again")
		if n, err := x.Forget(t.Context(), later, 10); n != 1 || err != nil { // the other alone
			t.Errorf("forgot %d, %v", n, err)
		}
		dequeue(t, db)
		if n, err := x.Condemn(t.Context(), []mail.BlobName{erasedBlob(2)}, later); n != 1 || err != nil {
			t.Fatalf("condemned %d, %v", n, err)
		}
		if n, err := x.Forget(t.Context(), later, 10); n != 1 || err != nil {
			t.Errorf("forgot %d, %v", n, err)
		}
		wantBytes(third, "")
	})
}

// What is doomed can't be named; what is named is spared.
func TestDoomedObjects(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *DB) {
		x := db.Blobs()
		if err := enqueue(t, db, "1", freshBlob(1, anObject+"-0-100")); err != nil {
			t.Fatal(err)
		}
		if err := enqueue(t, db, "2", rowBlob(2, aRow, "two")); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := x.Doom(t.Context(), []string{anObject, aPack}); err != nil {
				t.Fatal(err)
			}
		}
		if err := enqueue(t, db, "3", freshBlob(3, aPack+"-20-100")); mail.KindOf(err) != mail.Expired {
			t.Errorf("committed: %v", err)
		}
		if _, err := x.Move(t.Context(), []blob.Move{{Name: erasedBlob(2), From: aRow, To: aPack + "-20-100"}}); mail.KindOf(err) != mail.Expired {
			t.Errorf("moved: %v", err)
		}
		if err := x.Restore(t.Context(), []mail.Blob{freshBlob(2, aPack+"-20-100")}); mail.KindOf(err) != mail.Expired {
			t.Errorf("restored: %v", err)
		}
		if err := enqueue(t, db, "4", freshBlob(1, anObject+"-0-100")); err != nil { // its row is there
			t.Errorf("touched: %v", err)
		}
		doomed := func(want ...string) {
			t.Helper()
			all, err := x.Doomed(t.Context(), "", 10)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range all {
				if time.Since(d.Since).Abs() > time.Minute {
					t.Errorf("%s is doomed since %v", d.Object, d.Since)
				}
				got = append(got, d.Object)
			}
			if !slices.Equal(got, want) {
				t.Errorf("doomed are %q", got)
			}
		}
		doomed(anObject, aPack)
		if err := x.Spare(t.Context(), []string{anObject, aPack}); err != nil {
			t.Fatal(err)
		}
		doomed(aPack)
		if err := x.ForgetDoomed(t.Context(), []string{aPack}, time.Now().Add(-time.Minute)); err != nil {
			t.Fatal(err)
		}
		doomed(aPack)
		if err := x.ForgetDoomed(t.Context(), []string{aPack}, time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		doomed()
		dequeue(t, db)
		gone, err := x.Erase(t.Context(), []mail.BlobName{erasedBlob(1), erasedBlob(2)}, nil)
		if err != nil || len(gone) != 2 {
			t.Fatalf("%v, %v", gone, err)
		}
		doomed(anObject) // it had it alone
		if _, found, err := x.Bytes(t.Context(), aRow); found || err != nil {
			t.Errorf("an erased record is in its row: %v", err)
		}
		if err := enqueue(t, db, "5", freshBlob(1, anObject+"-0-100")); mail.KindOf(err) != mail.Expired {
			t.Errorf("a handle of what was erased: %v", err)
		}
		if err := enqueue(t, db, "6", rowBlob(2, aRow, "two")); err != nil {
			t.Errorf("a handle with all its bytes: %v", err)
		}
	})
}
