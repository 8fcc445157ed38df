package blob_test

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"lockstep/internal/blob"
	"lockstep/internal/mail"
	"lockstep/internal/vfs/faulty"
)

// extents reads whole packs in extents, and returns what they hold and which places
// were damaged.
func (w *world) extents(atLeast int64) (packs map[string][]byte, damaged []string) {
	w.t.Helper()
	packs = map[string][]byte{}
	list, err := w.Packs()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, p := range list {
		for from := int64(0); from < p.Size; {
			x, err := w.Extent(context.Background(), p, from, atLeast)
			if err != nil {
				w.t.Fatal(err)
			}
			b := make([]byte, x.Size())
			if _, err := x.ReadAt(b, 0); err != nil {
				w.t.Fatal(err)
			}
			w.readsInPieces(x, b)
			damaged = append(damaged, x.Damaged...)
			packs[p.Pack] = append(packs[p.Pack], b...)
			from += x.Size()
			x.Close()
		}
	}
	return packs, damaged
}

// readsInPieces compares reads of all kinds of pieces with the whole.
func (w *world) readsInPieces(x *blob.Extent, whole []byte) {
	w.t.Helper()
	for _, piece := range []int{1, 7, 143, 144, 145, 1000} {
		for off := 0; off < min(len(whole), 3000); off += piece {
			b := make([]byte, piece)
			n, err := x.ReadAt(b, int64(off))
			if err != nil && err != io.EOF || !bytes.Equal(b[:n], whole[off:off+n]) || n < min(piece, len(whole)-off) {
				w.t.Fatalf("%d bytes at %d: %d, %v", piece, off, n, err)
			}
		}
	}
}

// What extents and rows make together is what was there; extents alone hold no key.
func TestExtentsAndRowsAreThePacks(t *testing.T) {
	for _, atLeast := range []int64{1, 5000, 1 << 30} {
		fs := faulty.New(1)
		w := newWorld(t, fs, blob.Options{PackSize: 50_000})
		contents := map[mail.BlobName][]byte{}
		var rows []mail.Blob
		for i := range 40 {
			data := randomBytes(10 + i*300)
			b := w.put(data, blob.PutOptions{})
			row, _, err := w.Find(t.Context(), b.Name)
			if err != nil {
				t.Fatal(err)
			}
			rows = append(rows, row)
			contents[b.Name] = data
		}
		packs, damaged := w.extents(atLeast)
		if len(damaged) > 0 || len(packs) < 3 {
			t.Fatalf("%d packs, damaged %v", len(packs), damaged)
		}
		for _, row := range rows {
			for _, b := range packs {
				if bytes.Contains(b, row.Key) {
					t.Fatalf("the key of %s is in an extent", row.Place)
				}
			}
		}
		w.Close()
		for pack, b := range packs {
			fs.Corrupt(w.dir+"/"+pack+blob.PackSuffix, func(data []byte) []byte {
				if len(data) != len(b) {
					t.Errorf("pack %s: %d bytes in extents, %d in the pack", pack, len(b), len(data))
				}
				return b
			})
			f, err := fs.Change(w.dir + "/" + pack + blob.PackSuffix)
			if err != nil {
				t.Fatal(err)
			}
			for _, row := range rows {
				if !strings.HasPrefix(row.Place, pack+"-") {
					continue
				}
				other := row
				other.Size++
				if err := blob.Refill(f, other); mail.KindOf(err) != mail.Corrupt {
					t.Errorf("another row was taken: %v", err)
				}
				if err := blob.Refill(f, row); err != nil {
					t.Fatal(err)
				}
			}
			f.Close()
		}
		w.open()
		for _, row := range rows {
			if got, err := w.read(row); err != nil || !bytes.Equal(got, contents[row.Name]) {
				t.Fatalf("%s: %v", row.Place, err)
			}
		}
		w.Close()
	}
}

// What a crash leaves at the end of a pack is nobody's, and zeros in an extent.
func TestTailsOfPacksAreZeros(t *testing.T) {
	fs := faulty.New(1)
	w := newWorld(t, fs, blob.Options{})
	b := w.put(randomBytes(1000), blob.PutOptions{})
	file, _, _ := w.at(b)
	w.Close()
	fs.Corrupt(file, func(data []byte) []byte { return append(data, bytes.Repeat([]byte("LSb1torn"), 100)...) })
	w.open()
	packs, damaged := w.extents(1 << 20)
	for _, got := range packs {
		if tail := got[len(got)-800:]; !bytes.Equal(tail, make([]byte, 800)) || len(damaged) > 0 {
			t.Errorf("the tail is %q; damaged %v", tail[:16], damaged)
		}
	}
}

// What was not synced is in no copy, and what was is.
func TestPacksEndWhereTheyLast(t *testing.T) {
	fs := faulty.New(1)
	w := newWorld(t, fs, blob.Options{})
	w.put(randomBytes(1000), blob.PutOptions{})
	before, err := w.Packs()
	if err != nil || len(before) != 1 {
		t.Fatal(before, err)
	}
	info, err := fs.Stat(w.dir + "/" + before[0].Pack + blob.PackSuffix)
	if err != nil || info.Size != before[0].Size {
		t.Errorf("after a put %d of %d bytes last: %v", before[0].Size, info.Size, err)
	}
	fs.SetOdds(faulty.Odds{Sync: 1})
	if _, _, err := w.Put(t.Context(), bytes.NewReader(randomBytes(500)), blob.PutOptions{}); err == nil {
		t.Fatal("a put without a sync succeeded")
	}
	fs.SetOdds(faulty.Odds{})
	after, err := w.Packs()
	if err != nil {
		t.Fatal(err)
	}
	if after[0] != before[0] {
		t.Errorf("after a sync that failed %d bytes last, and %d before", after[0].Size, before[0].Size)
	}
}

// Nothing is compacted while somebody holds the packs.
func TestHeldPacksStay(t *testing.T) {
	w := newWorld(t, faulty.New(1), blob.Options{})
	b := w.put(randomBytes(1000), blob.PutOptions{})
	w.index.Lose(b.Name)
	w.Close()
	w.open()
	one, two := w.Hold(), w.Hold()
	for _, release := range []func(){one, two} {
		if c, err := w.Compact(t.Context()); err != nil || !c.Held || c.Packs > 0 {
			t.Fatalf("held: %+v, %v", c, err)
		}
		release()
	}
	if c, err := w.Compact(t.Context()); err != nil || c.Held || c.Packs != 1 {
		t.Errorf("released: %+v, %v", c, err)
	}
}

// Extents are the same bytes while keys are wrapped anew.
func TestExtentsStayWhenKeysAreRotated(t *testing.T) {
	fs := faulty.New(1)
	w := newWorld(t, fs, blob.Options{})
	for range 20 {
		w.put(randomBytes(700), blob.PutOptions{})
	}
	w.Close()
	w.open() // so that all packs are at rest
	before, _ := w.extents(1 << 20)
	if _, err := w.keys.Rotate(time.Now()); err != nil {
		t.Fatal(err)
	}
	w.Close()
	w.open() // nothing is on its way in that an older key wraps
	if done, err := w.Retire(t.Context(), 1, func(blob.Rewrapped) error { return nil }); err != nil || done.Records == 0 {
		t.Fatalf("%+v, %v", done, err)
	}
	after, damaged := w.extents(1 << 20)
	for pack, b := range before {
		if !bytes.Equal(after[pack], b) || len(damaged) > 0 {
			t.Errorf("pack %s is another after the rotation; damaged %v", pack, damaged)
		}
	}
}
