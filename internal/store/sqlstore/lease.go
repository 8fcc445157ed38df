package sqlstore

import (
	"context"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

const (
	renewLease = "UPDATE lease SET until = ?3 WHERE name = ?1 AND holder = ?2 AND until > ?4"
	// A lease that is yielded has no holder. Its row stays, so that its fence goes on.
	takeLease = `INSERT INTO lease (name, holder, until, fence) VALUES (?1, ?2, ?3, 1)
	ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until, fence = lease.fence + 1
	WHERE lease.until <= ?4`
	selectLease  = "SELECT name, holder, until, fence FROM lease WHERE name = ?1"
	selectLeases = "SELECT name, holder, until, fence FROM lease WHERE until > ?1 ORDER BY name"
	yieldLease   = "UPDATE lease SET holder = '', until = ?4 WHERE name = ?1 AND holder = ?2 AND fence = ?3"
	holdsLease   = "SELECT 1 FROM lease WHERE name = ?1 AND holder = ?2 AND fence = ?3"
)

// sharedConn is a connection to an engine that other nodes use beside this one. It has
// a clock, which is all nodes'; and what one reads another may change at once, unless
// the row is locked.
type sharedConn interface {
	clock() (micros int64, err error) // as of now, not of the transaction's beginning
}

// On a shared engine who writes under a lease keeps its row as it is until the
// transaction ends, and who takes the lease over waits for all of those. Who renews it
// does not: else, where somebody always writes, it could never be renewed.
const (
	keepRow = " FOR KEY SHARE"
	takeRow = " FOR UPDATE"
)

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
		until := now + max(life.Microseconds(), 1)
		taken, err := c.exec(renewLease, name, holder, until, now)
		if err != nil {
			return err
		}
		if taken == 0 {
			if taken, err = takeOver(c, name, holder, until, now); err != nil {
				return err
			}
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

// takeOver takes a lease that nobody has.
func takeOver(c conn, name, holder string, until, now int64) (taken int64, err error) {
	if _, ok := c.(sharedConn); ok {
		if _, err := one(c, selectLease+takeRow, func(row) {}, name); err != nil {
			return 0, err
		}
	}
	return c.exec(takeLease, name, holder, until, now)
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
			sql += keepRow
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
