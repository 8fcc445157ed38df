package s3_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"testing"
	"time"

	"lockstep/internal/backup/s3/s3test"
	"lockstep/internal/mail"
	"lockstep/internal/s3"
	"lockstep/internal/steady"
)

// partSize is the least that S3 takes for a part that is not the last.
const partSize = 5 << 20

func open(t testing.TB, srv *s3test.Server, endpoint string) *s3.Bucket {
	t.Helper()
	b, err := s3.Open(t.Context(), s3.Config{
		Bucket: s3test.Bucket, Prefix: "mail", Endpoint: endpoint, Region: s3test.Region, Settings: "cluster.s3",
		AccessKey: s3test.AccessKey, SecretKeyFile: srv.SecretFile,
		PartSize: partSize, Attempts: 4, MaxPause: 20 * time.Millisecond, Stall: steady.Patience,
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func noise(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func get(ctx context.Context, b *s3.Bucket, name string) ([]byte, error) {
	r, err := b.Get(ctx, name, 0, -1)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// Whoever comes second learns it, but for who comes with the same: that may be one whose
// first answer was lost.
func TestCreatedOnce(t *testing.T) {
	srv := s3test.Start(t)
	b := open(t, srv, srv.Endpoint())
	for _, size := range []int{0, 1000, 2*partSize + 7} {
		first, second := noise(size+1), noise(size+1)
		create := func(text []byte) error {
			return b.Create(t.Context(), "a", bytes.NewReader(text), int64(len(text)))
		}
		if err := create(first); err != nil {
			t.Fatal(err)
		}
		if err := create(first); err != nil {
			t.Errorf("%d bytes once more: %v", size, err)
		}
		if err := create(second); mail.KindOf(err) != mail.Conflict {
			t.Errorf("%d other bytes: %v", size, err)
		}
		if got, err := get(t.Context(), b, "a"); err != nil || !bytes.Equal(got, first) {
			t.Errorf("%d bytes are %d others, %v", size, len(got), err)
		}
		if err := b.Delete(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		if _, err := get(t.Context(), b, "a"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("what was removed: %v", err)
		}
	}
}

// Through a network that fails an object is there whole or not at all, and who made it
// is not told that somebody else did.
func TestCreatingThroughANetworkThatFails(t *testing.T) {
	srv := s3test.Start(t)
	proxy := s3test.NewProxy(t, srv.Address, 3)
	direct := open(t, srv, srv.Endpoint())
	b := open(t, srv, proxy.Endpoint())
	proxy.Harm(0.8, 1<<20, s3test.CutRequest, s3test.CutAnswer, s3test.ResetAnswer, s3test.SlowDown, s3test.Broken)
	done := 0
	for i := range 20 {
		text := noise(1000 << (i % 10))
		name := "o" + string(rune('a'+i))
		err := b.Create(t.Context(), name, bytes.NewReader(text), int64(len(text)))
		got, there := get(t.Context(), direct, name)
		switch {
		case err == nil:
			done++
			if there != nil || !bytes.Equal(got, text) {
				t.Errorf("%s was acknowledged: %v", name, there)
			}
		case mail.KindOf(err) != mail.Unavailable:
			t.Errorf("%s: %v", name, err)
		case there == nil && !bytes.Equal(got, text):
			t.Errorf("%s is not whole", name)
		}
	}
	if done == 0 {
		t.Error("nothing came through")
	}
}
