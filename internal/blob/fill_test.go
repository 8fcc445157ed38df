package blob_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"lockstep/internal/blob"
	"lockstep/internal/blob/blobtest"
	"lockstep/internal/mail"
	"lockstep/internal/vfs"
)

// fillable is a store in packs with small, large and cut-out blobs, and what they are.
func fillable(t *testing.T) (*world, map[mail.BlobName][]byte) {
	t.Helper()
	w := newWorld(t, vfs.OS{}, blob.Options{PackSize: 512 << 10})
	want := map[mail.BlobName][]byte{}
	for _, size := range []int{0, 1, 3000, 100 << 10, 128 << 10, 300 << 10, 2 << 20} {
		for _, data := range [][]byte{textBytes(size), randomBytes(size)} {
			want[w.put(data, blob.PutOptions{HeaderSize: int64(size) / 10}).Name] = data
		}
	}
	for range 150 {
		data := randomBytes(2000)
		want[w.put(data, blob.PutOptions{}).Name] = data
	}
	for _, size := range []int{20 << 10, 400 << 10} {
		text := asBase64(randomBytes(size), 76, "\r\n", true)
		data := []byte("Subject: hello\r\n\r\n" + text + "bye")
		b := w.put(data, blob.PutOptions{HeaderSize: 18, Cuts: []blob.Cut{{Offset: 18, Length: int64(len(text)), LineLen: 76, EOL: "\r\n"}}})
		want[b.Name] = data
	}
	return w, want
}

// fillInto runs a Filling, in a process of its own.
func (w *world) fillInto(ctx context.Context, bucket blob.Bucket) (done blob.Filled, damaged []mail.Blob, err error) {
	w.t.Helper()
	w.reopen()
	to, err := blob.OpenBucket(w.t.Context(), filepath.Join(filepath.Dir(w.dir), "fetched"), w.keys, w.index, bucket, blob.Options{PackSize: 128 << 10})
	if err != nil {
		w.t.Fatal(err)
	}
	defer to.Close()
	f := &blob.Filling{From: w.Store, To: to, Tell: func(blob.Filled) {}, Damaged: func(b mail.Blob, _ error) { damaged = append(damaged, b) }}
	done, err = f.Run(ctx)
	return done, damaged, err
}

// Cut at each request to the bucket, before it is made and after, and run again, all mail
// comes to lie in the bucket as it was; what is readable stays so all along.
func TestFillingABucketThatIsCutGoesOn(t *testing.T) {
	w, want := fillable(t)
	bucket := blobtest.NewBucket(3)
	cut := errors.New("cut")
	for n := 1; ; n++ {
		if n > 200 {
			t.Fatal("it does not come to an end")
		}
		ctx, cancel := context.WithCancel(t.Context())
		var puts atomic.Int64
		bucket.Before = func(_ context.Context, request, _ string) error {
			if request != "put" {
				return nil
			}
			if puts.Add(1) == int64(1+n/2) {
				cancel()
				if n%2 == 0 {
					return cut
				}
			}
			return nil
		}
		done, damaged, err := w.fillInto(ctx, bucket)
		cancel()
		if len(damaged) > 0 {
			t.Fatalf("damaged: %v", damaged)
		}
		if err == nil {
			if done.Step != blob.Proving || done.Records != done.Of || done.Of == 0 {
				t.Errorf("%+v", done)
			}
			break
		}
	}
	bucket.Before = nil
	if p, err := blob.FindPlaces(t.Context(), w.index); err != nil || p != (blob.Places{Bucket: true}) {
		t.Fatalf("%+v, %v", p, err)
	}
	if some, err := w.index.Places(t.Context(), "rows/", "", 1); err != nil || len(some) > 0 {
		t.Errorf("%v lie in rows, %v", some, err)
	}
	w.Close()
	if err := os.RemoveAll(w.dir); err != nil {
		t.Fatal(err)
	}
	s, err := blob.OpenBucket(t.Context(), filepath.Join(t.TempDir(), "fetched"), w.keys, w.index, bucket, blob.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for name, data := range want {
		b, found, err := s.Find(t.Context(), name)
		if err != nil || !found {
			t.Fatal(found, err)
		}
		r, err := s.Open(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		r.Close()
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes came back as %d: %v", len(data), len(got), err)
		}
		if err := s.Verify(t.Context(), b); err != nil {
			t.Error(err)
		}
	}
	for _, b := range w.rows() {
		if err := s.Look(t.Context(), b, func(int64) error { return nil }); err != nil {
			t.Error(err)
		}
	}
}

// Of a store with damage nothing is moved, and what is damaged is named.
func TestFillingABucketNamesWhatIsDamaged(t *testing.T) {
	w, want := fillable(t)
	bucket := blobtest.NewBucket(3)
	bad := w.put(randomBytes(5000), blob.PutOptions{})
	w.flipBit(bad, 100)
	before := w.rows()
	done, damaged, err := w.fillInto(t.Context(), bucket)
	if err != nil || done.Damaged != 1 || done.Moved != 0 || len(damaged) != 1 || damaged[0].Name != bad.Name {
		t.Fatalf("%+v, %v, %v", done, damaged, err)
	}
	for i, row := range w.rows() {
		if row.Place != before[i].Place {
			t.Fatalf("%s was moved to %s", row.Name, row.Place)
		}
	}
	for name, data := range want {
		b, _, _ := w.Find(t.Context(), name)
		w.mustRead(b, data)
	}
}

// What is not in the bucket as it was put there is found before anybody removes packs,
// and a bucket that is not the one of before is refused.
func TestFillingABucketIsProven(t *testing.T) {
	w, _ := fillable(t)
	bucket := blobtest.NewBucket(3)
	if _, _, err := w.fillInto(t.Context(), bucket); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.fillInto(t.Context(), blobtest.NewBucket(4)); mail.KindOf(err) != mail.Invalid {
		t.Errorf("another bucket: %v", err)
	}
	for _, name := range bucket.Names() {
		if blob.Alone(name) {
			bucket.Change(name, func(text []byte) []byte { text[len(text)/2] ^= 1; return text })
			break
		}
	}
	done, damaged, err := w.fillInto(t.Context(), bucket)
	if err != nil || done.Step != blob.Proving || done.Damaged != 1 || len(damaged) != 1 {
		t.Errorf("%+v, %v, %v", done, damaged, err)
	}
}
