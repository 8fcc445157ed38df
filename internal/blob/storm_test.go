package blob_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/internal/blob"
	"lockstep/internal/blob/blobtest"
	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore"
	"lockstep/internal/store/sqlstore/sqltest"
	"lockstep/internal/vfs"
	"lockstep/internal/vfs/faulty"
)

// A registry is who names blobs: a database, as far as it matters here.
type registry interface {
	blob.Index
	// name commits the handles of a put, in the transaction that names the blob.
	name(ctx context.Context, id string, b mail.Blob, parts []mail.Blob) error
	unname(ctx context.Context, id string, name mail.BlobName) error
}

// A storm is several nodes that share a bucket and a database and do everything at once,
// while requests fail and everybody sleeps when it is worst.
type storm struct {
	t      *testing.T
	reg    registry
	bucket *blobtest.Bucket
	nodes  []*blob.Store
	seed   uint64
	sleep  func(time.Duration) // passes time
	until  func() bool         // reports whether it is over
	forget time.Duration       // for how long somebody may be gone, at most

	mu    sync.Mutex
	named map[string]named // by id
	next  int
	did   map[string]int
}

type named struct {
	name mail.BlobName
	data []byte
}

func (s *storm) count(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.did[what]++
}

// run lets everybody do what they do, until it is over.
func (s *storm) run() {
	var all sync.WaitGroup
	for n, node := range s.nodes {
		for i, do := range []func(*rand.Rand, *blob.Store){s.put, s.put, s.unname, s.read, s.upkeep} {
			all.Go(func() {
				rng := rand.New(rand.NewPCG(s.seed, uint64(100*n+i)))
				for !s.until() {
					do(rng, node)
				}
			})
		}
	}
	all.Wait()
}

// doze is gone for a while: most often a moment, sometimes far too long.
func (s *storm) doze(rng *rand.Rand) {
	switch rng.IntN(20) {
	case 0:
		s.sleep(time.Duration(rng.Int64N(int64(s.forget))))
	case 1, 2, 3, 4, 5, 6, 7, 8:
		s.sleep(time.Duration(rng.Int64N(int64(12 * time.Minute))))
	default:
		s.sleep(time.Duration(rng.Int64N(int64(time.Second))))
	}
}

// content is one of a few, so that nodes meet: some small, some large, some with a part.
func (s *storm) content(rng *rand.Rand) ([]byte, blob.PutOptions) {
	n := rng.IntN(300)
	own := rand.New(rand.NewPCG(uint64(n), 3))
	size := 100 + own.IntN(5000)
	if n%2 == 0 {
		size = 130<<10 + own.IntN(20<<10)
	}
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(own.Uint32())
	}
	return b, blob.PutOptions{HeaderSize: int64(own.IntN(100))}
}

func (s *storm) put(rng *rand.Rand, node *blob.Store) {
	s.sleep(time.Duration(rng.Int64N(int64(time.Hour))))
	data, o := s.content(rng)
	ctx := context.Background()
	b, parts, err := node.Put(ctx, bytes.NewReader(data), o)
	if !s.mayFail("put", err, mail.Unavailable, mail.Expired) {
		return
	}
	for range 1 + rng.IntN(3) { // to several recipients
		s.doze(rng)
		s.mu.Lock()
		s.next++
		id := strconv.Itoa(s.next)
		s.mu.Unlock()
		if s.mayFail("commit", s.reg.name(ctx, id, b, parts), mail.Expired) {
			s.mu.Lock()
			s.named[id] = named{b.Name, data}
			s.mu.Unlock()
		}
	}
}

// mayFail reports whether something succeeded; what it may not fail with ends the test.
func (s *storm) mayFail(what string, err error, kinds ...mail.Kind) bool {
	if err == nil {
		s.count(what)
		return true
	}
	s.count(what + " failed")
	if !slices.Contains(kinds, mail.KindOf(err)) {
		s.t.Errorf("%s: %v", what, err)
	}
	return false
}

// any is something that is named.
func (s *storm) any(rng *rand.Rand) (id string, n named, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make([]string, 0, len(s.named))
	for id := range s.named {
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return "", n, false
	}
	slices.Sort(ids)
	id = ids[rng.IntN(len(ids))]
	return id, s.named[id], true
}

func (s *storm) unname(rng *rand.Rand, _ *blob.Store) {
	s.sleep(time.Duration(rng.Int64N(int64(2 * time.Hour))))
	s.mu.Lock()
	few := len(s.named) < 20
	s.mu.Unlock()
	id, n, ok := s.any(rng)
	if few || !ok {
		return
	}
	s.mu.Lock()
	delete(s.named, id)
	s.mu.Unlock()
	s.mayFail("unname", s.reg.unname(context.Background(), id, n.name))
}

func (s *storm) read(rng *rand.Rand, node *blob.Store) {
	s.sleep(time.Duration(rng.Int64N(int64(time.Hour))))
	id, n, ok := s.any(rng)
	if !ok {
		return
	}
	err := s.readOne(node, n, func() { s.doze(rng) })
	s.mu.Lock()
	_, still := s.named[id]
	s.mu.Unlock()
	if still {
		s.mayFail("read", err, mail.Unavailable)
	}
}

func (s *storm) readOne(node *blob.Store, n named, pause func()) error {
	ctx := context.Background()
	b, found, err := node.Find(ctx, n.name)
	if err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("blob %s has no row", n.name)
	}
	pause()
	r, err := node.Open(ctx, b)
	if err != nil {
		return err
	}
	defer r.Close()
	pause()
	got, err := io.ReadAll(r)
	if err == nil && !bytes.Equal(got, n.data) {
		err = fmt.Errorf("read %d bytes that are not the %d that were put", len(got), len(n.data))
	}
	return err
}

// upkeep does one thing after the other: a lock that somebody sleeps with stops the clock
// of a bubble.
func (s *storm) upkeep(rng *rand.Rand, node *blob.Store) {
	switch rng.IntN(20) {
	case 0:
		s.erase(rng, node)
	case 1, 2, 3, 4, 5, 6, 7, 8:
		s.compact(rng, node)
	case 9, 10, 11, 12:
		s.collect(rng, node)
	default:
		s.pack(rng, node)
	}
}

func (s *storm) pack(rng *rand.Rand, node *blob.Store) {
	s.sleep(time.Duration(rng.Int64N(int64(time.Hour))))
	_, err := node.Pack(context.Background())
	s.mayFail("pack", err, mail.Unavailable, mail.Expired)
}

func (s *storm) collect(rng *rand.Rand, node *blob.Store) {
	s.sleep(time.Duration(rng.Int64N(int64(2 * time.Hour))))
	_, err := node.Collect(context.Background())
	s.mayFail("collect", err)
}

func (s *storm) compact(rng *rand.Rand, node *blob.Store) {
	s.sleep(time.Duration(rng.Int64N(int64(20 * time.Minute))))
	_, err := node.Compact(context.Background())
	s.mayFail("compact", err, mail.Unavailable, mail.Expired)
}

func (s *storm) erase(rng *rand.Rand, node *blob.Store) {
	s.sleep(time.Duration(rng.Int64N(int64(2 * time.Hour))))
	data, o := s.content(rng)
	b, _, err := node.Put(context.Background(), bytes.NewReader(data), o) // to know its name
	if s.mayFail("put", err, mail.Unavailable, mail.Expired) {
		_, err = node.Erase(context.Background(), []mail.BlobName{b.Name})
		s.mayFail("erase", err, mail.Unavailable, mail.Expired)
	}
}

// settle lets upkeep do its work in peace, and holds what is left to what is named.
func (s *storm) settle(passes int, after func()) {
	s.bucket.Harm(0)
	node := s.nodes[0]
	for range passes {
		for _, do := range []func() error{
			func() error { _, err := node.Pack(context.Background()); return err },
			func() error { _, err := node.Collect(context.Background()); return err },
			func() error { _, err := node.Compact(context.Background()); return err },
		} {
			if err := do(); err != nil {
				s.t.Error(err)
			}
		}
		after()
	}
	for _, node := range s.nodes {
		if n := node.Damaged(); n > 0 {
			s.t.Errorf("%d blobs count as damaged", n)
		}
		for id, n := range s.named {
			if err := s.readOne(node, n, func() {}); err != nil {
				s.t.Errorf("%s: %v", id, err)
			}
		}
	}
	s.nothingElse()
	s.t.Logf("%d are named; %v", len(s.named), s.did)
}

// nothingElse finds objects that no row names.
func (s *storm) nothingElse() {
	places, err := s.reg.Places(context.Background(), "", "", 1<<20)
	if err != nil {
		s.t.Error(err)
	}
	names := map[string]bool{"lockstep": true}
	for _, p := range places {
		object, _ := blob.ObjectOf(p)
		names[object] = true
	}
	for _, object := range s.bucket.Names() {
		if !names[object] {
			s.t.Errorf("%s is named by nothing", object)
		}
	}
}

// sleepy sleeps before the calls that nodes do their upkeep with.
type sleepy struct {
	registry
	nap func()
}

func (x sleepy) Move(ctx context.Context, moves []blob.Move) (int, error) {
	x.nap()
	return x.registry.Move(ctx, moves)
}

func (x sleepy) Doom(ctx context.Context, objects []string) error {
	x.nap()
	return x.registry.Doom(ctx, objects)
}

func (x sleepy) Spare(ctx context.Context, objects []string) error {
	x.nap()
	return x.registry.Spare(ctx, objects)
}

func (x sleepy) Condemn(ctx context.Context, names []mail.BlobName, before time.Time) (int, error) {
	x.nap()
	return x.registry.Condemn(ctx, names, before)
}

func (x sleepy) Erase(ctx context.Context, names []mail.BlobName, places []string) ([]mail.BlobName, error) {
	x.nap()
	return x.registry.Erase(ctx, names, places)
}

func (x sleepy) Bytes(ctx context.Context, place string) ([]byte, bool, error) {
	x.nap()
	return x.registry.Bytes(ctx, place)
}

func (x sleepy) Waiting(ctx context.Context, after string, limit int) ([]mail.Blob, error) {
	x.nap()
	return x.registry.Waiting(ctx, after, limit)
}

func (x sleepy) Places(ctx context.Context, prefix, after string, limit int) ([]string, error) {
	x.nap()
	return x.registry.Places(ctx, prefix, after, limit)
}

// inMemory is a registry.
type inMemory struct{ *blobtest.Index }

func (x inMemory) name(_ context.Context, _ string, b mail.Blob, parts []mail.Blob) error {
	if err := x.Commit(append(parts, b)...); err != nil {
		return err
	}
	x.Name(b.Name)
	return nil
}

func (x inMemory) unname(_ context.Context, _ string, name mail.BlobName) error {
	x.Unname(name)
	return nil
}

// Three nodes share a bucket and an index for weeks, on a clock that nobody waits for.
func TestNodesOfOneBucketLoseNothing(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &storm{
					t: t, seed: seed, reg: inMemory{blobtest.NewIndex()}, bucket: blobtest.NewBucket(seed), named: map[string]named{}, did: map[string]int{},
					sleep: time.Sleep, forget: 40 * time.Hour,
				}
				ends := time.Now().Add(8 * 24 * time.Hour)
				s.until = func() bool { return time.Now().After(ends) }
				fsys := faulty.New(seed)
				keys, _, err := blob.OpenKeyring(fsys, "/key", "/none")
				if err != nil {
					t.Fatal(err)
				}
				s.nap(seed)
				for n := range 3 {
					rng := rand.New(rand.NewPCG(seed, uint64(n)))
					index := sleepy{s.reg, s.napper(rng)}
					node, err := blob.OpenBucket(t.Context(), fmt.Sprintf("/node%d", n), keys, index, s.bucket, blob.Options{FS: fsys, PackSize: 40 << 10, Cache: 1 << 20})
					if err != nil {
						t.Fatal(err)
					}
					defer node.Close()
					s.nodes = append(s.nodes, node)
				}
				s.bucket.Harm(0.05)
				s.run()
				s.settle(24*6, func() { time.Sleep(time.Hour) })
			})
		})
	}
}

// napper sleeps now and then.
func (s *storm) napper(rng *rand.Rand) func() {
	var mu sync.Mutex
	return func() {
		mu.Lock()
		n, long := rng.IntN(200), time.Duration(rng.Int64N(int64(s.forget)))
		mu.Unlock()
		if n == 0 && !s.until() {
			s.sleep(long)
		}
	}
}

// nap has the bucket be slow now and then, and show old lists.
func (s *storm) nap(seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 50))
	nap := s.napper(rng)
	var calls atomic.Int64
	s.bucket.Before = func(context.Context, string, string) error {
		if n := calls.Add(1); n%40 == 0 {
			s.bucket.Stale(n%80 == 0 && !s.until())
		}
		nap()
		return nil
	}
}

// inQueue is the registry of a database: what names blobs is mail that waits to be sent.
type inQueue struct {
	sqlstore.BlobIndex
	db  *sqlstore.DB
	now func() time.Time
}

func (x inQueue) name(ctx context.Context, id string, b mail.Blob, _ []mail.Blob) error {
	return x.db.Enqueue(ctx, []store.Outgoing{{Delivery: id, Blob: b, ReversePath: "a@example.test", Recipient: "b@example.test", Arrived: x.now(), Next: x.now()}})
}

func (x inQueue) unname(ctx context.Context, id string, _ mail.BlobName) error {
	all, err := x.db.Pending(ctx, 1<<20)
	if err != nil {
		return err
	}
	for _, o := range all {
		if o.Delivery == id {
			return x.db.Done(ctx, o.ID)
		}
	}
	return fmt.Errorf("%s is not in the queue", id)
}

// The same on real databases, each with a clock that jumps.
func TestNodesOfOneDatabaseLoseNothing(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		stormOnDatabase(t, func(o sqlstore.Options) []*sqlstore.DB {
			db, err := sqlstore.Open(t.Context(), filepath.Join(t.TempDir(), "db"), o)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { db.Close() })
			return []*sqlstore.DB{db, db, db}
		})
	})
	t.Run("postgres", func(t *testing.T) {
		url := sqltest.PostgresURL(t)
		stormOnDatabase(t, func(o sqlstore.Options) []*sqlstore.DB {
			return []*sqlstore.DB{sqltest.Open(t, url, o), sqltest.Open(t, url, o), sqltest.Open(t, url, o)}
		})
	})
}

func stormOnDatabase(t *testing.T, open func(sqlstore.Options) []*sqlstore.DB) {
	var passed atomic.Int64 // of the clock that jumps
	began := time.Now()
	now := func() time.Time { return began.Add(time.Duration(passed.Load())) }
	const speed = 2 * time.Minute // pass while a millisecond does
	s := &storm{t: t, seed: 1, bucket: blobtest.NewBucket(1), named: map[string]named{}, did: map[string]int{}, forget: 30 * time.Hour}
	s.bucket.Now = now
	stop := make(chan struct{})
	var clock sync.WaitGroup
	clock.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				passed.Add(int64(speed))
			}
		}
	})
	s.sleep = func(d time.Duration) { time.Sleep(d / time.Duration(speed/time.Millisecond)) }
	ends := time.Now().Add(3 * time.Second)
	s.until = func() bool { return time.Now().After(ends) }
	dbs := open(sqlstore.Options{Now: now})
	s.reg = inQueue{dbs[0].Blobs(), dbs[0], now}
	fsys := faulty.New(1)
	keys, _, err := blob.OpenKeyring(fsys, "/key", "/none")
	if err != nil {
		t.Fatal(err)
	}
	for n, db := range dbs {
		var disk vfs.FS = fsys
		node, err := blob.OpenBucket(t.Context(), fmt.Sprintf("/node%d", n), keys, sleepy{inQueue{db.Blobs(), db, now}, s.napper(rand.New(rand.NewPCG(1, uint64(n))))}, s.bucket,
			blob.Options{FS: disk, PackSize: 40 << 10, Cache: 1 << 20, Now: now})
		if err != nil {
			t.Fatal(err)
		}
		defer node.Close()
		s.nodes = append(s.nodes, node)
	}
	s.bucket.Harm(0.05)
	s.run()
	close(stop)
	clock.Wait()
	s.settle(36, func() { passed.Add(int64(4 * time.Hour)) })
}
