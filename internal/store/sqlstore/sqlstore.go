// Package sqlstore is the SQL implementation of package store. Its dialect is
// SQLite: one database file, one writer that commits many transactions at once,
// and readers on snapshots of the log.
package sqlstore

import (
	"context"
	"encoding/binary"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/notify"
	"lockstep/internal/store"
)

// DB implements the contract of package store.
var (
	_ store.Store     = (*DB)(nil)
	_ store.Directory = (*DB)(nil)
	_ store.Queue     = (*DB)(nil)
	_ store.Intents   = (*DB)(nil)
	_ store.Erasures  = (*DB)(nil)
	_ store.Keeper    = (*DB)(nil)
	_ store.Leases    = (*DB)(nil)
	_ store.Nodes     = (*DB)(nil)
	_ store.Files     = (*DB)(nil)
	_ store.Endings   = (*DB)(nil)
	_ store.Failures  = (*DB)(nil)
)

// Options say how a database is used. The zero Options are good.
type Options struct {
	Hub     *notify.Hub      // who is told of commits; nil makes one
	Log     *slog.Logger     // nil logs nothing
	Now     func() time.Time // nil is time.Now
	Guard   mail.GuardRule   // when what a device deletes is a flood
	Readers int              // at most, at once; 0 is twice the processors
	// Readdressed is called after each commit that changed addresses or domains, for
	// other nodes to be told, which ForgetAddresses. It must not block; nil is nobody.
	Readdressed func()
	// Program is the version that is running, as the database is to say of who upgraded
	// it. Upgrading is told of an upgrade's progress, before each part; nil is nobody.
	Program   string
	Upgrading func(Upgrade)
	Password  string // of PostgreSQL, if its URL has none
	// Dial connects to PostgreSQL in place of net.Dialer, whose connections notice when
	// the other side is gone without a word; nil is that.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Lossless says that no server is promoted that lacks a commit that was acknowledged,
	// so that a change over is none that anybody has to hear of.
	Lossless bool
	// RunTwice runs every closure twice, the first time in vain, to prove that
	// closures bear repeating, and panics when one asks for a View or an Update. For
	// tests.
	RunTwice bool

	// Mark is the path of a small file that is kept beside the database, by which an
	// older copy that was put in its place is found out when it is opened; see mark.
	// "" keeps none.
	Mark string
	// Identity names the database's file, and no copy of it; "" is not known. nil asks
	// the machine.
	Identity func(path string) string

	// LogPages is how long the log becomes before it is written back; 0 is a good number.
	LogPages int

	steps   fs.FS // nil is the migrations of this program
	stepsIn string
}

// DB is an open database. Close it when nobody uses it any more.
type DB struct {
	path    string
	hub     *notify.Hub
	log     *slog.Logger
	now     func() time.Time
	guard   mail.GuardRule
	shared  bool      // other nodes may have it open
	pg      *postgres // nil is SQLite, and what follows is its
	writer  *writer
	readers *pool
	stats   counters

	whose       whose
	onAddresses func() // nil: nobody wants to know
	tails       tails  // used by the writer

	marking marking

	closing  sync.RWMutex // held for reading by who uses the writer
	closed   bool
	done     sync.WaitGroup
	walIndex *os.File

	naming      naming
	outgoing    numberBlock
	stopFilling context.CancelFunc
	checkpts    chan struct{}
	pages       int // of log after which it is written back

	keeping  sync.Mutex  // guards what follows
	scouring *os.File    // the database, once it was scoured
	keeper   *sqliteConn // writes the log back
	torn     bool        // the last checkpoint failed; see copyLog
	unzeroed bool        // the sync that ends a scour failed

	copies copies // guarded by the writer's turn
}

// counters are counted always: they tell whether the writer groups.
type counters struct {
	commits, closures, rerun, commitNanos, checkpoints, stuck atomic.Int64
}

// Stats are counts since the database was opened.
type Stats struct {
	Commits     int64 // transactions of the engine, each one sync
	Closures    int64 // logical transactions
	Reruns      int64 // batches that ran again: the engine rolled them back, or one failed half done
	Checkpoints int64
	Stuck       int64 // of those, the ones of a long log that a View was held through
	Statements  int64 // run by the writer
	CommitTime  time.Duration
}

// Stats returns the counts so far.
func (db *DB) Stats() Stats {
	return Stats{
		Commits: db.stats.commits.Load(), Closures: db.stats.closures.Load(), Reruns: db.stats.rerun.Load(),
		Checkpoints: db.stats.checkpoints.Load(), Stuck: db.stats.stuck.Load(), Statements: db.statements(), CommitTime: time.Duration(db.stats.commitNanos.Load()),
	}
}

// Open opens the database at path, makes it if it is not there and brings its
// schema up to date. Before it does, it keeps a snapshot of it. One that was brought
// to a schema that this program can't work on is Unavailable, and a NewerError.
func Open(ctx context.Context, path string, o Options) (*DB, error) {
	if err := refuseStrangeLog(path, o.Mark); err != nil {
		return nil, err
	}
	if err := emptyUnborn(path); err != nil {
		return nil, onDisk(err)
	}
	based, known := basedAlone(path)
	c, err := openUpgraded(path, o)
	if err != nil {
		return nil, err
	}
	db := &DB{path: path, hub: o.Hub, log: o.Log, now: o.Now, guard: o.Guard, onAddresses: o.Readdressed, checkpts: make(chan struct{}, 1)}
	db.defaults()
	if o.Readers <= 0 {
		o.Readers = 2 * runtime.GOMAXPROCS(0)
	}
	db.pages = o.LogPages
	if db.pages <= 0 {
		db.pages = checkpointPages
	}
	if db.keeper, err = openKeeper(path); err != nil {
		c.close()
		return nil, err
	}
	if db.walIndex, err = os.OpenFile(path+"-shm", os.O_RDWR, 0); err != nil {
		db.keeper.close()
		c.close()
		return nil, onDisk(err)
	}
	db.readers = newPool(o.Readers, func() (pooled, error) { return openSQLite(path, readerCacheBytes) })
	db.writer = &writer{c: c, jobs: make(chan *job, maxBatch), runTwice: o.RunTwice, stats: &db.stats, before: db.catchUp, undone: db.tails.forget, note: db.note, start: func() error { return begin(c) }}
	db.marking.based.Store(based)
	db.done.Go(db.writer.loop)
	db.done.Go(db.checkpoint)
	db.naming.known.full = make(chan struct{}, 1)
	filling, stop := context.WithCancel(context.Background())
	db.stopFilling = stop
	db.done.Go(func() { db.keepFilter(filling) })
	if err = db.ask(ctx, refuseMoving); err == nil {
		err = db.settleMark(ctx, o, known)
	}
	if err == nil {
		err = db.FinishCut(ctx)
	}
	if err != nil {
		db.Close()
		return nil, err
	}
	if o.Mark != "" {
		db.done.Go(func() { db.keepMark(filling) })
	}
	return db, nil
}

// Close waits for what is under way, writes the log back and closes the
// database.
func (db *DB) Close() error {
	db.catchUpMark(context.Background())
	db.closing.Lock()
	if db.closed {
		db.closing.Unlock()
		return nil
	}
	db.closed = true
	if db.pg != nil {
		db.pg.lanes.end()
		close(db.pg.unheard.stop)
	} else {
		close(db.writer.jobs)
		close(db.checkpts)
		db.stopFilling()
	}
	db.closing.Unlock()
	db.done.Wait()
	if db.pg != nil {
		db.readers.close()
		return nil
	}
	if err := db.copyAnew(); err != nil {
		return err // whoever closes it last would take the log away
	}
	db.readers.close()
	db.keeper.close()
	err := db.writer.c.close()
	if db.walIndex != nil {
		db.walIndex.Close() // last: closing a file gives back all locks that the process has on it (fcntl)
	}
	if db.scouring != nil {
		db.scouring.Close()
	}
	db.copies.close() // so
	if db.marking.file != nil {
		db.marking.file.Close() // so
	}
	return err
}

var errClosed = mail.Errorf(mail.Unavailable, "the server is stopping")

func (db *DB) statements() int64 {
	if db.pg == nil {
		return db.writer.c.statements()
	}
	n := int64(0)
	for _, c := range db.pg.writers {
		n += c.statements()
	}
	return n
}

// write runs fn in a writer of the lane: durable, and not alone, when it returns nil.
func (db *DB) write(ctx context.Context, in lane, fn func(conn) error, after func()) error {
	db.closing.RLock()
	defer db.closing.RUnlock()
	if db.closed {
		return errClosed
	}
	fn = fenced(ctx, fn)
	if db.pg != nil {
		db.notInside()
		return db.pg.lanes.do(ctx, in, fn, after)
	}
	defer db.watchLog()
	return db.writer.do(ctx, fn, after)
}

// read runs fn on a snapshot.
func (db *DB) read(ctx context.Context, fn func(conn) error) error {
	return db.ask(ctx, func(c conn) error {
		if err := c.later(db.beginView()); err != nil {
			return err
		}
		defer c.later("COMMIT")
		return fn(c)
	})
}

// beginView begins a snapshot.
func (db *DB) beginView() string {
	if db.pg != nil {
		return "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
	}
	return "BEGIN"
}

// ask runs fn on a connection that reads. Each of its statements sees a snapshot
// of its own, which is all that one alone needs. A connection that broke since it was
// used last shows it by its first answer, which does not come: fn has heard nothing
// then, and is run once more on a new one.
func (db *DB) ask(ctx context.Context, fn func(conn) error) error {
	db.notInside()
	c, err := db.readers.get(ctx)
	if err != nil {
		return err
	}
	defer func() { db.readers.put(c) }()
	mark := c.mark()
	err = fn(c)
	if err == nil || !c.brokeAt(mark) || ctx.Err() != nil {
		return err
	}
	fresh, failed := db.readers.instead(c)
	if failed != nil {
		return err
	}
	c = fresh
	return fn(c)
}

// The log is written back at about checkpointPages. Beside a writer that never
// rests, or with readers that keep it from being reused, it becomes longer; at
// longLog times that the writer does nothing else before.
const (
	checkpointPages = 16000
	longLog         = 4
)

// How long the checkpointer, and with it the writer, waits for readers of the
// log, and when the log is long.
const (
	checkpointPatience = 5 * time.Millisecond
	longLogPatience    = 2 * time.Second
)

// watchLog wakes the checkpointer when the log is long.
func (db *DB) watchLog() {
	if db.logPages() >= db.pages {
		select {
		case db.checkpts <- struct{}{}:
		default:
		}
	}
}

// logPages returns the length of the log: mxFrame in the header of the index
// that all connections share (SQLite's "WAL-mode File Format", §2.1).
func (db *DB) logPages() int {
	if db.walIndex == nil {
		return 0
	}
	var n [4]byte
	if _, err := db.walIndex.ReadAt(n[:], 16); err != nil && err != io.EOF {
		return 0
	}
	return int(binary.NativeEndian.Uint32(n[:]))
}

// checkpoint writes the log back on a connection of its own, so that hardly
// anybody's commit waits for it.
func (db *DB) checkpoint() {
	for range db.checkpts {
		db.writeBack()
	}
}

// catchUp is what the writer does before a batch. It bounds the log: by one batch
// more than when it is long, and another for each time that a View was held for
// longer than the writer waits.
func (db *DB) catchUp() {
	if db.isLong() {
		db.writeBack()
	}
}

func (db *DB) isLong() bool { return db.logPages() >= longLog*db.pages }

// writeBack copies the log into the database beside the writer, then lets the
// writer pause for the rest, as a log that is never all copied never begins anew.
func (db *DB) writeBack() {
	db.keeping.Lock()
	defer db.keeping.Unlock()
	db.stats.checkpoints.Add(1)
	_, err := db.copyLog("PASSIVE")
	if err == nil {
		err = db.beginAnew()
	}
	if err != nil {
		db.log.Warn("checkpoint", "err", err)
	}
}

// beginAnew copies the rest of the log and waits until no reader needs it, so that
// the next commit begins it anew.
func (db *DB) beginAnew() error {
	long := db.isLong()
	db.keeper.c.SetBusyTimeout(checkpointPatience)
	if long {
		db.keeper.c.SetBusyTimeout(longLogPatience)
	}
	db.writer.turn.Lock()
	defer db.writer.turn.Unlock()
	busy, err := db.copyLog("RESTART")
	if busy && long {
		db.stats.stuck.Add(1)
		db.log.Warn("a View is held too long, and the database's log grows", "pages", db.logPages())
	}
	return err
}
