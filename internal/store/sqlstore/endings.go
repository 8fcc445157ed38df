package sqlstore

import (
	"context"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

const (
	insertEnding  = "INSERT INTO ending (ending_id, owner_id, device_id, at) VALUES (?1, ?2, ?3, ?4)"
	selectEndings = "SELECT ending_id, owner_id, device_id, at FROM ending WHERE ending_id > ?1 ORDER BY ending_id LIMIT ?2"
	// Each ending takes along a few that are too old or too many, so that none scans.
	deleteEndings = "DELETE FROM ending WHERE (at < ?1 OR ending_id <= ?2) AND ending_id IN (SELECT ending_id FROM ending ORDER BY ending_id LIMIT 10)"
	ownerByID     = "SELECT owner_id FROM principal WHERE principal_id = ?1"
)

// ends notes, with the transaction, that sessions of an account may have to end. It is
// the last that a closure does: the counter is locked until the commit, and by that
// the numbers have the order of the commits.
func ends(c conn, now time.Time, account mail.AccountID, device mail.DeviceID) error {
	_, err := addEnding(c, now, account, device)
	return err
}

func addEnding(c conn, now time.Time, account mail.AccountID, device mail.DeviceID) (id int64, err error) {
	if id, err = draw(c, "ending"); err != nil {
		return id, err
	}
	if _, err := c.exec(deleteEndings, now.Add(-store.EndingsLast), id-store.MaxEndings); err != nil {
		return id, err
	}
	_, err = c.exec(insertEnding, id, account, device, now)
	return id, err
}

// endsOf is ends for the account of a principal, if it is there.
func endsOf(c conn, now time.Time, p store.PrincipalID) error {
	var account mail.AccountID
	found, err := one(c, ownerByID, func(r row) { account = mail.AccountID(r.num(0)) }, int64(p))
	if err != nil || !found {
		return err
	}
	return ends(c, now, account, 0)
}

// EndSessions implements store.Endings.
func (db *DB) EndSessions(ctx context.Context, account mail.AccountID, device mail.DeviceID) (id int64, err error) {
	err = db.write(ctx, signInLane, func(c conn) (err error) {
		id, err = addEnding(c, db.now(), account, device)
		return err
	}, nil)
	return id, err
}

// LastEnding implements store.Endings.
func (db *DB) LastEnding(ctx context.Context) (last int64, err error) {
	err = db.ask(ctx, func(c conn) error {
		_, err := one(c, selectCounter, func(r row) { last = r.num(0) - 1 }, "ending")
		return err
	})
	return last, err
}

// EndingsAfter implements store.Endings.
func (db *DB) EndingsAfter(ctx context.Context, id int64, limit int) (all []store.Ending, err error) {
	err = db.ask(ctx, func(c conn) error {
		all = nil
		return c.query(selectEndings, func(r row) error {
			all = append(all, store.Ending{ID: r.num(0), Account: mail.AccountID(r.num(1)), Device: mail.DeviceID(r.num(2)), At: unstamp(r.num(3))})
			return nil
		}, id, limit)
	})
	return all, err
}
