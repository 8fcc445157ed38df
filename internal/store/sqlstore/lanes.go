package sqlstore

import (
	"context"
	"sync"
	"time"

	"lockstep/internal/mail"
)

// A lane is what closures take turns for: an account, or something that belongs to
// none. On the embedded engine all take turns for the one writer.
type lane int64

// The lanes of what belongs to no account.
const (
	directoryLane lane = -iota
	_                  // was the queue's
	blobLane
	signInLane
	sharedLane // leases, nodes, files
	failureLane
	lastLane = failureLane
)

func laneOf(id mail.AccountID) lane { return lane(id) }

// The queue of outgoing mail has lanes of each node's own, which have no row: each of
// its statements holds the rows it is about, and names the state that it found.
const queueLane lane = -1000

// queueLanes is how many transactions of a node are about the queue at once.
const queueLanes = 8

// queueLaneOf spreads what is about one delivery, or one row, over the lanes.
func queueLaneOf(n uint64) lane { return queueLane - lane(n%queueLanes) }

// lanes give the closures of a lane to one writer at a time, and many lanes to many
// writers: closures that come while their lane is busy are committed together.
type lanes struct {
	mu    sync.Mutex
	open  map[lane]*queue
	ready []*queue // have jobs, and no writer
	young int      // turns that began lately
	more  *sync.Cond
	ended bool
	apart bool // each has a transaction of its own
	// company is a test's way to have others beside a lane that becomes ready.
	company func(lane) []*queue
}

// queue is a lane that somebody uses.
type queue struct {
	lane  lane
	jobs  chan *job
	users int  // who are in do
	taken bool // it is ready, or a writer has it
}

func newLanes() *lanes {
	l := &lanes{open: map[lane]*queue{}}
	l.more = sync.NewCond(&l.mu)
	return l
}

// do runs a job and returns once it is durable.
func (l *lanes) do(ctx context.Context, in lane, fn func(conn) error, after func()) error {
	q := l.enter(in)
	defer l.leave(q)
	j := &job{ctx: ctx, run: fn, after: after, done: make(chan struct{}), foreseen: foresee(ctx, in)}
	select {
	case q.jobs <- j:
	case <-ctx.Done():
		return ctx.Err()
	}
	l.offer(q)
	return j.wait()
}

func (l *lanes) enter(in lane) *queue {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.use(in)
}

func (l *lanes) use(in lane) *queue {
	q := l.open[in]
	if q == nil {
		q = &queue{lane: in, jobs: make(chan *job, maxBatch)}
		l.open[in] = q
	}
	q.users++
	return q
}

func (l *lanes) leave(q *queue) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if q.users--; q.users == 0 {
		delete(l.open, q.lane)
	}
}

// offer makes a lane with jobs ready for a writer.
func (l *lanes) offer(q *queue) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if q.taken || len(q.jobs) == 0 {
		return
	}
	q.taken = true
	if l.company != nil {
		l.ready = append(l.ready, l.company(q.lane)...)
	}
	l.ready = append(l.ready, q)
	l.more.Signal()
}

// turn is what a writer has to do at once: the jobs of a lane, or some jobs of several
// accounts.
type turn struct {
	lanes []*queue
	young bool        // it counts to those under way
	ages  *time.Timer // ends that
}

// Bounds of what shares a transaction.
const (
	maxTogether = 32 // lanes
	maxOfLane   = 4  // jobs of each; a lane with more has a transaction of its own
)

// maxUnderWay is how many writers are at work at once, so that lanes that become ready
// meanwhile are written together. Those that have been at it for longer than patience
// do not count: what is slow keeps nobody waiting.
const (
	maxUnderWay = 3
	patience    = 50 * time.Millisecond
)

// take waits for lanes that are ready; nil: there will be none.
func (l *lanes) take() *turn {
	l.mu.Lock()
	defer l.mu.Unlock()
	for (len(l.ready) == 0 || l.young >= maxUnderWay) && !l.ended {
		l.more.Wait()
	}
	if len(l.ready) == 0 {
		return nil
	}
	t := &turn{lanes: l.some(), young: true}
	l.young++
	t.ages = time.AfterFunc(patience, func() { l.age(t) })
	return t
}

// age lets another begin beside a turn.
func (l *lanes) age(t *turn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t.young {
		t.young = false
		l.young--
		l.more.Signal()
	}
}

// some takes the first lane that is ready, and others that may share its transaction.
func (l *lanes) some() []*queue {
	first := l.ready[0]
	l.ready = l.ready[1:]
	all := []*queue{first}
	if l.apart || !first.shares() {
		return all
	}
	left := l.ready[:0]
	for _, q := range l.ready {
		if len(all) < maxTogether && q.shares() {
			all = append(all, q)
		} else {
			left = append(left, q)
		}
	}
	l.ready = left
	return all
}

// shares reports whether the lane is an account's, and not crowded.
func (q *queue) shares() bool { return q.lane > 0 && len(q.jobs) <= maxOfLane }

// over ends a turn, whose lanes are free.
func (l *lanes) over(t *turn) {
	t.ages.Stop()
	l.age(t)
}

// free lets others take a lane. They may be waiting longer, so that one with more jobs
// goes to the end.
func (l *lanes) free(q *queue) {
	l.mu.Lock()
	q.taken = false
	l.mu.Unlock()
	l.offer(q)
}

// end lets the writers go when nothing is ready.
func (l *lanes) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.more.Broadcast()
}
