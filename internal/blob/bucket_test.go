package blob_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/internal/blob"
	"lockstep/internal/blob/blobtest"
	"lockstep/internal/mail"
	"lockstep/internal/vfs"
	"lockstep/internal/vfs/faulty"
)

// newBucketWorld is a world with a bucket.
func newBucketWorld(t testing.TB, fsys vfs.FS, o blob.Options) *world {
	t.Helper()
	return startWorld(t, fsys, o, blobtest.NewBucket(1))
}

// beside opens another node on what a world has, with a disk of its own.
func (w *world) beside(t testing.TB, index blob.Index) *blob.Store {
	t.Helper()
	s, err := blob.OpenBucket(t.Context(), "/other/fetched", w.keys, index, w.bucket, blob.Options{FS: faulty.New(2), PackSize: w.opts.PackSize})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func (w *world) objects(prefix string) []string {
	return slices.DeleteFunc(w.bucket.Names(), func(n string) bool { return !strings.HasPrefix(n, prefix) })
}

// pass does what upkeep does in so many hours.
func (w *world) pass(hours int) {
	w.t.Helper()
	for range hours {
		if _, err := w.Pack(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		if _, err := w.Collect(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		if _, err := w.Compact(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		time.Sleep(time.Hour)
	}
}

// The costs of what docs/store.md says: a small message takes no request before its
// commit, a large one takes one.
func TestRequestsOfADelivery(t *testing.T) {
	w := newBucketWorld(t, faulty.New(1), blob.Options{})
	w.bucket.Requests()
	small := w.put(textBytes(30<<10), blob.PutOptions{HeaderSize: 1000})
	if r := w.bucket.Requests(); len(r) != 0 {
		t.Errorf("a small message took %v", r)
	}
	w.mustRead(small, textBytes(30<<10))
	if r := w.bucket.Requests(); len(r) != 0 {
		t.Errorf("reading it from its row took %v", r)
	}
	data := randomBytes(3 << 20)
	large := w.put(data, blob.PutOptions{HeaderSize: 1000})
	if r := w.bucket.Requests(); len(r) != 1 || r["put"] != 1 {
		t.Errorf("a large message took %v", r)
	}
	w.put(data, blob.PutOptions{})
	if r := w.bucket.Requests(); len(r) != 0 {
		t.Errorf("the same once more took %v", r)
	}
	head := make([]byte, 1000)
	w.readAt(large, head)
	w.readAt(large, head)
	if r := w.bucket.Requests(); len(r) != 1 || r["get"] != 1 {
		t.Errorf("its header, twice, took %v", r)
	}
	if n := w.Stats().ObjectGetBytes; n != 256<<10 {
		t.Errorf("its header took %d bytes", n)
	}
	w.mustRead(large, data)
	if r := w.bucket.Requests(); r["get"] != 1 {
		t.Errorf("the rest took %v", r)
	}
}

func (w *world) readAt(b mail.Blob, p []byte) {
	w.t.Helper()
	r, err := w.Open(context.Background(), b)
	if err != nil {
		w.t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.ReadAt(p, 0); err != nil {
		w.t.Fatal(err)
	}
}

// A record of MaxInRow bytes begins as a row, one of a byte more as an object.
func TestTheBoundOfRows(t *testing.T) {
	w := newBucketWorld(t, faulty.New(1), blob.Options{})
	size := 0
	for record := 0; record <= blob.MaxInRow; size++ { // noise: a record is a little longer than what is in it
		size = max(size, blob.MaxInRow-1000)
		b, _, err := w.Put(t.Context(), bytes.NewReader(randomBytes(size)), blob.PutOptions{})
		if err != nil {
			t.Fatal(err)
		}
		_, _, length, err := blob.PackOf(b.Place)
		if err != nil {
			t.Fatal(err)
		}
		if record = int(length); (record <= blob.MaxInRow) != blob.InRow(b.Place) || blob.InRow(b.Place) != (b.Record != nil) {
			t.Fatalf("%d bytes lie in %s", record, b.Place)
		}
	}
}

func TestSmallOnesArePackedAndReadOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBucketWorld(t, faulty.New(1), blob.Options{PackSize: 64 << 10})
		defer w.Close()
		var blobs []mail.Blob
		for i := range 40 {
			blobs = append(blobs, w.put(fmt.Appendf(randomBytes(4<<10), "message %d", i), blob.PutOptions{HeaderSize: 100}))
		}
		want := map[mail.BlobName][]byte{}
		var open []*blob.Reader
		for _, b := range blobs {
			want[b.Name], _ = w.read(b)
			r, err := w.Open(t.Context(), b)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			open = append(open, r)
		}
		w.bucket.Requests()
		done, err := w.Pack(t.Context())
		if err != nil || done.Objects != 2 || done.Records != 32 {
			t.Fatalf("packed %+v, %v", done, err) // two whole ones, and the rest waits
		}
		if r := w.bucket.Requests(); r["put"] != 2 || len(r) != 1 {
			t.Errorf("packing took %v", r)
		}
		for i, b := range blobs { // as it was looked up before
			w.mustRead(b, want[b.Name])
			if got, err := io.ReadAll(open[i]); err != nil || !bytes.Equal(got, want[b.Name]) {
				t.Fatalf("what was open: %v", err)
			}
		}
		time.Sleep(2 * time.Hour)
		if done, err = w.Pack(t.Context()); err != nil || done.Records != 8 || done.Dropped != 32 {
			t.Fatalf("packed %+v, %v", done, err)
		}
		time.Sleep(time.Hour)
		if done, err = w.Pack(t.Context()); err != nil || done.Records != 0 || done.Objects != 0 || w.index.Records() != 0 {
			t.Fatalf("packed %+v, %v; %d rows are left", done, err, w.index.Records())
		}
		other := w.beside(t, w.index)
		for _, b := range blobs { // looked up before, and by who has nothing nearby
			w.mustRead(b, want[b.Name])
			row, _, err := w.Find(t.Context(), b.Name)
			if err != nil {
				t.Fatal(err)
			}
			if err := other.Verify(t.Context(), row); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// What nobody names is removed, but not before everyone who could have named it can no
// more.
func TestWhatNobodyNamesIsRemovedMuchLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBucketWorld(t, faulty.New(1), blob.Options{})
		defer w.Close()
		data := randomBytes(300 << 10)
		named := w.put(data, blob.PutOptions{})
		lost, _, err := w.Put(t.Context(), bytes.NewReader(randomBytes(300<<10)), blob.PutOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if n := len(w.objects("blobs/")); n != 2 {
			t.Fatalf("%d objects", n)
		}
		w.pass(24)
		if n := len(w.objects("blobs/")); n != 2 {
			t.Fatalf("%d objects after a day", n)
		}
		w.pass(1)
		if n := len(w.objects("blobs/")); n != 2 {
			t.Fatalf("%d objects when one was doomed", n)
		}
		lost.Until = time.Now().Add(time.Hour) // a clock that stood still
		if err := w.index.Commit(lost); mail.KindOf(err) != mail.Expired {
			t.Fatalf("what is doomed was named: %v", err)
		}
		w.pass(2)
		if n := len(w.objects("blobs/")); n != 1 {
			t.Fatalf("%d objects in the end", n)
		}
		w.mustRead(named, data)
		w.index.Unname(named.Name)
		w.pass(10)
		if n := len(w.objects("blobs/")); n != 0 {
			t.Fatalf("%d objects of what was condemned", n)
		}
		if all, _ := w.index.Doomed(t.Context(), "", 10); len(all) != 2 {
			t.Fatalf("%d doomed", len(all))
		}
		w.pass(8 * 24)
		if all, _ := w.index.Doomed(t.Context(), "", 10); len(all) != 0 {
			t.Fatalf("%v is remembered for ever", all)
		}
	})
}

// What a transaction that was under way named all the same is spared.
func TestWhatWasNamedWhileItWasDoomedStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBucketWorld(t, faulty.New(1), blob.Options{})
		defer w.Close()
		data := randomBytes(300 << 10)
		b := w.put(data, blob.PutOptions{})
		object, _ := blob.ObjectOf(b.Place)
		if err := w.index.Doom(t.Context(), []string{object}); err != nil {
			t.Fatal(err)
		}
		w.pass(30)
		w.mustRead(b, data)
		if all, _ := w.index.Doomed(t.Context(), "", 10); len(all) != 0 {
			t.Fatalf("%v is doomed", all)
		}
	})
}

// An older list makes nothing be removed that it does not show.
func TestStaleListsHarmNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBucketWorld(t, faulty.New(1), blob.Options{PackSize: 64 << 10})
		defer w.Close()
		want := map[mail.BlobName][]byte{}
		for i := range 30 {
			w.bucket.Stale(i%3 == 0)
			data := randomBytes(1000 + i*20<<10)
			want[w.put(data, blob.PutOptions{}).Name] = data
			w.pass(3)
		}
		w.bucket.Stale(false)
		for name, data := range want {
			b, found, err := w.Find(t.Context(), name)
			if err != nil || !found {
				t.Fatalf("%v %v", found, err)
			}
			w.mustRead(b, data)
		}
	})
}

func TestMostlyDeadPacksAreCopiedAndSmallOnesJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBucketWorld(t, faulty.New(1), blob.Options{PackSize: 64 << 10})
		defer w.Close()
		want := map[mail.BlobName][]byte{}
		var all []mail.Blob
		for range 12 { // a pack each hour
			for range 3 {
				data := randomBytes(2 << 10)
				b := w.put(data, blob.PutOptions{})
				want[b.Name] = data
				all = append(all, b)
			}
			time.Sleep(2 * time.Hour)
			if _, err := w.Pack(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(w.objects("packs/")); n != 12 {
			t.Fatalf("%d packs", n)
		}
		reader, err := w.Open(t.Context(), all[1])
		if err != nil {
			t.Fatal(err)
		}
		defer reader.Close()
		w.pass(60)
		if n := len(w.objects("packs/")); n > 3 { // 36 records of 2 KiB
			t.Fatalf("%d packs of those joined", n)
		}
		for i, b := range all {
			if i%3 != 1 {
				w.index.Unname(b.Name)
				delete(want, b.Name)
			}
		}
		w.pass(60)
		bytes := 0
		for _, pack := range w.objects("packs/") {
			w.bucket.Change(pack, func(o []byte) []byte { bytes += len(o); return o })
		}
		if bytes > 12*2*3<<10 {
			t.Fatalf("packs of %d bytes for 12 records that live", bytes)
		}
		for name, data := range want {
			b, _, err := w.Find(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			w.mustRead(b, data)
		}
		got, err := io.ReadAll(reader) // of a pack that is gone since it was opened
		if err != nil || string(got) != string(want[all[1].Name]) {
			t.Fatalf("a reader from before: %v", err)
		}
	})
}

// A part of a record that is not nearby is looked for where the record lies now.
func TestAReaderFollowsARecordThatIsMoved(t *testing.T) {
	w := newBucketWorld(t, faulty.New(1), blob.Options{})
	data := randomBytes(6 << 20)
	b := w.put(data, blob.PutOptions{})
	r, err := w.Open(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	first := make([]byte, 1000)
	if _, err := io.ReadFull(r, first); err != nil {
		t.Fatal(err)
	}
	record := w.objectText(b)
	if err := w.MendFrom(t.Context(), b, bytes.NewReader(record)); err != nil { // which moves it
		t.Fatal(err)
	}
	w.bucket.Change(objectOf(b), func([]byte) []byte { return nil })
	rest, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(append(first, rest...), data) {
		t.Fatalf("%d bytes, %v", len(first)+len(rest), err)
	}
	if _, err := w.read(b); err != nil { // as it was looked up before
		t.Fatal(err)
	}
}

func objectOf(b mail.Blob) string {
	object, _ := blob.ObjectOf(b.Place)
	return object
}

// objectText is an object's bytes.
func (w *world) objectText(b mail.Blob) (text []byte) {
	w.bucket.Change(objectOf(b), func(o []byte) []byte { text = bytes.Clone(o); return o })
	return text
}

func TestConcurrentReadersShareOneFetch(t *testing.T) {
	w := newBucketWorld(t, faulty.New(1), blob.Options{})
	data := randomBytes(200 << 10)
	b := w.put(data, blob.PutOptions{})
	w.bucket.Requests()
	const readers = 20
	hold := make(chan struct{})
	w.bucket.Before = func(ctx context.Context, request, name string) error {
		select {
		case <-hold:
		case <-ctx.Done():
		}
		return nil
	}
	var all sync.WaitGroup
	for range readers {
		all.Go(func() {
			if got, err := w.read(b); err != nil || !bytes.Equal(got, data) {
				t.Error(err)
			}
		})
	}
	for w.Stats().CacheMisses < readers {
		time.Sleep(time.Millisecond)
	}
	close(hold)
	all.Wait()
	if r := w.bucket.Requests(); r["get"] != 1 {
		t.Errorf("%d readers took %v", readers, r)
	}
}

// Who asked first may go; the others still get what they wait for.
func TestAFetchOutlivesWhoAskedFirst(t *testing.T) {
	w := newBucketWorld(t, faulty.New(1), blob.Options{})
	data := randomBytes(200 << 10)
	b := w.put(data, blob.PutOptions{})
	asked, hold := make(chan struct{}, 9), make(chan struct{})
	w.bucket.Before = func(context.Context, string, string) error { asked <- struct{}{}; <-hold; return nil }
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error)
	go func() { _, err := w.Open(ctx, b); first <- err }()
	<-asked
	second := make(chan error)
	go func() { _, err := w.read(b); second <- err }()
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("the first: %v", err)
	}
	close(hold)
	if err := <-second; err != nil {
		t.Errorf("the second: %v", err)
	}
}

func TestTheCacheIsBoundedAndGivesUpTheOldest(t *testing.T) {
	const cache = 1 << 20
	w := newBucketWorld(t, vfs.OS{}, blob.Options{Cache: cache})
	var blobs []mail.Blob
	for range 12 {
		blobs = append(blobs, w.put(randomBytes(200<<10), blob.PutOptions{}))
	}
	for _, b := range blobs {
		if _, err := w.read(b); err != nil {
			t.Fatal(err)
		}
		if n := cacheSize(t, w.dir); n > cache {
			t.Fatalf("%d bytes are kept", n)
		}
		w.readAt(blobs[0], make([]byte, 1)) // used all the time
	}
	w.bucket.Requests()
	for _, b := range []mail.Blob{blobs[0], blobs[11], blobs[10], blobs[9]} {
		w.readAt(b, make([]byte, 1))
	}
	if r := w.bucket.Requests(); len(r) != 0 {
		t.Errorf("what was used last took %v", r)
	}
	w.readAt(blobs[1], make([]byte, 1))
	if r := w.bucket.Requests(); r["get"] != 1 {
		t.Errorf("what was used first took %v", r)
	}
}

func cacheFiles(t testing.TB, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "cache", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func cacheSize(t testing.TB, dir string) (sum int64) {
	t.Helper()
	for _, f := range cacheFiles(t, dir) {
		if info, err := os.Stat(f); err == nil {
			sum += info.Size()
		}
	}
	return sum
}

func TestTheCacheOutlivesARestartAndDropsWhatIsDamaged(t *testing.T) {
	w := newBucketWorld(t, vfs.OS{}, blob.Options{})
	data := randomBytes(200 << 10)
	b := w.put(data, blob.PutOptions{})
	w.mustRead(b, data)
	for n, harm := range []func(file string) error{
		func(string) error { return nil },
		func(f string) error { return os.Truncate(f, 1000) },
		func(f string) error { return os.Truncate(f, 0) },
		func(f string) error { return flip(f, 5) },
		func(f string) error { return flip(f, 200<<10) },
		os.Remove,
	} {
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		files := cacheFiles(t, w.dir)
		if len(files) != 1 {
			t.Fatalf("%d files", len(files))
		}
		if err := harm(files[0]); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(files[0]+".abc.tmp", nil, 0o600); err != nil {
			t.Fatal(err)
		}
		w.open()
		w.bucket.Requests()
		w.mustRead(b, data)
		if r := w.bucket.Requests(); r["get"] != min(n, 1) {
			t.Errorf("harm %d: %v", n, r)
		}
		if err := flip(cacheFiles(t, w.dir)[0], 77); err != nil { // while it runs
			t.Fatal(err)
		}
		w.mustRead(b, data)
		if w.Damaged() != 0 {
			t.Error("what was damaged in the cache counts as damaged")
		}
	}
	w.Close()
}

func flip(file string, off int64) error {
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], off); err != nil {
		return err
	}
	b[0] ^= 1
	_, err = f.WriteAt(b[:], off)
	return err
}

// A full disk costs speed and nothing else.
func TestReadingGoesOnWhereNothingCanBeKept(t *testing.T) {
	w := newBucketWorld(t, vfs.OS{}, blob.Options{Cache: 1})
	data := randomBytes(5 << 20)
	b := w.put(data, blob.PutOptions{})
	w.mustRead(b, data)
	if n := cacheSize(t, w.dir); n != 0 {
		t.Errorf("%d bytes are kept", n)
	}
}

func TestDamageInTheBucketIsNeverServed(t *testing.T) {
	w := newBucketWorld(t, faulty.New(1), blob.Options{})
	data := randomBytes(300 << 10)
	b := w.put(data, blob.PutOptions{})
	good := w.objectText(b)
	for _, harm := range []func([]byte) []byte{
		func(o []byte) []byte { o[len(o)/2] ^= 1; return o },
		func(o []byte) []byte { o[10] ^= 1; return o },
		func(o []byte) []byte { return o[:len(o)-10] },
		func([]byte) []byte { return []byte{} },
	} {
		w.bucket.Change(objectOf(b), harm)
		other := w.beside(t, w.index)
		if r, err := other.Open(t.Context(), b); err == nil {
			got, err := io.ReadAll(r)
			if mail.KindOf(err) != mail.Corrupt && mail.KindOf(err) != mail.Unavailable || len(got) > 0 && !bytes.Equal(got, data[:len(got)]) {
				t.Errorf("read %d bytes, %v", len(got), err)
			}
			r.Close()
		}
		w.bucket.Change(objectOf(b), func([]byte) []byte { return good }) // an older version is put back
		if err := other.Verify(t.Context(), b); err != nil {
			t.Errorf("what is good again: %v", err)
		}
		other.Close()
	}
	// Put again, it is good too.
	w.bucket.Change(objectOf(b), func([]byte) []byte { return nil })
	if err := w.Verify(t.Context(), b); mail.KindOf(err) != mail.Corrupt {
		t.Fatalf("what is gone: %v", err)
	}
	w.put(data, blob.PutOptions{})
	w.mustRead(b, data)
}

func TestABucketThatIsDownIsSaidSo(t *testing.T) {
	w := newBucketWorld(t, faulty.New(1), blob.Options{})
	small, large := w.put(textBytes(1000), blob.PutOptions{}), w.put(randomBytes(300<<10), blob.PutOptions{})
	w.bucket.Harm(1)
	for range 20 {
		if _, _, err := w.Put(t.Context(), bytes.NewReader(randomBytes(300<<10)), blob.PutOptions{}); mail.KindOf(err) != mail.Unavailable {
			t.Fatalf("a large put: %v", err)
		}
		if _, err := w.read(large); mail.KindOf(err) != mail.Unavailable {
			t.Fatalf("a large read: %v", err)
		}
		if _, err := w.Compact(t.Context()); mail.KindOf(err) != mail.Unavailable {
			t.Fatalf("compaction: %v", err)
		}
	}
	w.put(textBytes(2000), blob.PutOptions{})
	w.mustRead(small, textBytes(1000))
	if w.Damaged() != 0 {
		t.Error("what can't be read now counts as damaged")
	}
	w.Close()
	w.open() // and a node starts
	w.mustRead(small, textBytes(1000))
	w.bucket.Harm(0)
	if _, err := w.read(large); err != nil {
		t.Error(err)
	}
}

func TestACancelledReadIsNoDamage(t *testing.T) {
	w := newBucketWorld(t, faulty.New(1), blob.Options{})
	b := w.put(randomBytes(300<<10), blob.PutOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Open(ctx, b); !errors.Is(err, context.Canceled) {
		t.Errorf("opened: %v", err)
	}
	if w.Damaged() != 0 {
		t.Error("it counts as damaged")
	}
}

// A bucket of another server is refused before anything is put there or removed.
func TestABucketOfAnotherKeyIsRefused(t *testing.T) {
	w := newBucketWorld(t, faulty.New(1), blob.Options{})
	other := faulty.New(2)
	keys, _, err := blob.OpenKeyring(other, "/data/key", "/data/none")
	if err != nil {
		t.Fatal(err)
	}
	_, err = blob.OpenBucket(t.Context(), "/data/fetched", keys, blobtest.NewIndex(), w.bucket, blob.Options{FS: other})
	if mail.KindOf(err) != mail.Invalid || !strings.Contains(err.Error(), "another key file") {
		t.Errorf("opened: %v", err)
	}
	w.bucket.Harm(1) // it can't be looked at now
	s, err := blob.OpenBucket(t.Context(), "/data/fetched", keys, blobtest.NewIndex(), w.bucket, blob.Options{FS: other})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	w.bucket.Harm(0)
	before := w.bucket.Names()
	if _, _, err := s.Put(t.Context(), bytes.NewReader(randomBytes(300<<10)), blob.PutOptions{}); err == nil {
		t.Error("it was put to")
	}
	if _, err := s.Compact(t.Context()); err == nil {
		t.Error("it was collected")
	}
	if !slices.Equal(before, w.bucket.Names()) {
		t.Errorf("%q became %q", before, w.bucket.Names())
	}
	if used, err := blob.IsUsed(t.Context(), w.bucket); err != nil || !used {
		t.Errorf("it is in use: %v, %v", used, err)
	}
	if used, err := blob.IsUsed(t.Context(), blobtest.NewBucket(2)); err != nil || used {
		t.Errorf("an empty one is in use: %v, %v", used, err)
	}
}

// What is in the bucket can't be opened with the operator's keys alone: the blob's key is
// in its row.
func TestRecordsInABucketHaveNoKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBucketWorld(t, faulty.New(1), blob.Options{})
		defer w.Close()
		var keys [][]byte
		for _, data := range [][]byte{textBytes(3000), randomBytes(300 << 10)} {
			keys = append(keys, w.put(data, blob.PutOptions{}).Key)
		}
		time.Sleep(2 * time.Hour)
		if _, err := w.Pack(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := len(w.bucket.Names()); n != 3 {
			t.Fatalf("%d objects", n)
		}
		for _, name := range w.bucket.Names() {
			w.bucket.Change(name, func(o []byte) []byte {
				for _, key := range keys {
					if bytes.Contains(o, key) {
						t.Errorf("%s has a key", name)
					}
				}
				return o
			})
		}
		if _, err := w.keys.Rotate(time.Now()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(blob.HandleLife)
		w.bucket.Requests()
		done, err := w.Retire(t.Context(), 1, func(blob.Rewrapped) error { return nil })
		if err != nil || done.Rows != 2 || done.Records != 0 {
			t.Fatalf("%+v, %v", done, err)
		}
		if r := w.bucket.Requests(); len(r) != 0 {
			t.Errorf("retiring a key took %v", r)
		}
		err = w.Each(t.Context(), func(b mail.Blob) error { return w.Verify(t.Context(), b) })
		if err != nil {
			t.Error(err)
		}
	})
}

func TestWhatIsErasedLeavesTheBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBucketWorld(t, faulty.New(1), blob.Options{PackSize: 32 << 10})
		defer w.Close()
		want := map[mail.BlobName][]byte{}
		put := func(data []byte) mail.Blob {
			b := w.put(data, blob.PutOptions{})
			want[b.Name] = data
			return b
		}
		var small []mail.Blob
		for range 8 {
			small = append(small, put(randomBytes(3000)))
		}
		large, kept := put(randomBytes(300<<10)), put(randomBytes(300<<10))
		time.Sleep(2 * time.Hour)
		if _, err := w.Pack(t.Context()); err != nil {
			t.Fatal(err)
		}
		inRow := put(randomBytes(2000))
		fresh := large // a handle of another recipient's delivery
		pack, _, err := w.Find(t.Context(), small[0].Name)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		erase := []mail.BlobName{small[0].Name, large.Name, inRow.Name, kept.Name}
		for _, name := range erase[:3] {
			w.index.Unname(name)
			delete(want, name)
		}
		done, err := w.Erase(t.Context(), erase)
		if err != nil || len(done.Gone) != 3 || len(done.Kept) != 1 || done.Records != 3 {
			t.Fatalf("%+v, %v", done, err)
		}
		for _, gone := range []mail.Blob{pack, large} {
			if slices.Contains(w.bucket.Names(), objectOf(gone)) {
				t.Errorf("%s is there", objectOf(gone))
			}
		}
		if w.index.Records() != 0 {
			n := w.index.Records()
			t.Logf("%d records lie in rows, moved", n)
		}
		fresh.Until = time.Now().Add(time.Minute)
		if err := w.index.Commit(fresh); mail.KindOf(err) != mail.Expired {
			t.Errorf("what was erased was named again: %v", err)
		}
		if found, _, err := w.Holds(t.Context(), done.Gone); found || err != nil {
			t.Errorf("it holds some: %v", err)
		}
		if _, err := w.read(large); mail.KindOf(err) != mail.NotFound {
			t.Errorf("what was erased was read: %v", err)
		}
		for name, data := range want {
			b, _, err := w.Find(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			w.mustRead(b, data)
		}
	})
}

// A pass over everything fetches each pack once and large records part by part, and leaves
// what is kept nearby alone.
func TestAPassFetchesEachPackOnce(t *testing.T) {
	w := newBucketWorld(t, vfs.OS{}, blob.Options{PackSize: 64 << 10})
	for range 64 {
		w.put(randomBytes(3<<10), blob.PutOptions{})
	}
	w.put(randomBytes(5<<20), blob.PutOptions{})
	if done, err := w.Pack(t.Context()); err != nil || done.Objects != 3 {
		t.Fatalf("%+v, %v", done, err)
	}
	for name, look := range map[string]func(mail.Blob) error{
		"look":   func(b mail.Blob) error { return w.Look(t.Context(), b, func(int64) error { return nil }) },
		"verify": func(b mail.Blob) error { return w.Verify(t.Context(), b) },
	} {
		w.bucket.Requests()
		if err := w.Each(t.Context(), look); err != nil {
			t.Fatal(err)
		}
		if r := w.bucket.Requests(); len(r) != 1 || r["get"] != 3+3 {
			t.Errorf("%s took %v", name, r)
		}
	}
	if n := cacheSize(t, w.dir); n != 0 {
		t.Errorf("%d bytes are kept of it", n)
	}
	w.Close()
}

// After an older database came back, what it names and is gone is told.
func TestRelocateSaysWhatIsMissing(t *testing.T) {
	w := newBucketWorld(t, faulty.New(1), blob.Options{})
	b, kept := w.put(randomBytes(300<<10), blob.PutOptions{}), w.put(randomBytes(300<<10), blob.PutOptions{})
	if r, err := w.Relocate(t.Context()); err != nil || r != (blob.Relocated{}) {
		t.Errorf("%+v, %v", r, err)
	}
	w.bucket.Change(objectOf(b), func([]byte) []byte { return nil })
	if r, err := w.Relocate(t.Context()); err != nil || r.Packs != 1 || r.Lost != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	if err := w.Verify(t.Context(), kept); err != nil {
		t.Error(err)
	}
}

func TestPlacesTellWhereMailLies(t *testing.T) {
	disk := newWorld(t, faulty.New(1), blob.Options{})
	if p, err := blob.FindPlaces(t.Context(), disk.index); err != nil || p != (blob.Places{}) {
		t.Errorf("nothing: %+v, %v", p, err)
	}
	disk.put(textBytes(100), blob.PutOptions{})
	if p, err := blob.FindPlaces(t.Context(), disk.index); err != nil || p != (blob.Places{Packs: true}) {
		t.Errorf("packs: %+v, %v", p, err)
	}
	w := newBucketWorld(t, faulty.New(1), blob.Options{})
	w.put(textBytes(100), blob.PutOptions{})
	if p, err := blob.FindPlaces(t.Context(), w.index); err != nil || p != (blob.Places{Bucket: true}) {
		t.Errorf("rows: %+v, %v", p, err)
	}
	if _, err := w.Packs(); mail.KindOf(err) != mail.Unimplemented {
		t.Errorf("packs of a bucket: %v", err)
	}
	if n, err := w.PackBytes(); err != nil || n < 100 {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// What a store promises it promises in a bucket too. The tests below are those of packs:
// in a test of this name a world has a bucket.
func TestInABucketAStoreKeepsItsPromises(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"what is put is read back":   TestWhatIsPutIsReadBack,
		"any range":                  TestReadAtGivesAnyRange,
		"header without the body":    TestHeaderIsReadWithoutTheBody,
		"spools of a killed process": TestSpoolsOfAKilledProcessAreRemoved,
		"io":                         TestReaderSatisfiesIO,
		"same bytes once":            TestSameBytesAreStoredOnce,
		"names under another key":    TestNamesDifferUnderAnotherKey,
		"error of the source":        TestErrorOfTheSourceStoresNothing,
		"cancelled put":              TestCancelledPutStoresNothing,
		"parts":                      TestPartsAreStoredDecodedOnceAndReadBackExactly,
		"parts that stay":            TestPartsThatWouldNotComeBackStayAsTheyCame,
		"senseless cuts":             TestCutsThatMakeNoSenseAreRefused,
		"cuts beyond":                TestCutsBeyondTheEndAndBeyondMaxParts,
		"many parts":                 TestManyPartsShareOneFile,
		"parts of parts":             TestPartThatIsItselfPutTogether,
		"two passes condemn":         TestTwoPassesCondemnAndAnHourDeletes,
		"a touch saves":              TestTouchBetweenPassesSaves,
		"condemned and put again":    TestHandleOfACondemnedBlobExpiresAndAFreshOneRevives,
		"handles expire":             TestHandleExpires,
		"slow puts":                  TestSlowPutComesWithLastingHandles,
		"parts live":                 TestPartsLiveAsLongAsWhatIsMadeOfThem,
		"looks end with their pace":  TestLookEndsWithItsPace,
		"shared parts":               TestLookReadsSharedPartsOnce,
		"opened once":                TestStoreIsOpenedOnce,
	} {
		t.Run(name, test)
	}
}

// TestALetterThatArrivesAsksForNoRow: it is sealed at once, and what was there already
// stays where it is; but what is damaged is put again.
func TestALetterThatArrivesAsksForNoRow(t *testing.T) {
	w := newBucketWorld(t, vfs.OS{}, blob.Options{})
	data := textBytes(4096)
	b := w.put(data, blob.PutOptions{Arrives: true})
	asked := w.Stats().Found
	again, _, err := w.Put(t.Context(), bytes.NewReader(data), blob.PutOptions{Arrives: true})
	if err != nil || !again.Fresh || again.Name != b.Name || w.Stats().Found != asked {
		t.Fatalf("a letter that is there already: %+v, %v", again, err)
	}
	if err := w.index.Commit(again); err != nil {
		t.Fatal(err)
	}
	if row, found, err := w.index.Blob(t.Context(), b.Name); err != nil || !found || row.Place != b.Place {
		t.Errorf("its row is %v %+v, %v", found, row, err)
	}
	large := textBytes(17 << 10)
	first := w.put(large, blob.PutOptions{Arrives: true})
	if found, _, err := w.Put(t.Context(), bytes.NewReader(large), blob.PutOptions{Arrives: true}); err != nil || found.Fresh || found.Place != first.Place {
		t.Errorf("a larger one that is there already: %+v, %v", found.Place, err)
	}
}
