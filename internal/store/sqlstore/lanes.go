package sqlstore

import (
	"context"
	"sync"

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
const (
	queueLane  lane = -1000
	queueLanes      = 8
)

// queueLaneOf spreads what is about one delivery, or one row, over the lanes.
func queueLaneOf(n uint64) lane { return queueLane - lane(n%queueLanes) }

// lanes give the closures of a lane to one writer at a time, and many lanes to many
// writers: closures that come while their lane is busy are committed together.
type lanes struct {
	mu    sync.Mutex
	open  map[lane]*queue
	ready []*queue // have jobs, and no writer
	more  *sync.Cond
	ended bool
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
	j := &job{ctx: ctx, run: fn, after: after, done: make(chan struct{})}
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
	l.ready = append(l.ready, q)
	l.more.Signal()
}

// take waits for a lane that is ready; nil: there will be none.
func (l *lanes) take() *queue {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.ready) == 0 && !l.ended {
		l.more.Wait()
	}
	if len(l.ready) == 0 {
		return nil
	}
	q := l.ready[0]
	l.ready = l.ready[1:]
	return q
}

// giveBack ends a writer's turn. Others may be waiting longer, so that a lane with
// more jobs goes to the end.
func (l *lanes) giveBack(q *queue) {
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
