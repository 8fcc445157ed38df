package blob_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	"lockstep/internal/blob"
	"lockstep/internal/vfs"
)

func BenchmarkPut(b *testing.B) {
	for _, writers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("4KiB/%dwriters", writers), func(b *testing.B) { benchPut(b, writers) })
	}
	b.Run("20MiB", func(b *testing.B) {
		w := newWorld(b, vfs.OS{}, blob.Options{})
		data := randomBytes(20 << 20)
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		for i := uint64(0); b.Loop(); i++ {
			binary.BigEndian.PutUint64(data, i)
			if _, _, err := w.Put(context.Background(), bytes.NewReader(data), blob.PutOptions{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkPart puts and reads a message that is one large attachment, stored
// decoded.
func BenchmarkPart(b *testing.B) {
	w := newWorld(b, vfs.OS{}, blob.Options{})
	data := []byte(asBase64(randomBytes(10<<20), 76, "\r\n", true))
	o := blob.PutOptions{Cuts: []blob.Cut{{Length: int64(len(data)), LineLen: 76, EOL: "\r\n"}}}
	b.Run("put", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := w.Put(context.Background(), bytes.NewReader(data), o); err != nil {
				b.Fatal(err)
			}
		}
	})
	stored := w.put(data, o)
	b.Run("read", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		for b.Loop() {
			if err := w.Verify(context.Background(), stored); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// benchPut lets each of the writers wait for its own puts only.
func benchPut(b *testing.B, writers int) {
	w := newWorld(b, vfs.OS{}, blob.Options{})
	template := textBytes(4096)
	var n atomic.Int64
	var wg sync.WaitGroup
	b.SetBytes(4096)
	b.ReportAllocs()
	b.ResetTimer()
	for range writers {
		wg.Go(func() {
			data := bytes.Clone(template)
			for i := n.Add(1); i <= int64(b.N); i = n.Add(1) {
				binary.BigEndian.PutUint64(data, uint64(i))
				if _, _, err := w.Put(context.Background(), bytes.NewReader(data), blob.PutOptions{HeaderSize: 600}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	s := w.Stats()
	b.ReportMetric(float64(s.Syncs)/float64(s.Puts), "syncs/put")
}

func BenchmarkRead(b *testing.B) {
	for _, size := range []int{4 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			w := newWorld(b, vfs.OS{}, blob.Options{})
			blob := w.put(textBytes(size), blob.PutOptions{HeaderSize: 600})
			buf := make([]byte, 32<<10)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				r, err := w.Open(context.Background(), blob)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, r, buf); err != nil {
					b.Fatal(err)
				}
				r.Close()
			}
		})
	}
}
