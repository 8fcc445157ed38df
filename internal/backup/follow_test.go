package backup_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/internal/backup"
	"lockstep/internal/mail"
	"lockstep/internal/vfs/faulty"
)

// flaky is a target that can't be reached for a while.
type flaky struct {
	backup.Target
	down  atomic.Bool
	tries atomic.Int64
	puts  atomic.Int64
}

var errDown = &mail.Error{Kind: mail.Unavailable, Detail: "the target can't be reached"}

func (f *flaky) Put(ctx context.Context, name string, r io.ReadSeeker, size int64) error {
	f.tries.Add(1)
	if f.down.Load() {
		return errDown
	}
	f.puts.Add(1)
	return f.Target.Put(ctx, name, r, size)
}

func (f *flaky) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	f.tries.Add(1)
	if f.down.Load() {
		return nil, errDown
	}
	return f.Target.Get(ctx, name, offset, length)
}

func (f *flaky) List(ctx context.Context, prefix string, fn func(backup.Object) error) error {
	f.tries.Add(1)
	if f.down.Load() {
		return errDown
	}
	return f.Target.List(ctx, prefix, fn)
}

// followed is a house that a Follower ships from, in a bubble of time of its own.
type followed struct {
	*house
	target *flaky
	disk   *faulty.FS // the target's
	f      *backup.Follower
	log    strings.Builder
	stop   context.CancelFunc
	ended  sync.WaitGroup
	prune  func(context.Context, *backup.Run) error

	commits atomic.Int64
}

func follow(t *testing.T) *followed {
	w := &followed{house: newHouse(t, 40), disk: faulty.New(2)}
	w.target = &flaky{Target: backup.NewDir(w.disk, "/backup")}
	w.start()
	return w
}

func (w *followed) start() {
	w.f = &backup.Follower{
		Begin: func(ctx context.Context) (*backup.Run, error) {
			return backup.Begin(ctx, w.target, w.server, w.options())
		},
		Commits: w.commits.Load,
		Prune:   w.prune,
		Log:     slog.New(slog.NewTextHandler(&w.log, nil)),
		Rand:    rand.New(rand.NewPCG(1, 2)),
	}
	ctx, stop := context.WithCancel(context.Background())
	w.stop = stop
	w.ended.Go(func() { w.f.Follow(ctx) })
	synctest.Wait()
}

func (w *followed) end() {
	w.t.Helper()
	w.stop()
	w.ended.Wait()
	if err := w.f.Finish(context.Background()); err != nil {
		w.t.Error(err)
	}
}

// commit changes the database while nothing is shipped.
func (w *followed) commit(pages ...int) {
	synctest.Wait()
	w.change(pages...)
	w.commits.Add(1)
}

func (w *followed) points() []backup.Point {
	w.t.Helper()
	points, err := w.repo().Points(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	return points
}

func (w *followed) repo() *backup.Repo {
	w.t.Helper()
	r, err := backup.Unlock(context.Background(), backup.NewDir(w.disk, "/backup"), backup.Secret{KeyFile: w.file("/data/key")})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// restored holds the newest point against the house.
func (w *followed) restored() {
	w.t.Helper()
	r := w.repo()
	p, err := r.Newest(context.Background(), time.Time{})
	if err != nil {
		w.t.Fatal(err)
	}
	disk := faulty.New(3)
	if _, err := r.Restore(context.Background(), p, "/restored", w.restoreOptions(disk)); err != nil {
		w.t.Fatal(err)
	}
	w.agree(disk, "/restored", w.state())
}

func TestWhatChangesIsShippedWithinSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := follow(t)
		for i := range 10 {
			w.put(1000)
			w.commit(1+i, 2+i)
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if s := w.f.Status(); s.Commits != 0 || s.Lag != 0 || s.Points != int64(i+2) {
				t.Fatalf("after commit %d: %+v", i, s)
			}
		}
		puts := w.target.puts.Load()
		time.Sleep(time.Hour)
		synctest.Wait()
		if quiet := w.target.puts.Load() - puts; quiet > 150 {
			t.Errorf("%d objects stored in an hour in which nothing changed", quiet)
		}
		w.commit(7)
		w.end()
		w.restored()
		if s := w.f.Status(); s.Commits != 0 {
			t.Errorf("at the end: %+v", s)
		}
	})
}

func TestAnOutageIsCaughtUpWith(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := follow(t)
		w.target.down.Store(true)
		w.target.tries.Store(0)
		for range 600 {
			w.commit(3, 9)
			time.Sleep(time.Second)
		}
		synctest.Wait()
		s := w.f.Status()
		if s.Commits != 600 || s.Lag < 599*time.Second || s.Lag > 601*time.Second || !errors.Is(s.Err, errDown) || s.Failing.IsZero() {
			t.Errorf("during the outage: %+v", s)
		}
		if n := w.target.tries.Load(); n < 8 || n > 40 {
			t.Errorf("%d attempts in ten minutes", n)
		}
		if n := strings.Count(w.log.String(), "it is tried again"); n < 1 || n > 2 {
			t.Errorf("said %d times:\n%s", n, w.log.String())
		}
		w.target.down.Store(false)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if s := w.f.Status(); s.Commits != 0 || s.Lag != 0 || s.Err != nil || !s.Failing.IsZero() {
			t.Errorf("after the outage: %+v", s)
		}
		if !strings.Contains(w.log.String(), "has everything again") {
			t.Error("nobody was told that it is over")
		}
		w.end()
		w.restored()
	})
}

func TestAFollowerGoesOnInTheSameSetAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := follow(t)
		time.Sleep(10 * time.Second)
		w.end()
		sent := w.f.Status().Sent
		w.start()
		w.commit(5)
		time.Sleep(10 * time.Second)
		w.end()
		if again := w.f.Status().Sent; again.Pages >= sent.Pages/2 || again.PackBytes > 0 {
			t.Errorf("%+v, then %+v", sent, again)
		}
		points := w.points()
		for _, p := range points {
			if p.Set != points[0].Set {
				t.Errorf("points %v", points)
			}
		}
		w.restored()
	})
}

func TestAFollowerStepsBackFromWhoTookTheTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := follow(t)
		if err := w.disk.Remove("/backup/lease"); err != nil {
			t.Fatal(err)
		}
		other := w.server
		other.Holder = "another.example.test:/data"
		run, err := backup.Begin(context.Background(), w.target, other, w.options())
		if err != nil {
			t.Fatal(err)
		}
		w.commit(2)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if s := w.f.Status(); mail.KindOf(s.Err) != mail.Conflict || s.Commits != 1 {
			t.Errorf("%+v", s)
		}
		if err := run.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if s := w.f.Status(); s.Err != nil || s.Commits != 0 {
			t.Errorf("%+v", s)
		}
		w.end()
		w.restored()
	})
}

func TestPointsOfAFollowerAreThinnedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := follow(t)
		for range 300 {
			w.commit(4)
			time.Sleep(1100 * time.Millisecond)
		}
		w.end()
		if n := len(w.points()); n < 60 || n > 130 {
			t.Errorf("%d points of five minutes", n)
		}
		w.restored()
		for _, age := range []time.Duration{0, time.Hour} { // it is told, then looked for
			time.Sleep(age)
			points := w.points()
			if n, err := w.repo().Latest(context.Background()); err != nil || n.Point != points[len(points)-1] {
				t.Errorf("the newest is %+v, %v", n, err)
			}
		}
	})
}

// Who writes to the target by hand need not know that the server is followed to it, and
// a set that was begun so is the one that is gone on with.
func TestWhoWritesByHandGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := follow(t)
		w.end()
		w.server.Commits = w.commits.Load
		s := &backup.Service{Server: w.server, Data: t.TempDir(), To: "/backup", Open: func(context.Context, string) (backup.Target, error) { return w.target, nil }}
		w.f = s.Follower("", nil)
		w.f.Log = slog.New(slog.NewTextHandler(&w.log, nil))
		ctx, stop := context.WithCancel(context.Background())
		var ended sync.WaitGroup
		ended.Go(func() {
			if err := s.Follow(ctx, "", w.f); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(10 * time.Second)
		o := w.options()
		o.Fresh = true
		run, err := s.Begin(ctx, "", o)
		if err != nil {
			t.Fatal(err)
		}
		before := w.f.Status().Points
		w.commit(1)
		time.Sleep(time.Minute)
		if now := w.f.Status(); now.Points != before || now.Err != nil {
			t.Errorf("meanwhile %+v", now)
		}
		result, err := run.Point(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := run.Close(ctx); err != nil {
			t.Fatal(err)
		}
		w.commit(2)
		time.Sleep(time.Minute)
		if now := w.f.Status(); now.Err != nil || now.Commits != 0 || now.Point.Set != result.Point.Set {
			t.Errorf("%+v after %+v", now, result.Point)
		}
		if err := s.Follow(ctx, "", w.f); mail.KindOf(err) != mail.Conflict {
			t.Errorf("followed twice: %v", err)
		}
		stop()
		ended.Wait()
		w.restored()
	})
}

// standing is a target that stands still when all of it is listed, until it may go on.
type standing struct {
	backup.Target
	goOn    chan struct{}
	armed   atomic.Bool
	waiting atomic.Bool
}

func (s *standing) List(ctx context.Context, prefix string, fn func(backup.Object) error) error {
	if prefix == "" && s.armed.Load() {
		s.waiting.Store(true)
		select {
		case <-s.goOn:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return s.Target.List(ctx, prefix, fn)
}

// Who removes old points holds nobody up who ships, however long the target takes; and what
// newer points need stays.
func TestShippingDoesNotWaitForPrune(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &followed{house: newHouse(t, 40), disk: faulty.New(2)}
		slow := &standing{Target: backup.NewDir(w.disk, "/backup"), goOn: make(chan struct{})}
		w.target = &flaky{Target: slow}
		var done backup.Pruned
		pruned := make(chan error, 100)
		w.prune = func(ctx context.Context, run *backup.Run) (err error) {
			slow.armed.Store(true)
			done, err = run.Prune(ctx, backup.PruneOptions{Keep: time.Minute})
			pruned <- err
			return err
		}
		w.start()
		for i := range 60 { // the first asks at once, and stands still
			w.put(1000)
			w.commit(1+i%9, 20+i%15)
			time.Sleep(3 * time.Second)
			synctest.Wait()
			if s := w.f.Status(); s.Commits != 0 || s.Lag != 0 || s.Err != nil {
				t.Fatalf("commit %d is not there: %+v", i, s)
			}
		}
		if !slow.waiting.Load() {
			t.Fatal("nobody prunes: the test is not about what it says")
		}
		close(slow.goOn)
		if err := <-pruned; err != nil {
			t.Errorf("%+v, %v", done, err)
		}
		for i := range 20 {
			w.commit(1 + i)
			time.Sleep(3 * time.Second)
		}
		w.end()
		w.restored()
	})
}

// Objects are removed between points that are being made, and each point stays whole.
func TestPruningBesideShippingLeavesPointsWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &followed{house: newHouse(t, 60), disk: faulty.New(2)}
		w.target = &flaky{Target: backup.NewDir(w.disk, "/backup")}
		removed := 0
		w.prune = func(ctx context.Context, run *backup.Run) error {
			for ctx.Err() == nil { // again and again
				done, err := run.Prune(ctx, backup.PruneOptions{Keep: backup.DefaultKeep})
				if err != nil {
					return err
				}
				removed += done.Objects
				time.Sleep(700 * time.Millisecond)
			}
			return nil
		}
		w.start()
		for i := range 80 {
			if i%3 == 0 {
				w.put(2000)
			}
			w.commit(1+i%7, 10+i%30)
			time.Sleep(1100 * time.Millisecond)
			synctest.Wait()
			if s := w.f.Status(); s.Err != nil {
				t.Fatal(s.Err)
			}
		}
		w.end()
		if removed == 0 {
			t.Error("nothing was removed: the test is not about what it says")
		}
		w.restored()
		if strings.Contains(w.log.String(), "not removed") {
			t.Error(w.log.String())
		}
	})
}
