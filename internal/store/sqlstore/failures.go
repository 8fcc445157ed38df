package sqlstore

import (
	"context"
	"slices"
	"time"

	"lockstep/internal/store"
)

const (
	// What is not there is made, so that on every engine the row is held until the
	// commit.
	holdFailure   = "INSERT INTO failure (key, failures, last, until) VALUES (?1, 0, ?2, ?2) ON CONFLICT (key) DO UPDATE SET failures = failure.failures RETURNING failures, last, until"
	updateFailure = "UPDATE failure SET failures = ?2, last = ?3, until = ?4 WHERE key = ?1"
	selectFailure = "SELECT failures, last, until FROM failure WHERE key = ?1"
	selectLocked  = "SELECT key, failures, last, until FROM failure WHERE last > ?1 AND until > ?2 ORDER BY last, key LIMIT ?3"
	deleteFailure = "DELETE FROM failure WHERE key = ?1"
	pruneFailures = "DELETE FROM failure WHERE last < ?1"
	boundFailures = "DELETE FROM failure WHERE last <= (SELECT f.last FROM failure f ORDER BY f.last DESC LIMIT 1 OFFSET ?1)"
)

// CountFailure implements store.Failures. It costs two statements for each key.
func (db *DB) CountFailure(ctx context.Context, keys []string, count func([]store.Failure) []store.Failure) error {
	inOrder := slices.Sorted(slices.Values(keys)) // whoever takes two takes them in the same order
	return db.write(ctx, signInLane, func(c conn) error {
		was := make([]store.Failure, len(keys))
		for _, key := range inOrder {
			f, err := failureAt(c, holdFailure, key, time.Time{})
			if err != nil {
				return err
			}
			was[slices.Index(keys, key)] = f
		}
		for _, f := range count(was) {
			if _, err := c.exec(updateFailure, f.Key, f.N, f.Last, f.Until); err != nil {
				return err
			}
		}
		return nil
	}, nil)
}

// failureAt is the failure of a key; none is zero.
func failureAt(c conn, sql, key string, args ...any) (f store.Failure, err error) {
	f.Key = key
	_, err = one(c, sql, func(r row) { f.N, f.Last, f.Until = r.num(0), unstamp(r.num(1)), unstamp(r.num(2)) }, append([]any{key}, args...)...)
	return f, err
}

// FailuresOf implements store.Failures.
func (db *DB) FailuresOf(ctx context.Context, keys []string) (all []store.Failure, err error) {
	err = db.ask(ctx, func(c conn) error {
		all = nil
		for _, key := range keys {
			f, err := failureAt(c, selectFailure, key)
			if err != nil {
				return err
			}
			all = append(all, f)
		}
		return nil
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
	return db.write(ctx, signInLane, func(c conn) error {
		_, err := c.exec(deleteFailure, key)
		return err
	}, nil)
}

// PruneFailures implements store.Failures.
func (db *DB) PruneFailures(ctx context.Context, before time.Time, most int) error {
	return db.write(ctx, signInLane, func(c conn) error {
		_, err := c.exec(pruneFailures, before)
		if err == nil {
			_, err = c.exec(boundFailures, most)
		}
		return err
	}, nil)
}
