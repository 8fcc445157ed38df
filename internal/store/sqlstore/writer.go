package sqlstore

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"lockstep/internal/mail"
)

// Bounds of a batch: what is committed together.
const (
	maxBatch     = 256
	maxBatchTime = 10 * time.Millisecond
)

// job is a closure on its way through the writer. Its results go only to what
// run sets, since run may run again.
type job struct {
	ctx    context.Context
	run    func(conn) error
	after  func() // once committed, in the order of the commits; may be nil
	state  atomic.Int32
	err    error
	panick *panicked
	done   chan struct{}
	// The bytes it names that may not be durable yet. If they never will be, the job
	// is lost.
	pending  []*mail.Pending
	lost     bool
	attempts int   // that others were in the way of
	foreseen []ask // first, if the transaction begins with it
}

const (
	queued int32 = iota
	begun
	abandoned
)

// panicked is a panic on its way back to who caused it.
type panicked struct {
	value any
	stack []byte
}

// writer owns the one connection that writes, and commits many closures at
// once. They run one after the other in one transaction, as if none could fail;
// when one does that has already changed something, the transaction begins anew
// and each runs in a savepoint. For SQLite copies every page that is changed
// inside a savepoint, which cost a sixth of a delivery, and failing after a change
// is rare.
type writer struct {
	c        conn
	jobs     chan *job
	runTwice bool // and look for a closure that waits for the writer
	stats    *counters
	goid     atomic.Uint64
	turn     sync.Mutex // held during a batch, or by the checkpointer
	before   func()     // called before each batch
	undone   func()     // called when something was rolled back
	note     func()     // called after each commit, also one that failed
	start    func() error
	// retry reports whether a job that failed is to be run again, later; nil is never.
	retry func(*job) bool
	// lost is a test's way to make a transaction fall over after a closure.
	lost func(conn)
}

// do runs fn in the writer and returns once it is durable.
func (w *writer) do(ctx context.Context, fn func(conn) error, after func()) error {
	w.notInside()
	j := &job{ctx: ctx, run: fn, after: after, done: make(chan struct{})}
	select {
	case w.jobs <- j:
	case <-ctx.Done():
		return ctx.Err()
	}
	return j.wait()
}

// wait returns when the job is done, or given up before it began.
func (j *job) wait() error {
	select {
	case <-j.done:
	case <-j.ctx.Done():
		if j.state.CompareAndSwap(queued, abandoned) {
			return j.ctx.Err()
		}
		<-j.done
	}
	if j.panick != nil {
		panic(fmt.Sprintf("%v\n\nin the writer:\n%s", j.panick.value, j.panick.stack))
	}
	return j.err
}

// loop serves jobs until the channel is closed.
func (w *writer) loop() {
	w.goid.Store(goid())
	for j := range w.jobs {
		w.before()
		w.batch(j)
	}
}

// notInside panics in the writer's own goroutine, where who asks for the writer
// would wait for himself for ever. It is for tests: it walks the stack.
func (w *writer) notInside() {
	if w.runTwice && goid() == w.goid.Load() {
		panic("sqlstore: View, Update or Note inside a closure of the writer")
	}
}

// batch runs first and whatever else is waiting, and commits. It waits for
// nobody: others arrive while a commit is under way.
func (w *writer) batch(first *job) {
	w.turn.Lock()
	defer w.turn.Unlock()
	var jobs []*job
	err := w.begin()
	guarded := w.runTwice
	started := time.Now()
	for j := first; j != nil; j = w.next(jobs, started) {
		if !j.state.CompareAndSwap(queued, begun) {
			continue
		}
		jobs = append(jobs, j)
		if j.err = err; err != nil {
			continue
		}
		if clean := w.run(j, guarded); !clean && w.c.inTransaction() {
			guarded = true
			err = w.again(jobs)
		}
		if err == nil && !w.c.inTransaction() {
			w.alone(jobs)
			return
		}
	}
	if err == nil && loses(jobs) {
		if err = w.again(jobs); err == nil && !w.c.inTransaction() {
			w.alone(jobs)
			return
		}
	}
	if err == nil {
		err = w.commit()
	}
	if err != nil && w.retry != nil && isAborted(err) { // by something that one of them put off
		w.alone(jobs)
		return
	}
	w.answer(jobs, err)
}

// loses waits until all that the jobs name is durable, and reports whether there is
// a job whose bytes never will be.
func loses(jobs []*job) (some bool) {
	for _, j := range jobs {
		for _, p := range j.pending {
			if err := p.Wait(); err != nil && j.err == nil {
				j.err, j.lost, some = err, true, true
			}
		}
	}
	return some
}

// again runs the jobs of a batch anew, but for those that are lost, each in a
// savepoint, since what the last one left behind can't be told from what the others
// did.
func (w *writer) again(jobs []*job) error {
	w.stats.rerun.Add(1)
	if err := w.rollback(); err != nil {
		return err
	}
	if err := w.begin(); err != nil {
		return err
	}
	for _, j := range jobs {
		if j.lost {
			continue
		}
		j.err, j.panick = nil, nil
		if w.run(j, true); !w.c.inTransaction() {
			break
		}
	}
	return nil
}

// next returns the next job of the batch, or nil when the batch closes. While bytes
// that were named are still on their way there is time for others.
func (w *writer) next(jobs []*job, started time.Time) *job {
	if len(jobs) >= maxBatch || len(jobs) > 0 && time.Since(started) > maxBatchTime {
		return nil
	}
	select {
	case j := <-w.jobs:
		return j // nil when the writer closes
	default:
	}
	for _, j := range jobs {
		for _, p := range j.pending {
			select {
			case j := <-w.jobs:
				return j
			case <-p.Ended():
			}
		}
	}
	return nil
}

// alone runs the jobs of a batch that the engine rolled back again, each in a
// transaction of its own.
func (w *writer) alone(jobs []*job) {
	w.stats.rerun.Add(1)
	for _, j := range jobs {
		if j.lost || loses([]*job{j}) {
			w.answer([]*job{j}, nil)
			continue
		}
		w.undone()
		j.err, j.panick = w.begin(), nil
		if j.err == nil {
			w.run(j, true)
		}
		var err error
		switch {
		case w.c.inTransaction():
			err = w.commit()
		case j.err == nil && j.panick == nil:
			w.undone()
			err = errLost
		}
		w.answer([]*job{j}, err)
	}
}

// begin begins a transaction. One that still stands could not be rolled back when
// it failed: until that works nothing is written, and nothing of it ever is.
func (w *writer) begin() error {
	if w.c.inTransaction() {
		if err := w.rollback(); err != nil {
			return err
		}
	}
	return w.start()
}

func (w *writer) rollback() error {
	w.undone()
	if err := rollback(w.c); err != nil {
		return &mail.Error{Kind: mail.Unavailable, Detail: "the database can't be written now", Err: err}
	}
	return nil
}

// begin begins a transaction that will write.
func begin(c conn) error {
	sql := "BEGIN IMMEDIATE"
	if _, is := c.(*pgConn); is {
		sql = "BEGIN"
	}
	_, err := c.exec(sql)
	return err
}

func rollback(c conn) error {
	if p, is := c.(*pgConn); is {
		return p.rollback()
	}
	return c.script("ROLLBACK")
}

var errLost = mail.Errorf(mail.Unavailable, "the database took the change back; it can be tried again")

// run runs one job, in a savepoint if it is guarded, so that its failing leaves
// the others alone. clean is false when it failed and something of it stands.
func (w *writer) run(j *job, guarded bool) (clean bool) {
	if j.err = j.ctx.Err(); j.err != nil {
		return true
	}
	w.stats.closures.Add(1)
	defer func() { j.pending = w.c.pending().take() }()
	before := w.c.writes()
	if c, ok := w.c.(*pgConn); ok {
		if j.err = c.foresee(j.foreseen); j.err != nil {
			return false
		}
	}
	switch {
	case !guarded:
		j.err = w.call(j)
	case w.runTwice:
		if j.err = w.savepoint(j, false); j.err == nil && j.panick == nil {
			j.err = w.savepoint(j, true)
		}
	default:
		j.err = w.savepoint(j, true)
	}
	if w.lost != nil {
		w.lost(w.c)
	}
	return guarded || j.err == nil && j.panick == nil || w.c.writes() == before
}

// savepoint runs a job once and keeps what it did if that is wanted and it
// succeeded.
func (w *writer) savepoint(j *job, keep bool) error {
	if _, err := w.c.exec("SAVEPOINT job"); err != nil {
		return err
	}
	err := w.call(j)
	if err == nil && j.panick == nil {
		err = w.c.flush()
	}
	if !w.c.inTransaction() {
		return err
	}
	if err != nil || j.panick != nil || !keep {
		w.undone()
		if _, rollbackErr := w.c.exec("ROLLBACK TO job"); rollbackErr != nil {
			return rollbackErr
		}
	}
	if _, releaseErr := w.c.exec("RELEASE job"); releaseErr != nil {
		return releaseErr
	}
	return err
}

func (w *writer) call(j *job) (err error) {
	defer func() {
		if v := recover(); v != nil {
			j.panick = &panicked{v, debug.Stack()}
		}
	}()
	return j.run(w.c)
}

func (w *writer) commit() error {
	started := time.Now()
	err := w.c.commit()
	if err != nil {
		w.undone()
	}
	if err != nil && w.c.inTransaction() {
		_ = w.rollback() // else begin tries again
	}
	w.note()
	w.stats.commits.Add(1)
	w.stats.commitNanos.Add(int64(time.Since(started)))
	return err
}

// answer publishes what was committed, then lets the callers go on.
func (w *writer) answer(jobs []*job, err error) {
	for _, j := range jobs {
		if j.err == nil {
			j.err = err
		}
		if j.err == nil && j.panick == nil && j.after != nil {
			j.after()
		}
	}
	for _, j := range jobs {
		if w.retry == nil || j.err == nil || j.panick != nil || !w.retry(j) || !w.takeBack(j) {
			close(j.done)
		}
	}
}

// takeBack puts a job that is to be run again behind those that wait.
func (w *writer) takeBack(j *job) bool {
	j.err = nil
	j.state.Store(queued)
	select {
	case w.jobs <- j:
		return true
	default:
		j.err = errLost
		return false
	}
}
