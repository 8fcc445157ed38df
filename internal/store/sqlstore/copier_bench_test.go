package sqlstore

import (
	"context"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

func benchmarkHome(b *testing.B) home {
	h := newHome(b, Options{})
	h.fill(100_000)
	h.writeBack()
	return h
}

func BenchmarkDigest100k(b *testing.B) {
	h := benchmarkHome(b)
	for b.Loop() {
		err := h.read(b.Context(), func(c conn) error {
			d, err := digestAccount(c, store.Digest{Account: h.id})
			if d.Placements != 100_000 {
				b.Fatal(d.Placements)
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// The whole database, and what a change leaves to copy.
func BenchmarkSettle100k(b *testing.B) {
	h := benchmarkHome(b)
	none := func(uint32, []byte) error { return nil }
	b.Run("all", func(b *testing.B) {
		for b.Loop() {
			c := h.copier(b)
			if _, err := c.Settle(b.Context(), false, none); err != nil {
				b.Fatal(err)
			}
			c.Close()
		}
		b.ReportMetric(float64(h.CopyStats().Paused)/float64(h.CopyStats().Snapshots), "ns-paused/snapshot")
	})
	b.Run("change", func(b *testing.B) {
		c := h.copier(b)
		if _, err := c.Settle(b.Context(), false, none); err != nil {
			b.Fatal(err)
		}
		c.Kept()
		for i := 0; b.Loop(); i++ {
			h.flag(mail.UID(1+i%100_000), i)
			if _, err := c.Settle(b.Context(), false, none); err != nil {
				b.Fatal(err)
			}
			c.Kept()
		}
	})
}

// flag changes one message.
func (h home) flag(uid mail.UID, i int) {
	change := mail.FlagChange{Add: mail.StoredFlags(mail.Seen, "")}
	if i%2 == 1 {
		change = mail.FlagChange{Remove: mail.StoredFlags(mail.Seen, "")}
	}
	h.update(func(tx store.Tx) error {
		_, err := tx.StoreFlags(h.inbox, mail.MakeUIDSet(uid), change, nil)
		return err
	})
}

// Commits beside somebody who follows, and alone.
func BenchmarkCommit(b *testing.B) {
	for _, followed := range []bool{false, true} {
		name := map[bool]string{false: "alone", true: "followed"}[followed]
		b.Run(name, func(b *testing.B) {
			h := newHome(b, Options{})
			h.fill(1000)
			ctx, stop := context.WithCancel(context.Background())
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				if !followed {
					return
				}
				c := h.copier(b)
				for ctx.Err() == nil {
					if _, err := c.Settle(context.Background(), false, func(uint32, []byte) error { return nil }); err != nil {
						b.Error(err)
					}
					c.Kept()
					select {
					case <-ctx.Done():
					case <-time.After(time.Second):
					}
				}
			}()
			for i := 0; b.Loop(); i++ {
				h.flag(mail.UID(1+i%1000), i/1000)
			}
			stop()
			<-ended
		})
	}
}
