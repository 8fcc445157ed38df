package sqlstore

import (
	"context"
	"math/rand/v2"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

const (
	insertEnding  = "INSERT INTO ending (ending_id, owner_id, device_id, at) VALUES (?1, ?2, ?3, ?4)"
	selectEndings = "SELECT ending_id, owner_id, device_id, at FROM ending WHERE ending_id > ?1 ORDER BY ending_id LIMIT ?2"
	// Every few endings take along some that are too old or too many, so that none scans.
	deleteEndings    = "DELETE FROM ending WHERE (at < ?1 OR ending_id <= ?2) AND ending_id IN (SELECT ending_id FROM ending ORDER BY ending_id LIMIT 10)"
	endingsForgotten = 5
	noteEnding       = "INSERT INTO ending_unread (unread_id, owner_id, device_id, at) VALUES (?1, ?2, ?3, ?4)"
	anyUnread        = "SELECT 1 FROM ending_unread ORDER BY unread_id LIMIT 1"
	takeUnread       = `DELETE FROM ending_unread WHERE unread_id IN (SELECT u.unread_id FROM ending_unread u ORDER BY u.unread_id LIMIT ?1)
	RETURNING owner_id, device_id, at`
	ownerByID = "SELECT owner_id FROM principal WHERE principal_id = ?1"
)

// endingLane is where endings get their numbers. It has no row: the counter's lock,
// which lasts until the commit, gives the numbers the order of the commits.
const endingLane lane = -1100

// numberedAtOnce is how many endings one transaction gives their numbers.
const numberedAtOnce = 1000

// ends notes, with the transaction, that sessions of an account may have to end. On a
// shared engine it has no number before somebody reads it: a counter here would be a row
// that everybody who is signed out waits for.
func ends(c conn, now time.Time, account mail.AccountID, device mail.DeviceID) error {
	if _, shared := c.(sharedConn); shared {
		return c.later(noteEnding, rand.Int64(), account, device, now)
	}
	_, err := addEnding(c, ending{account, device, stamp(now)}, now)
	return err
}

// ending is one without a number.
type ending struct {
	account mail.AccountID
	device  mail.DeviceID
	at      int64
}

// addEnding adds endings under the next numbers, and returns the last of these.
func addEnding(c conn, e ending, now time.Time, more ...ending) (last int64, err error) {
	all := append([]ending{e}, more...)
	var first int64
	if _, err := one(c, drawNumbers, func(r row) { first = r.num(0) }, "ending", len(all)); err != nil {
		return 0, err
	}
	last = first + int64(len(all)) - 1
	for i, e := range all {
		if i%endingsForgotten == 0 {
			if err := c.later(deleteEndings, now.Add(-store.EndingsLast), last-store.MaxEndings); err != nil {
				return 0, err
			}
		}
		if err := c.later(insertEnding, first+int64(i), e.account, e.device, e.at); err != nil {
			return 0, err
		}
	}
	return last, nil
}

// numberEndings gives their numbers to all that are there, in as many transactions as
// it takes. Of nodes that do it at once each takes others.
func (db *DB) numberEndings(ctx context.Context) error {
	if !db.shared {
		return nil
	}
	for taken := numberedAtOnce; taken == numberedAtOnce; {
		unread := false
		err := db.ask(ctx, func(c conn) (err error) {
			unread, err = one(c, anyUnread, func(row) {})
			return err
		})
		if err != nil || !unread {
			return err
		}
		err = db.write(ctx, endingLane, func(c conn) error {
			var all []ending
			err := c.query(takeUnread, func(r row) error {
				all = append(all, ending{mail.AccountID(r.num(0)), mail.DeviceID(r.num(1)), r.num(2)})
				return nil
			}, numberedAtOnce)
			taken = len(all)
			if err != nil || taken == 0 {
				return err
			}
			_, err = addEnding(c, all[0], db.now(), all[1:]...)
			return err
		}, nil)
		if err != nil {
			return err
		}
	}
	return nil
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
	err = db.write(ctx, endingLane, func(c conn) (err error) {
		id, err = addEnding(c, ending{account, device, stamp(db.now())}, db.now())
		return err
	}, nil)
	return id, err
}

// LastEnding implements store.Endings.
func (db *DB) LastEnding(ctx context.Context) (last int64, err error) {
	if err := db.numberEndings(ctx); err != nil {
		return 0, err
	}
	err = db.ask(ctx, func(c conn) error {
		_, err := one(c, selectCounter, func(r row) { last = r.num(0) - 1 }, "ending")
		return err
	})
	return last, err
}

// EndingsAfter implements store.Endings. What has no number yet is given one first: a
// short transaction for all that came since somebody looked, which is one read where
// nothing did.
func (db *DB) EndingsAfter(ctx context.Context, id int64, limit int) (all []store.Ending, err error) {
	if err := db.numberEndings(ctx); err != nil {
		return nil, err
	}
	err = db.ask(ctx, func(c conn) error {
		all = nil
		return c.query(selectEndings, func(r row) error {
			all = append(all, store.Ending{ID: r.num(0), Account: mail.AccountID(r.num(1)), Device: mail.DeviceID(r.num(2)), At: unstamp(r.num(3))})
			return nil
		}, id, limit)
	})
	return all, err
}
