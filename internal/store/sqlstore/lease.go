package sqlstore

import (
	"context"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

const (
	// A lease that is yielded has no holder. Its row stays, so that its fence goes on.
	takeLease = `INSERT INTO lease (name, holder, until, fence) VALUES (?1, ?2, ?3, 1)
	ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until,
	fence = CASE WHEN lease.holder = ?2 AND lease.until > ?4 THEN lease.fence ELSE lease.fence + 1 END
	WHERE lease.holder = ?2 OR lease.until <= ?4`
	selectLease  = "SELECT name, holder, until, fence FROM lease WHERE name = ?1"
	selectLeases = "SELECT name, holder, until, fence FROM lease WHERE until > ?1 ORDER BY name"
	yieldLease   = "UPDATE lease SET holder = '', until = ?4 WHERE name = ?1 AND holder = ?2 AND fence = ?3"
	holdsLease   = "SELECT 1 FROM lease WHERE name = ?1 AND holder = ?2 AND fence = ?3"
)

// sharedConn is a connection to an engine that other nodes use beside this one. It has a
// clock, which is all nodes'; and what one reads another may change at once, unless
// the row is locked.
type sharedConn interface {
	clock() (micros int64, err error) // as of now, not of the transaction's beginning
}

// againstOthers locks, until the transaction ends, the rows that a statement reads on
// a shared engine.
const againstOthers = " FOR SHARE"

// storeNow returns the time by which leases end: the engine's, where it has a clock.
func (db *DB) storeNow(c conn) (int64, error) {
	if s, ok := c.(sharedConn); ok {
		return s.clock()
	}
	return stamp(db.now()), nil
}

// Take implements store.Leases.
func (db *DB) Take(ctx context.Context, name, holder string, life time.Duration) (l store.Lease, err error) {
	if name == "" || holder == "" || life <= 0 || life > store.MaxLease {
		return l, mail.Errorf(mail.Invalid, "a lease has a name and a holder, and lives for %v at most", store.MaxLease)
	}
	err = db.write(ctx, sharedLane, func(c conn) error {
		now, err := db.storeNow(c)
		if err != nil {
			return err
		}
		taken, err := c.exec(takeLease, name, holder, now+max(life.Microseconds(), 1), now)
		if err != nil {
			return err
		}
		if _, err := one(c, selectLease, func(r row) { l = scanLease(r) }, name); err != nil {
			return err
		}
		if taken == 0 {
			return mail.Errorf(mail.Exists, "another node has it")
		}
		return nil
	}, nil)
	return l, err
}

func scanLease(r row) store.Lease {
	return store.Lease{Name: r.text(0), Holder: r.text(1), Until: unstamp(r.num(2)), Fence: r.num(3)}
}

// Holds implements store.Leases.
func (db *DB) Holds(ctx context.Context, l store.Lease) error {
	return db.ask(ctx, func(c conn) error { return holds(c, holdsLease, l) })
}

func holds(c conn, sql string, l store.Lease) error {
	there, err := one(c, sql, func(row) {}, l.Name, l.Holder, l.Fence)
	if err == nil && !there {
		err = store.Overtaken()
	}
	return err
}

// fenced is fn for the writer, which looks first whether the lease that it is done
// under is still held. On a shared engine nobody takes the lease over until the
// transaction has ended.
func fenced(ctx context.Context, fn func(conn) error) func(conn) error {
	l := store.UnderLease(ctx)
	if l == nil {
		return fn
	}
	return func(c conn) error {
		sql := holdsLease
		if _, ok := c.(sharedConn); ok {
			sql += againstOthers
		}
		if err := holds(c, sql, *l); err != nil {
			return err
		}
		return fn(c)
	}
}

// Yield implements store.Leases.
func (db *DB) Yield(ctx context.Context, l store.Lease) error {
	return db.write(ctx, sharedLane, func(c conn) error {
		now, err := db.storeNow(c)
		if err != nil {
			return err
		}
		_, err = c.exec(yieldLease, l.Name, l.Holder, l.Fence, now)
		return err
	}, nil)
}

// AllLeases implements store.Leases.
func (db *DB) AllLeases(ctx context.Context) (all []store.Lease, err error) {
	err = db.ask(ctx, func(c conn) error {
		now, err := db.storeNow(c)
		if err != nil {
			return err
		}
		return c.query(selectLeases, func(r row) error { all = append(all, scanLease(r)); return nil }, now)
	})
	return all, err
}
