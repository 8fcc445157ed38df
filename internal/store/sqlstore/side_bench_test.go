package sqlstore

import (
	"context"
	"maps"
	"path/filepath"
	"runtime"
	"testing"

	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore/pgtest"
)

// BenchmarkCarry brings an account of 100 000 messages to PostgreSQL, proves it, brings
// over what changed, and goes back.
func BenchmarkCarry(b *testing.B) {
	const messages = 100_000
	h := newHome(b, Options{})
	h.fill(messages)
	ctx := context.Background()
	from, err := OpenSource(ctx, h.path, Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer from.Close()
	to, err := OpenTarget(ctx, pgtest.Database(b), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer to.Close()
	back, err := OpenTarget(ctx, filepath.Join(b.TempDir(), "back.db"), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer back.Close()
	carry := func(name string, from, to *Side) {
		b.Run(name, func(b *testing.B) {
			if err := Pair(from, to); err != nil {
				b.Fatal(err)
			}
			k, err := NewCarrier(from, to)
			if err != nil {
				b.Fatal(err)
			}
			defer k.Close()
			var done Carried
			for b.Loop() {
				did, err := k.Account(ctx, h.id, false)
				if err != nil {
					b.Fatal(err)
				}
				done.add(did)
			}
			b.ReportMetric(float64(done.Written)/b.Elapsed().Seconds(), "rows/s")
			b.ReportMetric(float64(done.Bytes)/1e6/b.Elapsed().Seconds(), "MB/s")
			b.ReportMetric(float64(done.Written)/float64(b.N), "rows/op")
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			b.ReportMetric(float64(m.HeapSys)/1e6, "heap-MB")
		})
	}
	carry("to-postgres", from, to)
	b.Run("prove", func(b *testing.B) {
		for b.Loop() {
			p, err := from.ProveAccount(ctx, h.id)
			if err != nil {
				b.Fatal(err)
			}
			q, err := to.ProveAccount(ctx, h.id)
			if err != nil || !maps.Equal(p, q) {
				b.Fatal("not the same", err)
			}
		}
	})
	h.update(func(tx store.Tx) error {
		for n := range 100 {
			if _, err := tx.Append(h.inbox, arrival(messages+n)); err != nil {
				return err
			}
		}
		return nil
	})
	carry("100-more-to-postgres", from, to)
	carry("to-sqlite", to, back)
}
