package blob_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/internal/blob"
	"lockstep/internal/mail"
	"lockstep/internal/vfs/faulty"
)

// collect makes a pass, a while after what came before.
func (w *world) collect() blob.Collected {
	w.t.Helper()
	time.Sleep(2 * blob.HandleLife)
	c, err := w.Collect(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (w *world) compact() blob.Compacted {
	w.t.Helper()
	time.Sleep(3 * blob.HandleLife)
	c, err := w.Compact(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// files returns the names of the packs.
func (w *world) files() []string {
	w.t.Helper()
	infos, err := w.fs.ReadDir(w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	var names []string
	for _, i := range infos {
		names = append(names, i.Name)
	}
	return names
}

// inBubble runs a test with time that passes by itself.
func inBubble(t *testing.T, packSize int64, test func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		test(t, newWorld(t, faulty.New(1), blob.Options{PackSize: packSize}))
	})
}

func TestTwoPassesCondemnAndAnHourDeletes(t *testing.T) {
	inBubble(t, 0, func(t *testing.T, w *world) {
		b := w.put([]byte("x"), blob.PutOptions{})
		if c := w.collect(); c != (blob.Collected{}) {
			t.Fatalf("a named blob: %+v", c)
		}
		w.index.Unname(b.Name)
		if c := w.collect(); c != (blob.Collected{Unnamed: 1}) {
			t.Fatalf("first pass: %+v", c)
		}
		if _, ok, _ := w.index.Blob(t.Context(), b.Name); !ok {
			t.Fatal("condemned by one pass")
		}
		if c := w.collect(); c != (blob.Collected{Unnamed: 1, Condemned: 1}) {
			t.Fatalf("second pass: %+v", c)
		}
		if c := w.collect(); c != (blob.Collected{}) {
			t.Fatalf("within the hour: %+v", c)
		}
		time.Sleep(time.Hour)
		if c := w.collect(); c != (blob.Collected{Forgotten: 1}) {
			t.Fatalf("after the hour: %+v", c)
		}
	})
}

func TestTouchBetweenPassesSaves(t *testing.T) {
	inBubble(t, 0, func(t *testing.T, w *world) {
		b := w.put([]byte("x"), blob.PutOptions{})
		w.index.Unname(b.Name)
		w.collect()
		w.put([]byte("x"), blob.PutOptions{})
		w.index.Unname(b.Name)
		if c := w.collect(); c.Condemned != 0 {
			t.Fatalf("%+v", c)
		}
	})
}

func TestHandleOfACondemnedBlobExpiresAndAFreshOneRevives(t *testing.T) {
	inBubble(t, 0, func(t *testing.T, w *world) {
		b := w.put([]byte("x"), blob.PutOptions{})
		w.index.Unname(b.Name)
		w.collect()
		found, _, err := w.Put(t.Context(), bytes.NewReader([]byte("x")), blob.PutOptions{})
		if err != nil || found.Fresh {
			t.Fatalf("%+v, %v", found, err)
		}
		time.Sleep(time.Minute)
		if c, err := w.Collect(t.Context()); err != nil || c.Condemned != 1 {
			t.Fatalf("%+v, %v", c, err)
		}
		if err := w.index.Commit(found); mail.KindOf(err) != mail.Expired {
			t.Fatalf("commit: %v", err)
		}
		again := w.put([]byte("x"), blob.PutOptions{})
		if !again.Fresh || again.Place == b.Place {
			t.Fatalf("a condemned blob was not written again: %+v", again)
		}
		time.Sleep(2 * time.Hour)
		w.collect()
		w.mustRead(again, []byte("x"))
	})
}

func TestHandleExpires(t *testing.T) {
	inBubble(t, 0, func(t *testing.T, w *world) {
		b, _, err := w.Put(t.Context(), bytes.NewReader([]byte("x")), blob.PutOptions{})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(blob.HandleLife)
		if err := w.index.Commit(b); mail.KindOf(err) != mail.Expired {
			t.Fatalf("commit: %v", err)
		}
	})
}

// A slowReader waits before it says that there is no more.
type slowReader struct{ wait time.Duration }

func (s slowReader) Read([]byte) (int, error) {
	time.Sleep(s.wait)
	return 0, io.EOF
}

func TestSlowPutComesWithLastingHandles(t *testing.T) {
	inBubble(t, 0, func(t *testing.T, w *world) {
		part := randomBytes(1000)
		w.put(part, blob.PutOptions{})
		text := asBase64(part, 76, "\n", true)
		whole := append([]byte(text), randomBytes(3<<20)...)
		r := io.MultiReader(bytes.NewReader(whole), slowReader{2 * blob.HandleLife})
		b, parts, err := w.Put(t.Context(), r, blob.PutOptions{Cuts: []blob.Cut{{Length: int64(len(text)), LineLen: 76, EOL: "\n"}}})
		if err != nil || len(parts) != 1 || parts[0].Fresh {
			t.Fatalf("%+v, %v", parts, err)
		}
		if err := w.index.Commit(append(parts, b)...); err != nil {
			t.Fatal(err)
		}
		w.mustRead(b, whole)
	})
}

func TestPartsLiveAsLongAsWhatIsMadeOfThem(t *testing.T) {
	inBubble(t, 0, func(t *testing.T, w *world) {
		text := asBase64(randomBytes(1000), 76, "\n", true)
		b := w.put([]byte(text), blob.PutOptions{Cuts: []blob.Cut{{Length: int64(len(text)), LineLen: 76, EOL: "\n"}}})
		for range 3 {
			if c := w.collect(); c.Unnamed != 0 {
				t.Fatalf("%+v", c)
			}
		}
		w.index.Unname(b.Name)
		total := 0
		for range 10 {
			time.Sleep(time.Hour)
			total += w.collect().Forgotten
		}
		if total != 2 {
			t.Fatalf("%d of 2 were forgotten", total)
		}
	})
}

// fill puts n blobs of size bytes each.
func (w *world) fill(n, size int) (blobs []mail.Blob, data [][]byte) {
	for range n {
		d := randomBytes(size)
		data = append(data, d)
		blobs = append(blobs, w.put(d, blob.PutOptions{HeaderSize: 10}))
	}
	return blobs, data
}

// drop forgets all of blobs but every keep-th.
func (w *world) drop(blobs []mail.Blob, keep int) {
	for i, b := range blobs {
		if i%keep != 0 {
			w.index.Unname(b.Name)
		}
	}
	for range 3 {
		w.collect()
		time.Sleep(time.Hour)
	}
	w.collect()
}

func TestCompactionKeepsWhatLivesAndFreesTheRest(t *testing.T) {
	inBubble(t, 100<<10, func(t *testing.T, w *world) {
		blobs, data := w.fill(100, 5000)
		before := w.files()
		w.drop(blobs, 10)
		c := w.compact()
		if c.Packs != len(before) || c.Moved != 10 || len(c.Damaged) != 0 {
			t.Fatalf("%+v of %d packs", c, len(before))
		}
		for _, name := range w.files() {
			if slices.Contains(before, name) {
				t.Errorf("%s is still there", name)
			}
		}
		for i := range blobs {
			if i%10 == 0 { // by the handle from before the move
				w.mustRead(blobs[i], data[i])
			} else if _, err := w.read(blobs[i]); mail.KindOf(err) != mail.Corrupt {
				t.Errorf("a deleted blob: %v", err)
			}
		}
		if c := w.compact(); c.Packs != 0 || c.Moved != 0 {
			t.Errorf("once more: %+v", c)
		}
		w.fs.(*faulty.FS).Crash()
		w.open()
		for i := 0; i < len(blobs); i += 10 {
			w.mustRead(blobs[i], data[i])
		}
	})
}

func TestReaderOutlivesCompaction(t *testing.T) {
	inBubble(t, 0, func(t *testing.T, w *world) {
		blobs, data := w.fill(10, 200<<10)
		w.drop(blobs, 100)
		w.Close()
		w.open()
		r, err := w.Open(t.Context(), blobs[0])
		if err != nil {
			t.Fatal(err)
		}
		if c := w.compact(); c.Packs != 1 {
			t.Fatalf("%+v", c)
		}
		if !slices.Contains(w.files(), pack(blobs[0])+".pack") {
			t.Error("the pack is gone under its reader")
		}
		w.mustRead(blobs[0], data[0]) // a new reader, at the new place
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, data[0]) {
			t.Fatalf("the old reader: %v", err)
		}
		r.Close()
		if slices.Contains(w.files(), pack(blobs[0])+".pack") {
			t.Error("the pack stayed after its last reader")
		}
	})
}

func TestCompactionLeavesDamageAndMovesTheRest(t *testing.T) {
	inBubble(t, 0, func(t *testing.T, w *world) {
		blobs, data := w.fill(40, 5000)
		w.drop(blobs, 10)
		w.Close()
		w.open()
		name := w.dir + "/" + pack(blobs[10]) + ".pack"
		w.fs.(*faulty.FS).Corrupt(name, func(b []byte) []byte {
			var off int64
			fmt.Sscanf(blobs[10].Place[len(pack(blobs[10]))+1:], "%x-", &off)
			b[off+3000] ^= 1
			return b
		})
		for range 2 {
			c := w.compact()
			if len(c.Damaged) != 1 || c.Damaged[0].Name != blobs[10].Name || c.Packs != 0 {
				t.Fatalf("%+v", c)
			}
		}
		for _, i := range []int{0, 20, 30} {
			row, _, _ := w.index.Blob(t.Context(), blobs[i].Name)
			if row.Place == blobs[i].Place {
				t.Errorf("blob %d did not move", i)
			}
			w.mustRead(row, data[i])
		}
		if _, err := w.read(blobs[10]); mail.KindOf(err) != mail.Corrupt {
			t.Errorf("the damaged one: %v", err)
		}
	})
}

func TestCompactionWaitsForHandles(t *testing.T) {
	inBubble(t, 1000, func(t *testing.T, w *world) { // a pack for each
		b, _, err := w.Put(t.Context(), bytes.NewReader(randomBytes(2000)), blob.PutOptions{})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(blob.HandleLife - time.Second)
		if c, err := w.Compact(t.Context()); err != nil || c.Packs != 0 {
			t.Fatalf("%+v, %v", c, err)
		}
		if err := w.index.Commit(b); err != nil {
			t.Fatal(err)
		}
		if err := w.Verify(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	})
}

func TestSmallPacksAreJoined(t *testing.T) {
	inBubble(t, 0, func(t *testing.T, w *world) {
		var blobs []mail.Blob
		for range 20 {
			more, _ := w.fill(3, 500)
			blobs = append(blobs, more...)
			w.Close()
			w.open()
			time.Sleep(time.Second)
		}
		if c := w.compact(); c.Packs != 20 || c.Moved != 60 {
			t.Fatalf("%+v", c)
		}
		for _, b := range blobs {
			if err := w.Verify(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(w.files()); n != 1 {
			t.Errorf("%d packs", n)
		}
	})
}

func TestCompactionWithPartsKeepsThem(t *testing.T) {
	inBubble(t, 0, func(t *testing.T, w *world) {
		text := asBase64(randomBytes(100000), 76, "\n", true)
		whole := []byte("head\n" + text)
		others, _ := w.fill(50, 10000)
		b := w.put(whole, blob.PutOptions{Cuts: []blob.Cut{{Offset: 5, Length: int64(len(text)), LineLen: 76, EOL: "\n"}}})
		w.Close()
		w.open()
		w.drop(others, 1000)
		if c := w.compact(); c.Moved != 3 || c.Packs != 1 {
			t.Fatalf("%+v", c)
		}
		w.mustRead(b, whole)
	})
}

// TestReadersDuringCompaction reads and puts while packs move under them.
func TestReadersDuringCompaction(t *testing.T) {
	inBubble(t, 50<<10, func(t *testing.T, w *world) {
		blobs, data := w.fill(120, 3000)
		w.drop(blobs, 4)
		time.Sleep(3 * blob.HandleLife)
		done := make(chan struct{})
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-done:
						return
					default:
					}
					n := (i*4 + g*8) % len(blobs)
					w.mustRead(blobs[n], data[n])
				}
			})
		}
		if _, err := w.Compact(t.Context()); err != nil {
			t.Error(err)
		}
		close(done)
		wg.Wait()
	})
}

// TestCrashDuringCompaction lets compaction meet a failing disk and a power cut.
func TestCrashDuringCompaction(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			fsys := faulty.New(seed)
			w := newWorld(t, fsys, blob.Options{PackSize: 30 << 10})
			blobs, data := w.fill(40, 3000)
			w.drop(blobs, 3)
			time.Sleep(3 * blob.HandleLife)
			fsys.SetOdds(faulty.Odds{Create: 0.1, Write: 0.1, ShortWrite: 0.1, Sync: 0.2, SyncDir: 0.1, Read: 0.02})
			_, err := w.Compact(t.Context())
			fsys.Crash()
			w.open()
			for i := 0; i < len(blobs); i += 3 {
				if got, e := w.read(blobs[i]); e != nil || !bytes.Equal(got, data[i]) {
					t.Fatalf("seed %d, compaction said %v: blob %d: %v", seed, err, i, e)
				}
			}
			w.compact() // and all can be moved once the disk is well
			if c := w.compact(); c.Packs != 0 || len(c.Damaged) != 0 {
				t.Fatalf("seed %d: still something to do: %+v", seed, c)
			}
		})
	}
}

func TestScanSkipsDamageAndTornTails(t *testing.T) {
	w := newWorld(t, faulty.New(1), blob.Options{})
	blobs, _ := w.fill(10, 2000)
	w.Close()
	name := w.dir + "/" + pack(blobs[0]) + ".pack"
	w.fs.(*faulty.FS).Corrupt(name, func(b []byte) []byte {
		b[40] ^= 1   // the first one's header
		b[5000] ^= 1 // the third one's frames
		return b[:len(b)-10]
	})
	good, bad := 0, 0
	for f, err := range blob.Scan(t.Context(), w.fs, w.dir, w.keys) {
		if err != nil {
			t.Fatal(err)
		}
		if f.Err != nil {
			bad++
			continue
		}
		good++
		if i := slices.IndexFunc(blobs, func(b mail.Blob) bool { return b.Name == f.Blob.Name }); blobs[i].Place != f.Blob.Place || !bytes.Equal(blobs[i].Key, f.Blob.Key) {
			t.Errorf("found %+v, put %+v", f.Blob, blobs[i])
		}
	}
	if good != 7 || bad != 3 {
		t.Errorf("%d good, %d bad", good, bad)
	}
}
