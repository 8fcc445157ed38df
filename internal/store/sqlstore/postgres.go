package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"lockstep/internal/mail"
	"lockstep/internal/notify"
)

// How long the database is waited for.
const (
	pgConnectTime   = 5 * time.Second // unless the URL says it
	pgCloseTime     = time.Second
	pgSilence       = 15 * time.Second // of a connection that should say something
	pgStatementTime = time.Minute
	pgLockTime      = 20 * time.Second
	pgIdleTime      = time.Minute // in a transaction
)

// maxAttempts bounds how often a closure runs when others change the same at once.
const maxAttempts = 8

// pgWriters is how many transactions a node has open for writing, unless it is told:
// enough that their syncs are one, few enough that a hundred nodes fit a server.
const pgWriters = 16

// postgres is the engine that any number of nodes use at once. Each lane's batch is
// a transaction that begins with the lane's lock, which is the row of its account or
// one of table lane.
type postgres struct {
	lanes   *lanes
	writers []*pgConn
	twice   bool     // for tests, as is what follows
	goids   sync.Map // of the writers
	dial    func(context.Context) (*pgconn.PgConn, error)
	over    *changeover
	unheard unheard
}

// PostgresURL begins the name of a database that OpenPostgres takes.
const PostgresURL = "postgres://"

// OpenPostgres opens a database of PostgreSQL, as libpq names it, makes its schema
// if it is empty, and brings it up to date. Any number of nodes may have it open.
func OpenPostgres(ctx context.Context, url string, o Options) (*DB, error) {
	over := &changeover{found: make(chan struct{})}
	dial, err := pgDialer(url, o, over)
	if err != nil {
		return nil, err
	}
	db := &DB{hub: o.Hub, log: o.Log, now: o.Now, guard: o.Guard, onAddresses: o.Readdressed, shared: true}
	db.defaults()
	db.tails.direct, db.naming.shared = true, true
	if err := migratePostgres(ctx, dial, o); err != nil {
		return nil, err
	}
	readers := o.Readers
	if readers <= 0 {
		readers = max(8, 2*runtime.GOMAXPROCS(0))
	}
	db.readers = newPool(readers, func() (pooled, error) {
		c := &pgConn{open: dial}
		return c, c.connect(context.Background())
	})
	db.pg = &postgres{lanes: newLanes(), dial: dial, twice: o.RunTwice, over: over, unheard: newUnheard()}
	if db.pg.lanes.apart, err = isSpread(ctx, dial); err != nil {
		db.readers.close()
		return nil, err
	}
	for range pgWriters {
		c := &pgConn{open: dial, writer: true}
		db.pg.writers = append(db.pg.writers, c)
		db.done.Go(func() { db.writeLanes(c, o.RunTwice) })
	}
	err = db.ask(ctx, refuseMoving)
	if err == nil {
		err = db.settleEngine(ctx, o.Lossless)
	}
	if err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// pgDialer makes connections that answer, time out and commit as they should.
func pgDialer(url string, o Options, over *changeover) (func(context.Context) (*pgconn.PgConn, error), error) {
	cfg, err := pgconn.ParseConfig(url)
	if err != nil {
		return nil, &mail.Error{Kind: mail.Invalid, Detail: "the database's URL can't be used", Err: err}
	}
	if o.Password != "" {
		cfg.Password = o.Password
	}
	if cfg.ConnectTimeout == 0 { // connect_timeout of the URL
		cfg.ConnectTimeout = pgConnectTime
	}
	cfg.DialFunc = (&net.Dialer{Timeout: cfg.ConnectTimeout, KeepAlive: pgSilence / 3, Control: giveUpOnSilence}).DialContext
	if o.Dial != nil {
		cfg.DialFunc = o.Dial
	}
	set := func(name, value string) {
		if cfg.RuntimeParams[name] == "" {
			cfg.RuntimeParams[name] = value
		}
	}
	set("application_name", "lockstep")
	set("statement_timeout", milliseconds(pgStatementTime))
	set("lock_timeout", milliseconds(pgLockTime))
	set("idle_in_transaction_session_timeout", milliseconds(pgIdleTime))
	set("client_encoding", "UTF8")
	if cfg.ValidateConnect == nil { // of several hosts, the one that can write
		cfg.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	after := cfg.AfterConnect
	cfg.AfterConnect = func(ctx context.Context, c *pgconn.PgConn) error {
		if after != nil {
			if err := after(ctx, c); err != nil {
				return err
			}
		}
		history, err := historyOf(ctx, c)
		if err != nil {
			return err
		}
		if err := over.see(history); err != nil {
			return err
		}
		if err := plansWell(ctx, c); err != nil {
			return err
		}
		return mustCommit(ctx, c)
	}
	return func(ctx context.Context) (*pgconn.PgConn, error) {
		ctx, cancel := context.WithTimeout(ctx, cfg.ConnectTimeout*2)
		defer cancel()
		return pgconn.ConnectConfig(ctx, cfg)
	}, nil
}

// planning tells the planner what all our statements have in common: they look for few
// rows by an index. What it knows of tables is a guess where they grew lately, and a
// guess that is wrong must not read a table of all accounts. They are planned once for
// each connection, since no argument makes another plan better; and none is compiled,
// which takes longer than it runs.
const planning = "SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan; SET jit = off"

// plansWell does so. An engine that has no such settings plans as it likes.
func plansWell(ctx context.Context, c *pgconn.PgConn) error {
	err := c.Exec(ctx, planning).Close()
	if errors.As(err, new(*pgconn.PgError)) {
		return nil
	}
	return err
}

// loopsWell does the same for who writes, and for a handful of rows at once: they are
// looked up one after the other, and nothing is sorted or hashed to meet them.
func loopsWell(ctx context.Context, c *pgconn.PgConn) error {
	err := c.Exec(ctx, "SET enable_hashjoin = off; SET enable_mergejoin = off").Close()
	if errors.As(err, new(*pgconn.PgError)) {
		return nil
	}
	return err
}

// hasCitus finds the extension that spreads tables over servers by their account.
const hasCitus = "SELECT 1 FROM pg_catalog.pg_extension WHERE extname = 'citus'"

// isSpread reports whether accounts lie on servers of their own, which have no
// transaction in common that is worth it.
func isSpread(ctx context.Context, dial func(context.Context) (*pgconn.PgConn, error)) (bool, error) {
	c, err := dial(ctx)
	if err != nil {
		return false, pgReadable(err)
	}
	defer c.Close(ctx)
	r := c.ExecParams(ctx, hasCitus, nil, nil, nil, nil).Read()
	if errors.As(r.Err, new(*pgconn.PgError)) {
		return false, nil
	}
	return len(r.Rows) > 0, pgReadable(r.Err)
}

// mustCommit makes an acknowledged commit durable also where the server was told
// that it need not be.
func mustCommit(ctx context.Context, c *pgconn.PgConn) error {
	r := c.ExecParams(ctx, "SHOW synchronous_commit", nil, nil, nil, nil).Read()
	if r.Err != nil {
		var pg *pgconn.PgError
		if errors.As(r.Err, &pg) { // an engine that knows nothing else
			return nil
		}
		return r.Err
	}
	if len(r.Rows) == 1 && string(r.Rows[0][0]) == "off" {
		return c.Exec(ctx, "SET synchronous_commit = on").Close()
	}
	return nil
}

func milliseconds(d time.Duration) string { return fmt.Sprint(d.Milliseconds()) }

// giveUpOnSilence ends a connection whose other side is gone without a word
// (TCP_USER_TIMEOUT): statements have no deadline of ours.
func giveUpOnSilence(network, _ string, raw syscall.RawConn) error {
	if !strings.HasPrefix(network, "tcp") {
		return nil
	}
	return raw.Control(func(fd uintptr) { limitSilence(int(fd), pgSilence) })
}

// writeLanes is a writer: it takes a lane, or several that share a transaction, and
// then the next.
func (db *DB) writeLanes(c *pgConn, twice bool) {
	w := &writer{c: c, runTwice: twice, stats: &db.stats, undone: func() {}, note: func() {}}
	w.retry = func(j *job) bool {
		j.attempts++
		return j.attempts < maxAttempts && isRetryable(j.err)
	}
	if twice {
		db.pg.goids.Store(goid(), true)
	}
	for t := db.pg.lanes.take(); t != nil; t = db.pg.lanes.take() {
		if len(t.lanes) == 1 {
			w.lane(t.lanes[0])
			if j := w.next(nil, time.Now()); j != nil {
				w.batch(j)
			}
			db.pg.lanes.free(t.lanes[0])
		} else {
			(&convoy{db: db, w: w, c: c}).carry(t.lanes)
		}
		db.pg.lanes.over(t)
	}
	c.close()
}

// lane makes the writer that of a lane.
func (w *writer) lane(q *queue) {
	c := w.c.(*pgConn)
	w.jobs = q.jobs
	w.start = func() error { return c.begin(q.lane) }
}

const (
	lockAccount = "SELECT 1 FROM account WHERE account_id = ?1 FOR UPDATE"
	// In an order, so that two who lock some of the same never wait for each other.
	lockAccounts = "SELECT 1 FROM account WHERE account_id IN list(?1) ORDER BY account_id FOR UPDATE"
	lockLane     = "SELECT 1 FROM lane WHERE lane = ?1 FOR UPDATE"
)

// begin begins a transaction on lanes, in the trip of its first statement; several are
// accounts. Where that finds out that the connection broke meanwhile, it begins on
// another. A lane that has no row locks none, but looks into the table all the same: see
// freezeSQL.
func (p *pgConn) begin(in ...lane) error {
	old := p.c
	err := p.beginOn(in)
	if err != nil && old != nil && p.c == old && old.IsClosed() {
		err = p.beginOn(in)
	}
	return err
}

func (p *pgConn) beginOn(in []lane) error {
	if err := p.connect(context.Background()); err != nil {
		return err
	}
	if p.c.TxStatus() != 'I' {
		if err := p.script("ROLLBACK"); err != nil {
			return err
		}
	}
	p.forgetForeseen()
	if err := p.ahead(); err != nil {
		return err
	}
	if err := p.later("BEGIN"); err != nil {
		return err
	}
	switch {
	case len(in) > 1:
		ids := make(ints, len(in))
		for i, l := range in {
			ids[i] = int64(l)
		}
		return p.later(lockAccounts, ids)
	case in[0] > 0:
		return p.later(lockAccount, int64(in[0]))
	}
	return p.later(lockLane, int64(in[0]))
}

func (db *DB) defaults() {
	if db.hub == nil {
		db.hub = &notify.Hub{}
	}
	if db.log == nil {
		db.log = slog.New(slog.DiscardHandler)
	}
	if db.now == nil {
		db.now = time.Now
	}
}

// onlyEmbedded is what becomes of asking PostgreSQL for what the embedded engine
// does with its own file.
func onlyEmbedded(what string) error {
	return mail.Errorf(mail.Unimplemented, "%s: the database is PostgreSQL, which has its own means for that (docs/operations.md)", what)
}

// notInside panics where a closure asks for the writer, or for a View: see
// writer.notInside.
func (db *DB) notInside() {
	if db.pg == nil {
		db.writer.notInside()
		return
	}
	if !db.pg.twice {
		return
	}
	if _, inside := db.pg.goids.Load(goid()); inside {
		panic("sqlstore: View, Update or Note inside a closure of the writer")
	}
}

// isUnknown reports whether what failed with err may have committed.
func (db *DB) isUnknown(err error) bool {
	return db.pg != nil && err != nil && !isAborted(err) && mail.KindOf(err) == mail.Unavailable
}

// isAborted reports whether the server said that a transaction did not commit. Where
// the connection broke instead, nobody knows.
func isAborted(err error) bool {
	var pg *pgconn.PgError
	return err == errLost || errors.As(err, &pg) && pg.Severity == "ERROR"
}
