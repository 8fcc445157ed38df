package sqlstore

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"lockstep/internal/mail"
)

// Which history of which server this is. A standby that is promoted, and a server
// that was brought back to a moment, begin a timeline of their own; a dump that was
// loaded elsewhere is another system. Either way commits may be gone that devices
// have heard of, so that the rule of a restore is run before anybody is served.
//
// An engine that only speaks as PostgreSQL does, and loses nothing when its parts
// fail, has no such words: its history is "".
const selectHistory = "SELECT s.system_identifier || '/' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) FROM pg_control_system() s"

const (
	selectEngine = "SELECT history FROM engine"
	insertEngine = "INSERT INTO engine (history, since) VALUES (?1, ?2)"
	updateEngine = "UPDATE engine SET history = ?1, since = ?2"
)

// changeover is how a node finds out, from any new connection, that the database was
// changed over while it ran.
type changeover struct {
	mu      sync.Mutex
	history string // that this process works on
	settled bool
	found   chan struct{} // closed when another was seen
}

// errChangedOver is what becomes of everything on a node that works on a history that
// is over: what it has in memory may never have been.
var errChangedOver = mail.Errorf(mail.Unavailable, "the database was changed over to another server; try again")

// see refuses a connection to another history than the one that was settled.
func (o *changeover) see(history string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.settled || history == o.history {
		return nil
	}
	select {
	case <-o.found:
	default:
		close(o.found)
	}
	return errChangedOver
}

func (o *changeover) settle(history string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.history, o.settled = history, true
}

// historyOf asks a connection.
func historyOf(ctx context.Context, c *pgconn.PgConn) (string, error) {
	r := c.ExecParams(ctx, selectHistory, nil, nil, nil, nil).Read()
	if errors.As(r.Err, new(*pgconn.PgError)) {
		return "", nil
	}
	if r.Err != nil || len(r.Rows) == 0 {
		return "", r.Err
	}
	return string(r.Rows[0][0]), nil
}

// ChangedOver is closed when the database was changed over to another server, or to
// another moment. Nothing works from then on: whoever has the store closes it, with
// all that was made from what it said, and opens it again.
func (db *DB) ChangedOver() <-chan struct{} {
	if db.pg == nil {
		return nil
	}
	return db.pg.over.found
}

// settleEngine looks whether the database is another than the nodes worked on last,
// and then begins the accounts anew, unless it is known that nothing was lost.
func (db *DB) settleEngine(ctx context.Context, lossless bool) error {
	c, err := db.pg.dial(ctx)
	if err != nil {
		return pgReadable(err)
	}
	history, err := historyOf(ctx, c)
	c.Close(ctx)
	if err != nil {
		return pgReadable(err)
	}
	began := time.Now()
	var was string
	known, again := false, false
	var leap mail.Leap
	err = db.write(ctx, directoryLane, func(c conn) (err error) {
		again = false
		if known, err = one(c, selectEngine, func(r row) { was = r.text(0) }); err != nil {
			return err
		}
		switch {
		case !known:
			_, err = c.exec(insertEngine, history, db.now())
			return err
		case was == history:
			return nil
		}
		if again = !lossless && history != "" && was != ""; again {
			if leap, err = db.beginRestored(c, 1); err != nil {
				return err
			}
		}
		_, err = c.exec(updateEngine, history, db.now())
		return err
	}, db.whose.forget)
	if err != nil {
		return err
	}
	if again {
		db.marking.why, db.marking.leap = "its server was changed over, and commits may be lost", leap
	}
	if err := db.goOnRestoring(ctx); err != nil { // also what another node has begun
		return err
	}
	if again {
		held, err := db.Held(ctx)
		db.log.WarnContext(ctx, "the database was changed over and may have lost commits: every account begins a new epoch, devices catch up by themselves, and outgoing mail is held",
			"was", was, "is", history, "held", held, "took", time.Since(began).Round(time.Millisecond).String(), "see", "lockstep queue list, release, drop")
		if err != nil {
			return err
		}
	}
	db.pg.over.settle(history)
	return nil
}
