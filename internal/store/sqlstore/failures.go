package sqlstore

import (
	"context"
	"time"

	"lockstep/internal/store"
)

const (
	upsertFailure = `INSERT INTO failure (key, failures, last, until) VALUES (?1, ?2, ?3, ?4)
	ON CONFLICT (key) DO UPDATE SET failures = excluded.failures, last = excluded.last, until = excluded.until`
	selectFailure = "SELECT failures, last, until FROM failure WHERE key = ?1"
	selectLocked  = "SELECT key, failures, last, until FROM failure WHERE last > ?1 AND until > ?2 ORDER BY last, key LIMIT ?3"
	deleteFailure = "DELETE FROM failure WHERE key = ?1"
	pruneFailures = "DELETE FROM failure WHERE last < ?1"
	boundFailures = "DELETE FROM failure WHERE last <= (SELECT f.last FROM failure f ORDER BY f.last DESC LIMIT 1 OFFSET ?1)"
)

// CountFailure implements store.Failures. It costs two small statements for each key,
// and those who fail at the same time share the commit.
func (db *DB) CountFailure(ctx context.Context, keys []string, count func([]store.Failure) []store.Failure) error {
	return db.write(ctx, failureLane, func(c conn) error {
		was, err := failuresAt(c, keys)
		if err != nil {
			return err
		}
		for _, f := range count(was) {
			if _, err := c.exec(upsertFailure, f.Key, f.N, f.Last, f.Until); err != nil {
				return err
			}
		}
		return nil
	}, nil)
}

// failuresAt is what stands under the keys; none is zero.
func failuresAt(c conn, keys []string) (all []store.Failure, err error) {
	for _, key := range keys {
		f := store.Failure{Key: key}
		if _, err := one(c, selectFailure, func(r row) { f.N, f.Last, f.Until = r.num(0), unstamp(r.num(1)), unstamp(r.num(2)) }, key); err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}

// FailuresOf implements store.Failures.
func (db *DB) FailuresOf(ctx context.Context, keys []string) (all []store.Failure, err error) {
	err = db.ask(ctx, func(c conn) (err error) {
		all, err = failuresAt(c, keys)
		return err
	})
	return all, err
}

// LockedOut implements store.Failures.
func (db *DB) LockedOut(ctx context.Context, since, now time.Time, limit int) (all []store.Failure, err error) {
	err = db.ask(ctx, func(c conn) error {
		all = nil
		return c.query(selectLocked, func(r row) error {
			all = append(all, store.Failure{Key: r.text(0), N: r.num(1), Last: unstamp(r.num(2)), Until: unstamp(r.num(3))})
			return nil
		}, since, now, limit)
	})
	return all, err
}

// ForgetFailures implements store.Failures.
func (db *DB) ForgetFailures(ctx context.Context, key string) error {
	return db.write(ctx, failureLane, func(c conn) error {
		_, err := c.exec(deleteFailure, key)
		return err
	}, nil)
}

// PruneFailures implements store.Failures.
func (db *DB) PruneFailures(ctx context.Context, before time.Time, most int) error {
	return db.write(ctx, failureLane, func(c conn) error {
		_, err := c.exec(pruneFailures, before)
		if err == nil {
			_, err = c.exec(boundFailures, most)
		}
		return err
	}, nil)
}
