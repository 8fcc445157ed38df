package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/notify"
	"lockstep/internal/store"
	"lockstep/internal/store/model"
)

var quiet = slog.New(slog.DiscardHandler)

// mortal is a store as one node sees it: once the node is dead, nothing of what it
// does gets there.
type mortal struct {
	*model.Store
	dead atomic.Bool
}

var errDead = errors.New("this node is dead")

func (m *mortal) Take(ctx context.Context, name, holder string, life time.Duration) (store.Lease, error) {
	if m.dead.Load() {
		return store.Lease{}, errDead
	}
	return m.Store.Take(ctx, name, holder, life)
}

func (m *mortal) Yield(ctx context.Context, l store.Lease) error {
	if m.dead.Load() {
		return errDead
	}
	return m.Store.Yield(ctx, l)
}

func (m *mortal) Announce(ctx context.Context, n store.Node) error {
	if m.dead.Load() {
		return errDead
	}
	return m.Store.Announce(ctx, n)
}

func (m *mortal) Leave(ctx context.Context, id string) error {
	if m.dead.Load() {
		return errDead
	}
	return m.Store.Leave(ctx, id)
}

// words is a bus in memory, on which a word comes before the next thing happens.
type words struct {
	mu  sync.Mutex
	fns []func(string, []byte)
}

func (w *words) Send(topic string, body []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, fn := range w.fns {
		fn(topic, body)
	}
}

func (w *words) Receive(_ string, fn func(string, []byte)) (func(), error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fns = append(w.fns, fn)
	return func() {}, nil
}

func (w *words) OnGap(func()) func()    { return func() {} }
func (w *words) Close() error           { return nil }
func (w *words) Stats() notify.BusStats { return notify.BusStats{} }

// member is a node of a test with its keeper.
type member struct {
	*Node
	*Keeper
	store *mortal
	stop  context.CancelFunc
	done  sync.WaitGroup
	ctx   context.Context
}

// join starts a node.
func join(t *testing.T, st *model.Store, bus *words, name string) *member {
	t.Helper()
	m := &member{store: &mortal{Store: st}}
	m.Node = New(m.store, About{Name: name, Version: "1", Schema: 29}, nil, quiet)
	m.Keeper = &Keeper{Node: m.Node, Leases: m.store, Log: quiet}
	if bus != nil {
		m.Keeper.Bus = bus
	}
	if _, err := m.Listen(); err != nil {
		t.Fatal(err)
	}
	m.ctx, m.stop = context.WithCancel(t.Context())
	if err := m.Begin(m.ctx); err != nil {
		t.Fatal(err)
	}
	m.done.Go(func() { m.Node.Run(m.ctx) })
	t.Cleanup(func() { m.end() })
	return m
}

// end stops the node cleanly.
func (m *member) end() {
	m.stop()
	m.done.Wait()
}

// die stops it so that nobody hears of it.
func (m *member) die() {
	m.store.dead.Store(true)
	m.stop()
}

// deed is something that one node may do at a time.
type deed struct {
	mu    sync.Mutex
	doing string // who does it; "" is nobody
	order []string
	twice bool
}

// keep has a node do it for as long as it may.
func (d *deed) keep(m *member, name string) {
	m.done.Go(func() {
		m.Keep(m.ctx, name, func(ctx context.Context) error {
			d.mu.Lock()
			d.twice = d.twice || d.doing != ""
			d.doing = m.self.Name
			d.order = append(d.order, m.self.Name)
			d.mu.Unlock()
			<-ctx.Done()
			d.mu.Lock()
			d.doing = ""
			d.mu.Unlock()
			return nil
		})
	})
}

func (d *deed) by() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.doing
}

func TestOneNodeDoesItAndAnotherGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, bus := model.New(), &words{}
		var d deed
		all := map[string]*member{}
		for _, name := range []string{"a", "b", "c"} {
			all[name] = join(t, st, bus, name)
			d.keep(all[name], "prune")
		}
		time.Sleep(time.Minute)
		first := d.by()
		if first == "" || len(d.order) != 1 {
			t.Fatalf("done by %q, so far %q", first, d.order)
		}
		all[first].end() // cleanly: another goes on at once
		synctest.Wait()
		second := d.by()
		if second == "" || second == first {
			t.Fatalf("after %s stopped it is done by %q", first, second)
		}
		all[second].die()
		delete(all, first)
		delete(all, second)
		time.Sleep(DefaultLife + DefaultLife/2)
		third := d.by()
		if all[third] == nil {
			t.Fatalf("after %s died it is done by %q", second, third)
		}
		if d.twice {
			t.Error("it was done twice at the same time")
		}
		if left := len(all[third].Peers()); left != 1 {
			t.Errorf("%d nodes are seen, want 1", left)
		}
	})
}

// A node that can't reach the store ends what it does before another can begin.
func TestWhoIsCutOffStopsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := model.New()
		var d deed
		a, b := join(t, st, nil, "a"), join(t, st, nil, "b")
		d.keep(a, "prune")
		time.Sleep(time.Minute)
		d.keep(b, "prune")
		a.store.dead.Store(true)
		for range 60 {
			time.Sleep(time.Second)
			synctest.Wait()
		}
		if by := d.by(); by != "b" || d.twice {
			t.Errorf("done by %q, twice %v", by, d.twice)
		}
		a.store.dead.Store(false)
		time.Sleep(time.Minute)
		if by := d.by(); by != "b" || d.twice {
			t.Errorf("after it is back: done by %q, twice %v", by, d.twice)
		}
	})
}

// A node that stands still for longer than its lease lives wakes in the middle of what
// it did, and writes nothing more.
func TestASleeperWritesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := model.New()
		a, b := join(t, st, nil, "a"), join(t, st, nil, "b")
		asleep, woke := make(chan struct{}), make(chan struct{})
		var err error
		a.done.Go(func() {
			a.Alone(a.ctx, "prune", func(ctx context.Context) error {
				ctx = context.WithoutCancel(ctx) // it does not see the clock, nor that it was told to end
				if err := st.PutFile(ctx, store.File{Name: "by", Data: []byte("a")}); err != nil {
					t.Error(err)
				}
				a.store.dead.Store(true)
				close(asleep)
				<-woke
				err = st.PutFile(ctx, store.File{Name: "by", Data: []byte("a again")})
				return nil
			})
		})
		<-asleep
		time.Sleep(2 * DefaultLife)
		if err := b.Alone(b.ctx, "prune", func(ctx context.Context) error {
			return st.PutFile(ctx, store.File{Name: "by", Data: []byte("b")})
		}); err != nil {
			t.Fatal(err)
		}
		close(woke)
		synctest.Wait()
		f, _ := st.FileNamed(t.Context(), "by")
		if mail.KindOf(err) != mail.Expired || err == nil || string(f.Data) != "b" {
			t.Errorf("the sleeper got %v, and the file is %q's", err, f.Data)
		}
	})
}

func TestAloneIsRefusedWhileAnotherDoesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := model.New()
		a, b := join(t, st, nil, "a"), join(t, st, nil, "b")
		begun, end := make(chan struct{}), make(chan struct{})
		a.done.Go(func() {
			if err := a.Alone(a.ctx, "backup", func(context.Context) error { close(begun); <-end; return nil }); err != nil {
				t.Error(err)
			}
		})
		<-begun
		time.Sleep(2*DefaultLife + BeatEvery) // it is renewed
		nothing := func(context.Context) error { t.Error("done twice"); return nil }
		if err := b.Alone(b.ctx, "backup", nothing); mail.KindOf(err) != mail.Conflict || mail.DetailOf(err) != "node a is doing this: wait until it has ended" {
			t.Errorf("at another node: %v", err)
		}
		if err := a.Alone(a.ctx, "backup", nothing); mail.KindOf(err) != mail.Conflict {
			t.Errorf("at the same node: %v", err)
		}
		close(end)
		synctest.Wait()
		failed := errors.New("failed")
		if err := b.Alone(b.ctx, "backup", func(context.Context) error { return failed }); !errors.Is(err, failed) {
			t.Errorf("afterwards: %v", err)
		}
		if left, _ := st.AllLeases(t.Context()); len(left) != 0 {
			t.Errorf("leases left: %v", left)
		}
	})
}

// What nodes that begin together do is spread over them, and one that drains takes on
// nothing.
func TestWhatIsDoneIsSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := model.New()
		all := []*member{join(t, st, nil, "a"), join(t, st, nil, "b"), join(t, st, nil, "c")}
		last := join(t, st, nil, "d")
		last.Drain()
		time.Sleep(2 * BeatEvery) // all have seen all
		var deeds [30]deed
		for i := range deeds {
			for _, m := range append(all, last) {
				deeds[i].keep(m, fmt.Sprint("job", i))
			}
		}
		time.Sleep(time.Minute)
		count := map[string]int{}
		for i := range deeds {
			count[deeds[i].by()]++
		}
		if count[""] > 0 || count["d"] > 0 || count["a"] < 3 || count["b"] < 3 || count["c"] < 3 {
			t.Errorf("spread as %v", count)
		}
	})
}

// A server that is alone asks nobody.
func TestWhoIsAloneNeedsNoLease(t *testing.T) {
	n := New(nil, About{Name: "one"}, nil, quiet)
	k := &Keeper{Node: n, Log: quiet}
	if err := errors.Join(n.Begin(t.Context()), n.Run(t.Context())); err != nil || !n.IsAlone() {
		t.Error(err)
	}
	done := 0
	do := func(ctx context.Context) error {
		if store.UnderLease(ctx) == nil {
			done++
		}
		return nil
	}
	if err := errors.Join(k.Keep(t.Context(), "x", do), k.Alone(t.Context(), "x", do)); err != nil || done != 2 {
		t.Errorf("done %d times, %v", done, err)
	}
}

// The store's clock is everybody's.
func TestNowIsTheStoresTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := model.New()
		st.Now = func() time.Time { return time.Now().Add(-time.Hour) }
		m := join(t, st, nil, "a")
		if d := m.Now().Sub(st.Now()).Abs(); d > time.Millisecond {
			t.Errorf("%v apart", d)
		}
	})
}

// A node that joins late gets its share, one thing after the other, and nothing is done
// twice meanwhile; then everything stays where it is.
func TestWhoJoinsLateGetsItsShare(t *testing.T) {
	for _, bus := range []*words{{}, nil} {
		synctest.Test(t, func(t *testing.T) {
			st := model.New()
			all := []*member{join(t, st, bus, "a"), join(t, st, bus, "b")}
			time.Sleep(2 * BeatEvery)
			var deeds [12]deed
			for i := range deeds {
				for _, m := range all {
					deeds[i].keep(m, fmt.Sprint("job", i))
				}
			}
			for _, m := range all {
				m.done.Go(func() { m.Keeper.Run(m.ctx) })
			}
			time.Sleep(time.Minute)
			late := join(t, st, bus, "c")
			for i := range deeds {
				deeds[i].keep(late, fmt.Sprint("job", i))
			}
			late.done.Go(func() { late.Keeper.Run(late.ctx) })
			count := func() map[string]int {
				synctest.Wait()
				n := map[string]int{}
				for i := range deeds {
					n[deeds[i].by()]++
				}
				return n
			}
			time.Sleep(BalanceEvery / 2)
			if n := count()["c"]; n != 0 && bus != nil {
				t.Errorf("it gets %d before it is past its beginning", n)
			}
			moved := func() (n int) {
				for i := range deeds {
					deeds[i].mu.Lock()
					n += len(deeds[i].order)
					deeds[i].mu.Unlock()
				}
				return n
			}
			time.Sleep(20 * BalanceEvery)
			n, before := count(), moved()
			if n[""] > 0 || n["a"] < 3 || n["b"] < 3 || n["c"] < 3 {
				t.Errorf("spread as %v", n)
			}
			time.Sleep(10 * BalanceEvery)
			if count(); moved() != before {
				t.Errorf("%d leases pass to and fro", moved()-before)
			}
			for i := range deeds {
				if deeds[i].twice {
					t.Errorf("job %d was done twice at the same time", i)
				}
			}
		})
	}
}
