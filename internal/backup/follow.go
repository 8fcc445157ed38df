package backup

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"lockstep/internal/mail"
)

// How a server is followed.
const (
	// FollowEvery is how long after a point the next is made, when something changed, or
	// as long as the last one took, up to maxPause: at least half of the time is the
	// server's.
	FollowEvery = time.Second
	maxPause    = 10 * time.Second
	// While nothing changes the target is told so every followBeat.
	followBeat = 30 * time.Second
	// After a failure it waits firstRetry, then twice as long each time up to maxRetry,
	// and each time up to half of that longer or shorter by chance.
	firstRetry = time.Second
	maxRetry   = time.Minute
	// Digests of accounts are recorded this often, and points pruned that often.
	digestsEvery = 10 * time.Minute
	pruneEvery   = time.Hour
	// A failure that goes on is logged this often.
	sayEvery = 10 * time.Minute
	// Of the points that are older than thinAfter one in thinTo stays: the last.
	thinAfter = time.Minute
	thinTo    = 10 * time.Second
)

// A Follower ships what changes of a server to a backup, as small points, for as long as
// the server runs: what a disaster takes is what happened since the last.
type Follower struct {
	// Begin opens the backup, or begins it. It is asked again after a failure.
	Begin func(context.Context) (*Run, error)
	// Commits is how many transactions the database has committed.
	Commits func() int64
	// Prune removes what is not needed any more, now and then, beside what is shipped; nil
	// removes nothing.
	Prune func(context.Context, *Run) error
	Log   *slog.Logger
	Rand  *rand.Rand

	makeTurn sync.Once
	turn     chan struct{} // holds something while somebody writes to the target; guards what is below

	run     *Run
	began   bool // a point was made since run began
	beat    time.Time
	told    time.Time // when a failure was logged
	digests time.Time // when they were recorded
	pruned  time.Time
	ending  bool           // nothing is begun that takes its time
	prunes  sync.WaitGroup // that are under way: one at most
	pruning atomic.Bool
	own     []Newest // points that may still be thinned out, the oldest first

	mu     sync.Mutex
	status FollowStatus
}

// FollowStatus says how far a Follower is.
type FollowStatus struct {
	Point   Point         // the newest that it made; number 0: none yet
	Lag     time.Duration // how old the oldest change is that is not in the target, at most
	Commits int64         // that are not in the target
	Failing time.Time     // since when it fails; zero: it does not
	Err     error         // why
	Points  int64         // made since the start
	Fails   int64         // attempts that failed since the start
	Sent    Sent          // since the start

	at      time.Time // until when all is in the target
	commits int64     // that were counted then
}

// Follow ships to a target, "" being the configured one, until ctx ends, and then what is
// left. Whoever asks for a point in the same target meanwhile is given one of these.
func (s *Service) Follow(ctx context.Context, spec string, f *Follower) error {
	t, err := s.Target(ctx, spec)
	if err != nil {
		return err
	}
	name := t.String()
	s.mu.Lock()
	if s.following == nil {
		s.following = map[string]*Follower{}
	}
	if s.following[name] != nil {
		s.mu.Unlock()
		return mail.Errorf(mail.Conflict, "this server is followed to %s already", name)
	}
	s.following[name] = f
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.following, name)
	}()
	f.Follow(ctx)
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastTime)
	defer cancel()
	return f.Finish(last)
}

// Follower makes one that writes to a target. recovery is shown the recovery code of a
// backup that begins; nil begins none without a recipient.
func (s *Service) Follower(spec string, recovery func(string) error) *Follower {
	return &Follower{
		Begin: func(ctx context.Context) (*Run, error) {
			return s.begin(ctx, spec, Options{Doing: "following the server", Recovery: recovery})
		},
		Commits: s.Server.Commits, Log: s.Server.Log, Rand: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
	}
}

// Following returns who writes to a target all the time; nil if nobody does.
func (s *Service) Following(ctx context.Context, spec string) (*Follower, error) {
	t, err := s.Target(ctx, spec)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.following[t.String()], nil
}

// lastTime bounds how long a stopping server ships what is left.
const lastTime = 5 * time.Second

// Status says how far it is.
func (f *Follower) Status() FollowStatus {
	commits := f.Commits()
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.status
	if s.Commits = commits - s.commits; s.Commits > 0 || s.Point.Number == 0 {
		s.Lag = time.Since(s.at)
	}
	return s
}

// Follow ships until ctx ends. It never gives up: what fails is logged, and tried again.
func (f *Follower) Follow(ctx context.Context) {
	defer f.prunes.Wait()
	f.mu.Lock()
	f.status.at = time.Now()
	f.mu.Unlock()
	for retry, wait := firstRetry, time.Duration(0); pause(ctx, wait); {
		began := time.Now()
		if err := f.once(ctx); err != nil {
			f.failed(ctx, err)
			wait = retry/2 + time.Duration(f.Rand.Int64N(int64(retry)))
			retry = min(2*retry, maxRetry)
			continue
		}
		f.worked(ctx)
		retry, wait = firstRetry, min(max(FollowEvery, time.Since(began)), maxPause)
	}
}

// Finish ships what is left once Follow has ended, and the server has stopped, and lets
// the target go.
func (f *Follower) Finish(ctx context.Context) error {
	f.ending = true
	err := f.once(ctx)
	if !f.take(ctx) {
		return err
	}
	defer f.leave()
	f.drop(ctx)
	return err
}

// take waits for the turn to write to the target; false when ctx has ended.
func (f *Follower) take(ctx context.Context) bool {
	f.makeTurn.Do(func() { f.turn = make(chan struct{}, 1) })
	select {
	case f.turn <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (f *Follower) leave() { <-f.turn }

// drop ends the run.
func (f *Follower) drop(ctx context.Context) {
	if f.run != nil {
		_ = f.run.Close(ctx) // it says what is wrong
	}
	f.run, f.began, f.own = nil, false, nil
}

// yield lets somebody else write to the target until goOn is called. What is shipped just
// now is waited for, a while.
func (f *Follower) yield(ctx context.Context) (goOn func(), err error) {
	wait, cancel := context.WithTimeout(ctx, yieldTime)
	defer cancel()
	if !f.take(wait) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return nil, mail.Errorf(mail.Conflict, "this server is shipping much to this backup just now: try again later")
	}
	f.drop(ctx)
	return f.leave, nil
}

// yieldTime is how long who writes by hand waits for who follows.
const yieldTime = 20 * time.Second

// pause waits, and says whether to go on.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return ctx.Err() == nil
	}
}

// once brings the target up to now.
func (f *Follower) once(ctx context.Context) (err error) {
	if !f.take(ctx) {
		return ctx.Err()
	}
	defer f.leave()
	if f.run == nil {
		if f.run, err = f.Begin(ctx); err != nil {
			return err
		}
		f.run.turn = f.turnOf(f.run)
	}
	err = f.ship(ctx)
	if mail.KindOf(err) == mail.Conflict { // somebody else has the target
		f.drop(ctx)
	}
	return err
}

func (f *Follower) ship(ctx context.Context) error {
	now, commits := time.Now(), f.Commits()
	if f.began && commits == f.status.commits { // which nobody else changes
		return f.quiet(ctx, now)
	}
	f.run.o.Digests = now.Sub(f.digests) >= digestsEvery
	result, err := f.run.Point(ctx)
	if err != nil {
		return err
	}
	if f.run.o.Digests {
		f.digests = now
	}
	if err := f.made(ctx, result, now, commits); err != nil {
		return err
	}
	if f.Prune != nil && !f.ending && now.Sub(f.pruned) >= pruneEvery && f.pruning.CompareAndSwap(false, true) {
		f.pruned = now
		run := f.run
		f.prunes.Go(func() { f.prune(ctx, run) })
	}
	return nil
}

// prune removes what is not needed any more. What fails the next one does.
func (f *Follower) prune(ctx context.Context, run *Run) {
	defer f.pruning.Store(false)
	if err := f.Prune(ctx, run); err != nil && ctx.Err() == nil && mail.KindOf(err) != mail.Conflict {
		f.Log.WarnContext(ctx, "backup: old points are not removed", "err", err)
	}
}

// turnOf does something for who uses the run beside the follower, while that ships nothing.
func (f *Follower) turnOf(run *Run) func(context.Context, func() error) error {
	return func(ctx context.Context, do func() error) error {
		if !f.take(ctx) {
			return ctx.Err()
		}
		defer f.leave()
		if f.run != run {
			return mail.Errorf(mail.Conflict, "somebody else wrote to the backup meanwhile")
		}
		return do()
	}
}

// made tells that there is a new point.
func (f *Follower) made(ctx context.Context, result Result, at time.Time, commits int64) error {
	f.began, f.beat = true, at
	f.mu.Lock()
	f.status.Point, f.status.at, f.status.commits = result.Point, at, commits
	f.status.Points++
	f.status.Sent.add(result.Sent)
	f.mu.Unlock()
	n := Newest{result.Point, at}
	if err := f.run.putNewest(ctx, n); err != nil {
		return err
	}
	f.own = append(f.own, n)
	return f.thin(ctx, at)
}

func (s *Sent) add(t Sent) {
	s.Objects += t.Objects
	s.Bytes += t.Bytes
	s.PageBytes += t.PageBytes
	s.PackBytes += t.PackBytes
	s.Pages += t.Pages
	s.Found += t.Found
}

// quiet is what is done while nothing changes: whoever looks at the target sees that it
// is not behind.
func (f *Follower) quiet(ctx context.Context, now time.Time) error {
	f.mu.Lock()
	f.status.at = now
	point := f.status.Point
	f.mu.Unlock()
	if now.Sub(f.beat) < followBeat {
		return nil
	}
	if err := f.run.lease.keep(ctx); err != nil {
		return err
	}
	f.beat = now
	return f.run.putNewest(ctx, Newest{point, now})
}

func (r *Run) putNewest(ctx context.Context, n Newest) error {
	err := r.repo.putNewest(ctx, n)
	if err == nil {
		r.lease.show()
	}
	return err
}

// thin removes points that it made a while ago, as there would be one for each second:
// later ones stand for them. What else they are made of Prune removes.
func (f *Follower) thin(ctx context.Context, now time.Time) error {
	for len(f.own) > 1 && now.Sub(f.own[0].At) > thinAfter {
		first, next := f.own[0], f.own[1]
		if first.Point.Set == next.Point.Set && first.At.Truncate(thinTo).Equal(next.At.Truncate(thinTo)) {
			if err := f.run.repo.Target.Delete(ctx, first.Point.Name()); err != nil {
				return err
			}
		}
		f.own = f.own[1:]
	}
	return nil
}

// failed notes why the target is behind.
func (f *Follower) failed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	f.mu.Lock()
	if f.status.Failing.IsZero() {
		f.status.Failing = time.Now()
		f.told = time.Time{}
	}
	f.status.Fails++
	f.status.Err = err
	f.mu.Unlock()
	if time.Since(f.told) < sayEvery {
		return
	}
	f.told = time.Now()
	s := f.Status()
	f.Log.WarnContext(ctx, "backup: changes do not reach the target, it is tried again", "err", err, "lag", s.Lag.Round(time.Second).String(), "commits", s.Commits)
}

// worked notes that the target is not behind any more.
func (f *Follower) worked(ctx context.Context) {
	f.mu.Lock()
	failing := f.status.Failing
	f.status.Failing, f.status.Err = time.Time{}, nil
	f.mu.Unlock()
	if !failing.IsZero() {
		f.Log.InfoContext(ctx, "backup: the target has everything again", "took", time.Since(failing).Round(time.Second).String())
	}
}
