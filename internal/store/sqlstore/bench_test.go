package sqlstore

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// BenchmarkAppend is durable deliveries, one message a transaction.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			h := newHome(b, Options{})
			var next atomic.Int64
			before := h.Stats()
			b.ResetTimer()
			var all sync.WaitGroup
			for range writers {
				all.Go(func() {
					for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
						_, err := h.Update(context.Background(), h.id, by, func(tx store.Tx) error {
							_, err := tx.Append(h.inbox, arrival(int(n)))
							return err
						})
						if err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			s := h.Stats()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "deliveries/s")
			b.ReportMetric(float64(s.Commits-before.Commits)/float64(b.N), "commits/op")
			b.ReportMetric(float64(s.Statements-before.Statements)/float64(b.N), "statements/op")
		})
	}
}

// BenchmarkAppendWork is the work of a delivery without the commit.
func BenchmarkAppendWork(b *testing.B) {
	h := newHome(b, Options{})
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		h.update(func(tx store.Tx) error {
			for range 100 {
				n++
				if _, err := tx.Append(h.inbox, arrival(n)); err != nil {
					return err
				}
				if err := tx.(interface{ settleAll() error }).settleAll(); err != nil {
					return err
				}
			}
			return nil
		})
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(n), "µs/message")
}

func BenchmarkPlacements(b *testing.B) {
	h := newHome(b, Options{})
	h.fill(100_000)
	b.Run("100k", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			n := 0
			h.view(func(r store.Reader) error {
				return r.Placements(store.PlacementQuery{Mailbox: h.inbox}, func(*mail.Placement) error { n++; return nil })
			})
			if n != 100_000 {
				b.Fatal(n)
			}
		}
	})
	b.Run("messages/10k", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			h.view(func(r store.Reader) error {
				return r.Messages(store.PlacementQuery{Mailbox: h.inbox, Limit: 10_000}, func(*mail.Placement, *mail.Message) error { return nil })
			})
		}
	})
	b.Run("store/one", func(b *testing.B) {
		seen, _ := mail.NewFlags(`\Seen`)
		for b.Loop() {
			h.update(func(tx store.Tx) error {
				_, err := tx.StoreFlags(h.inbox, mail.MakeUIDSet(500), mail.FlagChange{Add: seen}, nil)
				return err
			})
			seen, _ = mail.NewFlags(fmt.Sprint("k", b.N))
		}
	})
	b.Run("store/100k", func(b *testing.B) {
		add := true
		seen, _ := mail.NewFlags(`\Flagged`)
		for b.Loop() {
			h.update(func(tx store.Tx) error {
				c := mail.FlagChange{Add: seen}
				if !add {
					c = mail.FlagChange{Remove: seen}
				}
				_, err := tx.StoreFlags(h.inbox, mail.AllUIDs, c, nil)
				return err
			})
			add = !add
		}
	})
}

// processorTime is what this process has used, in microseconds: on a busy machine
// it is what tells.
func processorTime(b *testing.B) float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e3
}

// BenchmarkStore is STORE of one message after another in 16 accounts at once, and
// after each what the mailbox's index reads of it.
func BenchmarkStore(b *testing.B) {
	h := newHome(b, Options{})
	h.fill(1000)
	homes := []home{h}
	for i := range 15 {
		p, err := h.CreateAccount(context.Background(), by, store.NewAccount{Login: fmt.Sprintf("user%d@example.test", i)})
		if err != nil {
			b.Fatal(err)
		}
		other := home{h.DB, b, p.Account, h.inbox}
		other.fill(1000)
		homes = append(homes, other)
	}
	keyword, _ := mail.NewFlags("stored")
	changes := []mail.FlagChange{{Add: keyword}, {Remove: keyword}}
	var next atomic.Int64
	before, cpu := h.Stats(), processorTime(b)
	b.ReportAllocs()
	b.ResetTimer()
	var all sync.WaitGroup
	for _, h := range homes {
		all.Go(func() {
			for i := 0; next.Add(1) <= int64(b.N); i++ {
				n := h.update(func(tx store.Tx) error {
					_, err := tx.StoreFlags(h.inbox, mail.MakeUIDSet(mail.UID(i%1000+1)), changes[i/1000%2], nil)
					return err
				})
				h.view(func(r store.Reader) error { return refresh(r, h.inbox, n-1) })
			}
		})
	}
	all.Wait()
	s := h.Stats()
	b.ReportMetric((processorTime(b)-cpu)/float64(b.N), "cpu-µs/op")
	b.ReportMetric(float64(s.Statements-before.Statements)/float64(b.N), "statements/op")
	b.ReportMetric(float64(s.Commits-before.Commits)/float64(b.N), "commits/op")
}

// refresh asks as an index of the mailbox does.
func refresh(r store.Reader, mb mail.MailboxID, since mail.ModSeq) error {
	if _, err := r.Account(); err != nil {
		return err
	}
	if _, err := r.Mailbox(mb); err != nil {
		return err
	}
	if _, err := r.Vanished(mb, since); err != nil {
		return err
	}
	return r.Placements(store.PlacementQuery{Mailbox: mb, ChangedSince: since}, func(*mail.Placement) error { return nil })
}
