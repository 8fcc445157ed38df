package sqlstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"lockstep/internal/mail"
)

// A commit's sync overlaps with the batches that follow: the writer commits, and does not
// wait for the disk. Other goroutines sync the log for all that was committed meanwhile,
// and only then are the closures' callers answered and watchers called. What SQLite shows
// is ahead of the disk by that much, so whoever reads looks, once the snapshot stands,
// whether all of it is durable, and waits if it is not; and the log is not written back
// before.
//
// When a sync fails, all that was committed since the last that is durable is taken back:
// nobody was told of it, and nobody was shown it. See takeBack.

// syncsAtOnce is how many syncs of a log run beside each other. With one, half of those
// who write would wait while the other half's is under way, and on a disk that is slow
// that would be worse than no overlap. Each has the log open for itself: the kernel tells
// of a failure once for each time that a file was opened, so that two who shared that
// could have each other's.
const syncsAtOnce = 2

// logSync is how far a database's log is committed, and how far it is durable. Commits
// are counted from 1.
type logSync struct {
	id    int64 // in logSyncs
	fault Fault
	sync  func(*os.File) error

	// Used by the writer, in its turn.
	begun     bool // a commit is under way, whose sync may be postponed
	postponed bool // it was

	committed atomic.Int64 // grows before a commit can be seen
	durable   atomic.Int64
	failed    atomic.Bool  // a sync failed, and what it was for was not yet taken back
	takings   atomic.Int64 // how often something was taken back
	copying   atomic.Int64 // takings when the checkpoint under way began

	answering sync.Mutex // held by who answers, so that answers keep the order of the commits

	mu      sync.Mutex    // guards what follows
	work    *sync.Cond    // waiting, or ended
	changed *sync.Cond    // what is committed, durable or failed, or syncing
	waiting []*commit     // for a sync to begin
	pending []*commit     // for one to end, or for their answer
	syncing int           // syncs under way
	room    chan struct{} // closed when a sync could begin at once
	safe    indexHead     // of the last commit that is durable
	taken   int64         // commits up to this one that are not durable were taken back
	ended   bool
}

// A commit is what waits for its sync.
type commit struct {
	n      int64
	wrote  bool // something that has to be synced
	head   indexHead
	answer func(error)
	done   bool
	err    error
}

// logSyncs finds a logSync for the methods of a log, which is known to SQLite by a number.
var logSyncs struct {
	sync.RWMutex
	of   map[int64]*logSync
	last int64
}

func newLogSync(fault Fault) *logSync {
	l := &logSync{fault: fault, room: make(chan struct{}), sync: syncDataOf}
	l.work, l.changed = sync.NewCond(&l.mu), sync.NewCond(&l.mu)
	logSyncs.Lock()
	defer logSyncs.Unlock()
	if logSyncs.of == nil {
		logSyncs.of = map[int64]*logSync{}
	}
	logSyncs.last++
	l.id = logSyncs.last
	logSyncs.of[l.id] = l
	return l
}

// release forgets a logSync that no connection has any more.
func (l *logSync) release() {
	logSyncs.Lock()
	defer logSyncs.Unlock()
	delete(logSyncs.of, l.id)
}

// number is what openFile is told of a logSync; 0 is none.
func (l *logSync) number() int64 {
	if l == nil {
		return 0
	}
	return l.id
}

func logSyncOf(id int64) *logSync {
	if id == 0 {
		return nil
	}
	logSyncs.RLock()
	defer logSyncs.RUnlock()
	return logSyncs.of[id]
}

var errUnsynced = &mail.Error{Kind: mail.Unavailable, Detail: "the server cannot write its disk", Err: errors.New("a sync of the database's log failed, and what it was for is taken back")}

// begin is called before a commit can be seen.
func (l *logSync) begin() {
	l.begun, l.postponed = true, false
	l.committed.Add(1)
}

// fail is called instead of add for a commit that failed, and was never seen.
func (l *logSync) fail() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begun = false
	l.committed.Add(-1)
	l.changed.Broadcast()
}

// postpone leaves the sync of a commit to others, if it may be.
func (l *logSync) postpone() bool {
	if l == nil || !l.begun || !hasSyncData {
		return false
	}
	l.postponed = true
	return true
}

// add hands a commit on to be synced; answer is called, in the order of the commits,
// once it is durable, or will never be. Without a begin it is one that changed nothing.
func (l *logSync) add(head indexHead, answer func(error)) {
	if !l.begun {
		l.begin()
	}
	l.begun = false
	c := &commit{n: l.committed.Load(), wrote: l.postponed, head: head, answer: answer}
	if l.fault == AnswersEarly {
		answer(nil)
		c.answer = func(error) {}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = append(l.waiting, c)
	l.work.Signal()
}

// hasRoom is closed when a sync of what is committed now could begin at once.
func (l *logSync) hasRoom() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	room := l.room
	l.tellOfRoom()
	return room
}

func (l *logSync) tellOfRoom() {
	if len(l.waiting) == 0 && l.syncing < syncsAtOnce {
		close(l.room)
		l.room = make(chan struct{})
	}
}

// loop syncs what is committed, through a log of its own, until end is called. mend is
// called after a sync that failed.
func (l *logSync) loop(log *os.File, mend func()) {
	for last, needed := l.next(); last != nil; last, needed = l.next() {
		var err error
		if needed {
			err = l.sync(log)
		}
		l.settle(last, err)
		l.answer()
		if l.failed.Load() {
			mend()
		}
	}
}

// next takes all that waits, and returns the last of it, nil when there will be nothing;
// needed is whether a sync is. After one that failed none is begun: it may succeed, and
// there be a hole before what it was for.
func (l *logSync) next() (last *commit, needed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.waiting) == 0 {
		if l.ended {
			return nil, false
		}
		l.work.Wait()
	}
	needed = l.durable.Load() < l.waiting[0].n-1
	for _, c := range l.waiting {
		needed = needed || c.wrote
		last = c
	}
	needed = needed && !l.failed.Load() && last.n > l.taken
	l.pending = append(l.pending, l.waiting...)
	l.waiting = nil
	l.syncing++
	l.tellOfRoom()
	return last, needed
}

// settle says what became of a sync that was for commits up to the last. One that
// succeeds while another has failed is not believed.
func (l *logSync) settle(last *commit, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.syncing--
	if err != nil {
		l.failed.Store(true)
	}
	lost := l.failed.Load()
	for _, c := range l.pending {
		switch {
		case c.done:
		case lost || c.n <= l.taken:
			c.done, c.err = true, errUnsynced
		case c.n <= last.n:
			c.done = true
		}
	}
	if !lost && last.n > l.taken && last.n > l.durable.Load() {
		l.safe = last.head
		l.durable.Store(last.n)
	}
	l.tellOfRoom()
	l.changed.Broadcast()
}

// answer answers what is settled.
func (l *logSync) answer() {
	l.answering.Lock()
	defer l.answering.Unlock()
	for c := l.settled(); c != nil; c = l.settled() {
		c.answer(c.err)
	}
}

// settled takes the first commit that was not answered, if it is settled.
func (l *logSync) settled() *commit {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.pending) == 0 || !l.pending[0].done {
		return nil
	}
	c := l.pending[0]
	l.pending[0] = nil
	l.pending = l.pending[1:]
	return c
}

// quiet returns when no sync is under way. There will be none after one that failed.
func (l *logSync) quiet() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.syncing > 0 {
		l.changed.Wait()
	}
}

// lastSafe is the head of the index as of the last commit that is durable.
func (l *logSync) lastSafe() indexHead {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.safe
}

// tookBack notes that all that is not durable was taken back.
func (l *logSync) tookBack() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken = l.committed.Load()
	l.durable.Store(l.taken)
	l.takings.Add(1) // before what follows lets anybody begin
	l.failed.Store(false)
	l.changed.Broadcast()
}

// shown returns once all that a snapshot can have is durable. It began after takings was
// looked at.
func (l *logSync) shown(takings int64) error {
	want := l.committed.Load()
	if l.durable.Load() < want && l.fault != ShowsEarly {
		l.await(want)
	}
	if l.failed.Load() || l.takings.Load() != takings {
		return errUnsynced
	}
	return nil
}

// await waits until a commit is durable, or will never be.
func (l *logSync) await(n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.durable.Load() < n && l.durable.Load() < l.committed.Load() && !l.failed.Load() {
		l.changed.Wait()
	}
}

// copied reports whether the log may be written back: all that the checkpoint under way
// can have seen is durable.
func (l *logSync) copied() bool { return l == nil || l.shown(l.copying.Load()) == nil }

func (l *logSync) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.work.Broadcast()
}

// An indexHead is the head of the index of the log as SQLite compares it (WalIndexHdr,
// "WAL-mode File Format", §2.1), which has it twice.
type indexHead [48]byte

// Where what is in an indexHead.
const (
	headChange = 8
	headFrames = 16
	headSalt   = 32
	headSum    = 40
)

// indexHead reads the head of the index. One that can't be read is zeros, which is none.
func (db *DB) indexHead() (h indexHead) {
	if _, err := db.walIndex.ReadAt(h[:], 0); err != nil {
		return indexHead{}
	}
	return h
}

// mend takes back what a sync that failed was for, if nobody has. What does not work
// now is tried again before each batch.
func (db *DB) mend() {
	db.writer.turn.Lock()
	defer db.writer.turn.Unlock()
	if err := db.takeBack(); err != nil {
		db.log.Warn("what could not be synced can't be taken back", "err", err)
	}
}

// takeBack makes the index of the log say that what came after the last durable commit
// was never committed, as if who wrote it had ended before: what is written next is
// written over it. It holds SQLite's lock for writing meanwhile, so that nobody who sees
// half of it reads the log instead. The caller holds the writer's turn.
func (db *DB) takeBack() error {
	if !db.syncs.failed.Load() {
		return nil
	}
	db.syncs.quiet()
	c := db.writer.c
	db.tails.forget()
	if c.inTransaction() {
		if err := rollback(c); err != nil {
			return err
		}
	}
	if err := begin(c); err != nil {
		return err
	}
	if err := errors.Join(db.resetHead(), rollback(c)); err != nil {
		return err
	}
	if err := db.noteAnew(); err != nil {
		return err
	}
	db.syncs.tookBack()
	return nil
}

// resetHead writes the head of the last durable commit. A log that began anew since
// then had all been written back: it has nothing.
func (db *DB) resetHead() error {
	now, safe := db.indexHead(), db.syncs.lastSafe()
	if now == (indexHead{}) || safe == (indexHead{}) {
		return mail.Errorf(mail.Unavailable, "the index of the database's log can't be read")
	}
	if !bytes.Equal(safe[headSalt:headSum], now[headSalt:headSum]) {
		copy(safe[headSalt:headSum], now[headSalt:headSum])
		clear(safe[headFrames : headFrames+4])
	}
	// No head is ever the same as another, by which connections know that what they
	// remember of pages still is so.
	binary.NativeEndian.PutUint32(safe[headChange:], binary.NativeEndian.Uint32(now[headChange:])+1)
	safe.sign()
	for _, at := range []int64{int64(len(safe)), 0} { // in the order in which SQLite writes them
		if _, err := db.walIndex.WriteAt(safe[:], at); err != nil {
			return onDisk(fmt.Errorf("the index of the database's log: %w", err))
		}
	}
	return nil
}

// sign puts the checksum at the end (§4.1).
func (h *indexHead) sign() {
	var a, b uint32
	for i := 0; i < headSum; i += 8 {
		a += binary.NativeEndian.Uint32(h[i:]) + b
		b += binary.NativeEndian.Uint32(h[i+4:]) + a
	}
	binary.NativeEndian.PutUint32(h[headSum:], a)
	binary.NativeEndian.PutUint32(h[headSum+4:], b)
}
