package eas

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore"
)

// barn is a store with one large mailbox.
type barn struct {
	*sqlstore.DB
	tb      testing.TB
	account mail.AccountID
	inbox   mail.MailboxID
	view    view
	rows    int // that were asked for and read
}

// counting counts what is read.
type counting struct {
	store.Reader
	n *int
}

// ByDate implements store.Reader.
func (c *counting) ByDate(q store.DateQuery) ([]mail.Dated, error) {
	page, err := c.Reader.ByDate(q)
	*c.n += 1 + len(page)
	return page, err
}

// Versions implements store.Reader.
func (c *counting) Versions(q store.VersionQuery) ([]mail.Version, error) {
	all, err := c.Reader.Versions(q)
	*c.n += 1 + len(all)
	return all, err
}

// Changes implements store.Reader.
func (c *counting) Changes(q store.ChangeQuery) (mail.ChangePage, error) {
	page, err := c.Reader.Changes(q)
	*c.n += 1 + len(page.Changes)
	return page, err
}

// Messages implements store.Reader.
func (c *counting) Messages(q store.PlacementQuery, fn func(*mail.Placement, *mail.Message) error) error {
	*c.n++
	return c.Reader.Messages(q, func(p *mail.Placement, m *mail.Message) error { *c.n++; return fn(p, m) })
}

// Vanished implements store.Reader.
func (c *counting) Vanished(mb mail.MailboxID, since mail.ModSeq) (mail.UIDSet, error) {
	set, err := c.Reader.Vanished(mb, since)
	*c.n += 1 + int(set.Count())
	return set, err
}

var barnBy = mail.NewOrigin("test", 0, mail.Local, mail.BySetup)

// newBarn makes a mailbox of n messages, one a minute, and a device that begins there.
func newBarn(tb testing.TB, n int) *barn {
	b := &barn{DB: sqlstore.OpenTemp(tb), tb: tb}
	p, err := b.CreateAccount(context.Background(), barnBy, store.NewAccount{Login: "alice@example.test"})
	if err != nil {
		tb.Fatal(err)
	}
	b.account = p.Account
	b.read(func(r store.Reader) error {
		mb, err := r.MailboxByPath("INBOX")
		b.inbox = mb.ID
		return err
	})
	b.fill(0, n)
	b.read(func(r store.Reader) error {
		a, err := r.Account()
		b.view = firstView(a, 0)
		return err
	})
	return b
}

func (b *barn) fill(from, to int) {
	b.tb.Helper()
	for at := from; at < to; at += 1000 {
		_, err := b.Update(context.Background(), b.account, barnBy, func(tx store.Tx) error {
			for i := at; i < min(at+1000, to); i++ {
				_, err := tx.Append(b.inbox, mail.Arrival{
					Blob:         mail.Blob{Name: mail.BlobName{1, byte(i >> 16), byte(i >> 8), byte(i)}, Size: 4096, Place: fmt.Sprint("pack/", i), Key: []byte{1}, Fresh: true, Until: time.Now().Add(time.Hour)},
					InternalDate: time.Unix(1_700_000_000+int64(i)*60, 0), MessageID: fmt.Sprintf("%d@example.test", i), Parsed: []byte("parsed"), Preview: "preview",
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.tb.Fatal(err)
		}
	}
}

func (b *barn) read(fn func(store.Reader) error) {
	b.tb.Helper()
	if err := b.View(context.Background(), b.account, fn); err != nil {
		b.tb.Fatal(err)
	}
}

// window is one window for the device, with all that is read to render it.
func (b *barn) window(size int) (steps int, more bool) {
	b.tb.Helper()
	q := &request{srv: &Server{}}
	b.read(func(r store.Reader) error {
		r = &counting{r, &b.rows}
		p, m, err := plan(r, b.inbox, b.view, 0, size)
		if err != nil {
			return err
		}
		t := &telling{steps: p.steps}
		x := &exchange{request: q, mailbox: mail.Mailbox{ID: b.inbox}}
		b.view, steps, more = p.view, p.count(), m
		return x.gather(r, t)
	})
	return steps, more
}

// A window costs what it tells, in a small folder and a large one, at its beginning
// and far back, and when something happens later.
func TestAWindowCostsWhatItTells(t *testing.T) {
	const size = 50
	var costs [][]int
	for _, n := range []int{1_000, 20_000} {
		b := newBarn(t, n)
		cost := func(fn func()) int {
			before := b.rows
			fn()
			return b.rows - before
		}
		next := func() {
			if steps, _ := b.window(size); steps != size {
				t.Fatalf("a window of %d entries", steps)
			}
		}
		all := []int{cost(next), cost(next)}
		for range n/size - 4 {
			next()
		}
		all = append(all, cost(next))
		b.fill(n, n+1)
		all = append(all, cost(func() {
			if steps, _ := b.window(size); steps != size {
				t.Fatalf("with a new message %d entries", steps)
			}
		}))
		for more := true; more; {
			_, more = b.window(size)
		}
		b.fill(n+1, n+2)
		all = append(all, cost(func() {
			if steps, more := b.window(size); steps != 1 || more {
				t.Fatalf("one new message is %d entries, more %v", steps, more)
			}
		}), cost(func() {
			b.read(func(r store.Reader) error { _, err := isNew(&counting{r, &b.rows}, b.inbox, b.view, 0); return err })
		}))
		costs = append(costs, all)
	}
	for i := range costs[0] {
		if small, large := costs[0][i], costs[1][i]; large > small+2 || large > 4*size || large == 0 && i < 5 { // the last finds out that there is nothing
			t.Errorf("cost %d: %d rows of 1 000 messages, %d of 20 000", i, small, large)
		}
	}
}

// A state stays small however large the folder is.
func TestTheStateOfALargeFolderIsSmall(t *testing.T) {
	b := newBarn(t, 5_000)
	state := &collectionState{Version: collectionVersion}
	rel := state.begin(b.view)
	for range 20 {
		var next generation
		b.window(100)
		next.View = b.view
		rel.advance(rel.Current, next, 0)
	}
	raw, err := encodeCollection(state)
	if err != nil || len(raw) > 2000 {
		t.Errorf("%d bytes, %v", len(raw), err)
	}
}

func BenchmarkInitialSync(b *testing.B) {
	const n = 100_000
	barn := newBarn(b, n)
	first := barn.view
	for _, size := range []int{25, 100, 512} {
		b.Run(fmt.Sprintf("100k/window=%d", size), func(b *testing.B) {
			b.ReportAllocs()
			windows, most := 0, uint64(0)
			barn.view = first
			for b.Loop() {
				_, more := barn.window(size)
				if windows++; !more {
					barn.view = first
				}
				if windows%200 == 0 {
					var m runtime.MemStats
					runtime.ReadMemStats(&m)
					most = max(most, m.HeapInuse)
				}
			}
			b.ReportMetric(float64(most)/(1<<20), "MiB-heap")
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(windows*size), "µs/message")
		})
	}
}
