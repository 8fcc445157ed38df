package sqlstore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

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
	b.Run("shown/10k", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			h.view(func(r store.Reader) error {
				return r.Messages(store.PlacementQuery{Mailbox: h.inbox, Limit: 10_000, Shown: true}, func(*mail.Placement, *mail.Message) error { return nil })
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
	const messages = 1000
	h := newHome(b, Options{LogPages: 1 << 30})
	homes := h.neighbours(15, messages)
	keyword, _ := mail.NewFlags("stored")
	changes := []mail.FlagChange{{Add: keyword}, {Remove: keyword}}
	var next atomic.Int64
	m := h.measure(b)
	var all sync.WaitGroup
	for _, h := range homes {
		all.Go(func() {
			for i := 0; next.Add(1) <= int64(b.N); i++ {
				n := h.update(func(tx store.Tx) error {
					_, err := tx.StoreFlags(h.inbox, mail.MakeUIDSet(mail.UID(i%messages+1)), changes[i/messages%2], nil)
					return err
				})
				h.view(func(r store.Reader) error { return refresh(r, h.inbox, n-1) })
			}
		})
	}
	all.Wait()
	m.report()
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

// letter is the n-th message as a delivery hands it over: with what is derived
// from one of 4 KiB, and known by what it is for an hour.
func letter(n int) mail.Arrival {
	a := arrival(n)
	sum := sha256.Sum256(fmt.Append(nil, n))
	key := bytes.Repeat(sum[:], 3)
	a.Blob = mail.Blob{Name: mail.BlobName(sum), Size: 4096, Place: fmt.Sprintf("0123456789abcdef:%d:2600", n*2600), Key: key[:76], Fresh: true}
	a.MessageID = fmt.Sprintf("%x@elsewhere.example", sum[:12])
	a.SentAt = a.InternalDate
	a.Parsed = bytes.Repeat([]byte("parsed "), 86)
	a.Preview = strings.Repeat("preview ", 32)
	a.Once, a.OnceFor = fmt.Sprintf("delivery:%x", sum[:16]), time.Hour
	if n%3 == 0 {
		a.References = []string{fmt.Sprintf("%x@bench.test", sum[12:20])}
	}
	return a
}

// neighbours makes n accounts more, with as many messages each.
func (h home) neighbours(n, messages int) []home {
	homes := []home{h}
	for i := range n {
		p, err := h.CreateAccount(context.Background(), by, store.NewAccount{Login: fmt.Sprintf("user%d@example.test", i)})
		if err != nil {
			h.t.Fatal(err)
		}
		homes = append(homes, home{h.DB, h.t, p.Account, h.inbox})
	}
	for i, h := range homes {
		h.update(func(tx store.Tx) error {
			for j := range messages {
				if _, err := tx.Append(h.inbox, letter(i*messages+j)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return homes
}

// BenchmarkDeliver is deliveries to 64 accounts at once, and what each costs: the
// writer's own time, statements, pages that go to the log.
func BenchmarkDeliver(b *testing.B) {
	const accounts, before = 64, 500
	h := newHome(b, Options{LogPages: 1 << 30})
	homes := h.neighbours(accounts-1, before)
	var next atomic.Int64
	next.Store(accounts * before)
	end := next.Load() + int64(b.N)
	m := h.measure(b)
	var all sync.WaitGroup
	for _, h := range homes {
		all.Go(func() {
			for n := next.Add(1); n <= end; n = next.Add(1) {
				a := letter(int(n))
				h.update(func(tx store.Tx) error {
					_, err := tx.Append(h.inbox, a)
					return err
				})
			}
		})
	}
	all.Wait()
	m.report()
}

// BenchmarkSeveralWriters is deliveries to 64 accounts, and flags in 16, that lie in
// several databases, each with a writer of its own: what that would bring.
func BenchmarkSeveralWriters(b *testing.B) {
	for _, databases := range []int{1, 2, 4} {
		deliver := func(h home, n, i int) {
			a := letter(1_000_000 + n)
			h.update(func(tx store.Tx) error { _, err := tx.Append(h.inbox, a); return err })
		}
		keyword, _ := mail.NewFlags("stored")
		flag := func(h home, n, i int) {
			change := []mail.FlagChange{{Add: keyword}, {Remove: keyword}}[i/500%2]
			h.update(func(tx store.Tx) error {
				_, err := tx.StoreFlags(h.inbox, mail.MakeUIDSet(mail.UID(i%500+1)), change, nil)
				return err
			})
		}
		for name, what := range map[string]struct {
			accounts int
			do       func(h home, n, i int)
		}{"deliver": {64, deliver}, "flag": {16, flag}} {
			b.Run(fmt.Sprintf("%s/%d", name, databases), func(b *testing.B) {
				var homes []home
				for range databases {
					homes = append(homes, newHome(b, Options{}).neighbours(what.accounts/databases-1, 500)...)
				}
				var next atomic.Int64
				b.ResetTimer()
				cpu := processorTime(b)
				var all sync.WaitGroup
				for _, h := range homes {
					all.Go(func() {
						for i := 0; ; i++ {
							n := next.Add(1)
							if n > int64(b.N) {
								return
							}
							what.do(h, int(n), i)
						}
					})
				}
				all.Wait()
				b.ReportMetric((processorTime(b)-cpu)/float64(b.N), "cpu-µs/op")
			})
		}
	}
}

// measured counts from where a benchmark begins.
type measured struct {
	b     *testing.B
	db    *DB
	stats Stats
	cpu   float64
	pages int
}

func (h home) measure(b *testing.B) measured {
	b.ReportAllocs()
	b.ResetTimer()
	return measured{b, h.DB, h.Stats(), processorTime(b), h.logPages()}
}

func (m measured) report() {
	m.b.StopTimer()
	s, n := m.db.Stats(), float64(m.b.N)
	m.b.ReportMetric((processorTime(m.b)-m.cpu)/n, "cpu-µs/op")
	m.b.ReportMetric(float64(s.Statements-m.stats.Statements)/n, "statements/op")
	m.b.ReportMetric(float64(s.Commits-m.stats.Commits)/n, "commits/op")
	m.b.ReportMetric(float64(m.db.logPages()-m.pages)/n, "pages/op")
	m.b.ReportMetric(float64((s.CommitTime-m.stats.CommitTime).Microseconds())/n, "commit-µs/op")
}
