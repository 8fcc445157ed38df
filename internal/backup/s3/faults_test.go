package s3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"lockstep/internal/backup"
	"lockstep/internal/backup/s3"
	"lockstep/internal/backup/s3/s3test"
	"lockstep/internal/backup/targettest"
	"lockstep/internal/mail"
	"lockstep/internal/steady"
)

// attempts is how often an impatient target tries.
const attempts = 2

// impatient gives up soon, so that tests see it.
func impatient(srv *s3test.Server, proxy *s3test.Proxy, prefix string) s3.Config {
	cfg := config(srv, prefix)
	cfg.Endpoint, cfg.Attempts, cfg.MaxPause, cfg.Stall = proxy.Endpoint(), attempts, 5*time.Millisecond, 150*time.Millisecond
	return cfg
}

// opTime is more than the attempts of one call can take, those of an abort included,
// where the machine stands still meanwhile.
const opTime = time.Minute

// world is what may be in the bucket: the contents that each name may have, nil
// being none.
type world struct {
	t       *testing.T
	rng     *rand.Rand
	proxy   *s3test.Proxy
	through backup.Target // the network that fails
	direct  backup.Target
	may     map[string][][]byte
	failed  int
	done    int
}

// tell holds an error of the network to what was promised.
func (w *world) tell(what string, began time.Time, err error) {
	w.t.Helper()
	if took := time.Since(began); took > opTime {
		w.t.Errorf("%s took %v", what, took)
	}
	if err == nil {
		w.done++
		return
	}
	w.failed++
	if mail.KindOf(err) != mail.Unavailable {
		w.t.Errorf("%s: %v: %v", what, mail.KindOf(err), err)
	}
}

func (w *world) name() string { return fmt.Sprintf("packs/p%d/0-1", w.rng.IntN(8)) }

// put puts what the name never had, or again what a failed call may have put. A request
// of a call before, which the client has given up, may reach the server late: it has
// ended before another changes the same name.
func (w *world) put(ctx context.Context, n int) {
	name, size := w.name(), []int{0, 100, 70_000, partSize + 30_000, 2*partSize + 1}[w.rng.IntN(5)]
	b := targettest.Bytes(uint64(n), size)
	before, there := w.may[name]
	if !there {
		before = [][]byte{nil}
	}
	if last := before[len(before)-1]; len(before) > 1 && last != nil {
		b = last
	}
	w.proxy.Quiet(w.t)
	began := time.Now()
	err := targettest.Put(ctx, w.through, name, b)
	w.tell(fmt.Sprintf("put %d bytes", len(b)), began, err)
	w.may[name] = [][]byte{b}
	if err != nil {
		w.may[name] = append(slices.Clone(before), b)
	}
}

func (w *world) get(ctx context.Context) {
	name, began := w.name(), time.Now()
	got, err := targettest.Get(ctx, w.through, name, 0, -1)
	if errors.Is(err, fs.ErrNotExist) {
		got, err = nil, nil
	} else if err == nil && got == nil {
		got = []byte{}
	}
	w.tell("get", began, err)
	if err == nil {
		w.holds(name, got)
	}
}

func (w *world) ranges(ctx context.Context) {
	name, began := w.name(), time.Now()
	if len(w.may[name]) != 1 || len(w.may[name][0]) < 1000 {
		return
	}
	want := w.may[name][0]
	from := w.rng.IntN(len(want))
	length := w.rng.IntN(len(want) - from)
	got, err := targettest.Get(ctx, w.through, name, int64(from), int64(length))
	w.tell("get a range", began, err)
	if err == nil && !bytes.Equal(got, want[from:][:length]) {
		w.t.Errorf("%s, %d bytes from %d: others", name, length, from)
	}
}

func (w *world) list(ctx context.Context) {
	began := time.Now()
	names, err := targettest.Names(ctx, w.through, "")
	w.tell("list", began, err)
	if err == nil {
		w.listed(names)
	}
}

func (w *world) remove(ctx context.Context) {
	name := w.name()
	w.proxy.Quiet(w.t)
	began := time.Now()
	err := w.through.Delete(ctx, name)
	w.tell("delete", began, err)
	if err == nil {
		delete(w.may, name)
	} else if w.may[name] != nil {
		w.may[name] = append(w.may[name], nil)
	}
}

// holds tells whether a name may have these contents; nil is none.
func (w *world) holds(name string, got []byte) {
	w.t.Helper()
	may := w.may[name]
	if may == nil {
		may = [][]byte{nil}
	}
	if !slices.ContainsFunc(may, func(b []byte) bool { return (b == nil) == (got == nil) && bytes.Equal(b, got) }) {
		w.t.Errorf("%s has %d bytes that it may not have", name, len(got))
	}
}

func (w *world) listed(names []string) {
	w.t.Helper()
	for _, n := range names {
		if w.may[n] == nil {
			w.t.Errorf("%s is listed, and was never put", n)
		}
	}
	for n, may := range w.may {
		if !slices.ContainsFunc(may, func(b []byte) bool { return b == nil }) && !slices.Contains(names, n) {
			w.t.Errorf("%s is not listed", n)
		}
	}
}

// settle looks at everything through a network that works.
func (w *world) settle(ctx context.Context) {
	w.t.Helper()
	w.proxy.Quiet(w.t)
	names, err := targettest.Names(ctx, w.direct, "")
	if err != nil {
		w.t.Fatal(err)
	}
	w.listed(names)
	for _, name := range names {
		got, err := targettest.Get(ctx, w.direct, name, 0, -1)
		if err != nil {
			w.t.Errorf("%s: %v", name, err)
		} else if got == nil {
			got = []byte{}
		}
		w.holds(name, got)
	}
}

// TestNetworkFaults lets a network cut, reset, stall and refuse at any byte. Each
// object is there whole or not at all, what was acknowledged is there, every error
// says that trying again may help, and no call takes longer than its bound.
func TestNetworkFaults(t *testing.T) {
	rounds := 3
	if testing.Short() {
		rounds = 1
	}
	srv := s3test.Start(t)
	for seed := range steady.Seeds(t, rounds) {
		faultyRound(t, srv, seed)
		if t.Failed() {
			t.Fatal("seed ", seed)
		}
	}
}

// TestEachFaultFailsACall lets each fault come at the first byte of every connection,
// so that the call has to fail, and the next one find a network that works.
func TestEachFaultFailsACall(t *testing.T) {
	srv := s3test.Start(t)
	for n, fault := range s3test.Faults {
		w, proxy := faultyWorld(t, srv, uint64(n))
		proxy.Harm(1, 0, fault)
		w.put(t.Context(), n)
		proxy.Harm(0, 0)
		w.settle(t.Context())
		if w.failed != 1 {
			t.Errorf("%v: nobody was told", fault)
		}
		if seen := proxy.Harmed()[fault.String()]; seen < attempts {
			t.Errorf("%v: %d connections of %d attempts", fault, seen, attempts)
		}
	}
}

// faultyWorld is an empty world behind a network that does not fail yet.
func faultyWorld(t *testing.T, srv *s3test.Server, seed uint64) (*world, *s3test.Proxy) {
	proxy := s3test.NewProxy(t, srv.Address, seed)
	prefix := fmt.Sprint("seed-", seed)
	through, direct := open(t, impatient(srv, proxy, prefix)), open(t, config(srv, prefix))
	return &world{t: t, rng: rand.New(rand.NewPCG(seed, 2)), proxy: proxy, through: through, direct: direct, may: map[string][][]byte{}}, proxy
}

func faultyRound(t *testing.T, srv *s3test.Server, seed uint64) {
	w, proxy := faultyWorld(t, srv, seed)
	proxy.Harm(1, 3*partSize)
	for n := range 60 {
		switch w.rng.IntN(10) {
		case 0, 1, 2, 3:
			w.put(t.Context(), n)
		case 4, 5:
			w.get(t.Context())
		case 6, 7:
			w.ranges(t.Context())
		case 8:
			w.list(t.Context())
		case 9:
			w.remove(t.Context())
		}
	}
	proxy.Harm(0, 0)
	w.settle(t.Context())
	t.Logf("seed %d: %d calls, %d failed; connections: %v", seed, w.done+w.failed, w.failed, proxy.Harmed())
}
