package blob_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"lockstep/internal/backup/s3/s3test"
	"lockstep/internal/blob"
	"lockstep/internal/blob/blobtest"
	"lockstep/internal/mail"
	"lockstep/internal/s3"
	"lockstep/internal/steady"
	"lockstep/internal/vfs"
)

var _ blob.Bucket = (*s3.Bucket)(nil)

func openS3(t testing.TB, srv *s3test.Server, endpoint, prefix string) *s3.Bucket {
	t.Helper()
	b, err := s3.Open(t.Context(), s3.Config{
		Bucket: s3test.Bucket, Prefix: prefix, Endpoint: endpoint, Region: s3test.Region, Settings: "cluster.s3",
		AccessKey: s3test.AccessKey, SecretKeyFile: srv.SecretFile, PartSize: 5 << 20, Attempts: 3, MaxPause: 20 * time.Millisecond, Stall: steady.Patience,
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// onS3 is a store on a real server, with an index in memory.
func onS3(t testing.TB, bucket blob.Bucket) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{t: t, fs: vfs.OS{}, dir: dir + "/fetched", index: blobtest.NewIndex()}
	var err error
	if w.keys, _, err = blob.OpenKeyring(w.fs, dir+"/key", dir+"/none"); err != nil {
		t.Fatal(err)
	}
	if w.Store, err = blob.OpenBucket(t.Context(), w.dir, w.keys, w.index, bucket, blob.Options{PackSize: 256 << 10}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// A real server keeps the same promises: small ones packed, large ones in one request,
// very large ones in parts.
func TestAStoreOnARealServer(t *testing.T) {
	srv := s3test.Start(t)
	w := onS3(t, openS3(t, srv, srv.Endpoint(), "mail/example.test"))
	want := map[mail.BlobName][]byte{}
	for _, size := range []int{0, 10, 3000, 100 << 10, 128 << 10, 300 << 10, 4<<20 + 256<<10, 12 << 20} {
		for _, data := range [][]byte{textBytes(size), randomBytes(size)} {
			want[w.put(data, blob.PutOptions{HeaderSize: int64(size) / 10}).Name] = data
		}
	}
	for range 100 {
		data := randomBytes(3000)
		want[w.put(data, blob.PutOptions{}).Name] = data
	}
	if done, err := w.Pack(t.Context()); err != nil || done.Objects == 0 {
		t.Fatalf("%+v, %v", done, err)
	}
	other, err := blob.OpenBucket(t.Context(), t.TempDir(), w.keys, w.index, openS3(t, srv, srv.Endpoint(), "mail/example.test"), blob.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for name, data := range want {
		b, found, err := other.Find(t.Context(), name)
		if err != nil || !found {
			t.Fatal(found, err)
		}
		w.mustRead(b, data)
		if err := other.Verify(t.Context(), b); err != nil {
			t.Error(err)
		}
	}
	if c, err := w.Compact(t.Context()); err != nil || c.Packs != 0 || len(c.Damaged) != 0 {
		t.Errorf("%+v, %v", c, err)
	}
	if r, err := w.Relocate(t.Context()); err != nil || r.Packs != 0 {
		t.Errorf("missing: %+v, %v", r, err)
	}
}

// Through a network that fails, what was acknowledged is whole, and what was not can be
// put again.
func TestAStoreThroughANetworkThatFails(t *testing.T) {
	srv := s3test.Start(t)
	proxy := s3test.NewProxy(t, srv.Address, 5)
	w := onS3(t, openS3(t, srv, proxy.Endpoint(), "mail"))
	rng := rand.New(rand.NewPCG(1, 2))
	want := map[mail.BlobName][]byte{}
	failed := 0
	for i := range 40 { // on a connection of its own each time
		proxy.Harm(0.6, 1<<20, s3test.CutRequest, s3test.CutAnswer, s3test.ResetAnswer, s3test.SlowDown, s3test.Broken)
		data := fmt.Appendf(randomBytes(1000<<rng.IntN(11)), "%d", i)
		b, parts, err := w.Put(t.Context(), bytes.NewReader(data), blob.PutOptions{})
		if err != nil {
			if failed++; mail.KindOf(err) != mail.Unavailable {
				t.Errorf("put: %v", err)
			}
			continue
		}
		if err := w.index.Commit(append(parts, b)...); err != nil {
			t.Fatal(err)
		}
		w.index.Name(b.Name)
		want[b.Name] = data
		if _, err := w.Pack(t.Context()); err != nil && mail.KindOf(err) != mail.Unavailable {
			t.Errorf("pack: %v", err)
		}
		if err := w.Verify(t.Context(), b); err != nil && mail.KindOf(err) != mail.Unavailable {
			t.Errorf("read: %v", err)
		}
	}
	proxy.Harm(0, 1)
	if w.Damaged() != 0 {
		t.Errorf("%d count as damaged", w.Damaged())
	}
	for name, data := range want {
		b, _, err := w.Find(context.Background(), name)
		if err != nil {
			t.Fatal(err)
		}
		w.mustRead(b, data)
	}
	t.Logf("%d were put, %d were not: %v", len(want), failed, proxy.Harmed())
}

func TestLargePutsToARealServerStream(t *testing.T) {
	srv := s3test.Start(t)
	w := onS3(t, openS3(t, srv, srv.Endpoint(), "mail"))
	w.streams(t, 64<<20)
}
