package sqlstore

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// restoreChunk is how many accounts are begun anew in one transaction. Of each it
// changes one row, and one for each mailbox there is or was inside the horizon; what
// is in them is not touched, however much it is.
const restoreChunk = 100

// farOff is when the next attempt is of what is held.
var farOff = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

const (
	beginRestoring = "UPDATE mark SET restores = restores + ?3, restoring = 1, restored_to = 0, leap_at = ?1, leap_uids = ?2, leap_times = ?3 WHERE restoring = 0"
	goOnRestoring  = "UPDATE mark SET restored_to = ?1"
	endRestoring   = "UPDATE mark SET restoring = 0, restored_to = 0"
	selectCounters = "SELECT name, next FROM counter"
	updateCounter  = "UPDATE counter SET next = ?2 WHERE name = ?1"
	// What was tried, put off, and not due at any clock in the time that is lost, is where
	// it was: nobody could take it, and its author not take it back.
	holdQueue = "UPDATE queue SET restored = 1, next_attempt = ?1, taken_by = '' WHERE restored = 1 OR attempts = 0 OR taken_by <> '' OR next_attempt <= ?2"

	selectRestoring = "SELECT restoring, restored_to, leap_at, leap_uids, leap_times FROM mark"
	holdNumbered    = "SELECT account_id FROM account WHERE account_id > ?1 ORDER BY account_id LIMIT ?2"
	selectNumbered  = "SELECT account_id, head, epoch, next_id, next_uidvalidity FROM account WHERE account_id > ?1 ORDER BY account_id LIMIT ?2"
	selectAt        = "SELECT at FROM journal WHERE account_id = ?1 AND modseq = ?2"
	selectNextUIDs  = "SELECT mailbox_id, uidnext FROM mailbox WHERE account_id = ?1"

	// ?2 is the new head.
	leapAccount = `UPDATE account SET head = ?2, restored = ?2, epoch = ?3, next_id = ?4, next_uidvalidity = ?5,
	last_mailbox = ?2, last_email = ?2, last_thread = ?2, last_placement = ?2, last_identity = ?2, last_submission = ?2 WHERE account_id = ?1`
	leapMailbox = "UPDATE mailbox SET highest_modseq = ?2, uidnext = ?4 WHERE account_id = ?1 AND mailbox_id = ?3"
	selectKept  = "SELECT modseq, id, image FROM vanished WHERE account_id = ?1 AND type = ?2 AND image IS NOT NULL"
	updateKept  = "UPDATE vanished SET image = ?5 WHERE account_id = ?1 AND type = ?2 AND modseq = ?3 AND id = ?4"
)

// restorer is who begins accounts anew.
var restorer = mail.NewOrigin("restore", 0, mail.Local, mail.ByRestore)

// Restored implements store.Keeper. Its cost is that of the mailboxes there are: a
// second for some hundred thousand. That everything counts as changed follows from
// the account's row; see reader.
func (db *DB) Restored(ctx context.Context) error {
	_, err := db.restoredTimes(ctx, 1)
	return err
}

// restoredTimes is Restored for a copy that is known to have come back so often.
func (db *DB) restoredTimes(ctx context.Context, times int64) (leap mail.Leap, err error) {
	err = db.write(ctx, directoryLane, func(c conn) (err error) {
		leap, err = db.beginRestored(c, times)
		return err
	}, db.readdressed)
	if err != nil {
		return leap, err
	}
	return leap, db.goOnRestoring(ctx)
}

// beginRestored notes that accounts are to be begun anew, and puts ahead what belongs
// to none.
func (db *DB) beginRestored(c conn, times int64) (leap mail.Leap, err error) {
	newest, err := newestMoment(c)
	if err != nil {
		return leap, err
	}
	age := time.Duration(0)
	if !newest.IsZero() {
		age = db.now().Sub(newest)
	}
	leap = mail.NewLeap(db.now(), age, times)
	n, err := c.exec(beginRestoring, leap.At, leap.UIDs, leap.Times)
	if err != nil || n == 0 { // it is under way already
		return leap, err
	}
	if err := leapCounters(c, leap); err != nil {
		return leap, err
	}
	err = c.later(holdQueue, farOff, db.now().Add(store.ClocksApart))
	return leap, err
}

// leapCounters puts what is numbered over all accounts ahead, and what new accounts
// begin with.
func leapCounters(c conn, leap mail.Leap) error {
	next := map[string]int64{}
	if err := c.query(selectCounters, func(r row) error { next[r.text(0)] = r.num(1); return nil }); err != nil {
		return err
	}
	for name, n := range next {
		switch name {
		case "id":
			n = leap.ID(n)
		case "uidvalidity":
			n = int64(leap.UIDValidity(mail.UIDValidity(n)))
		default:
			n = leap.Global(n)
		}
		if err := c.later(updateCounter, name, n); err != nil {
			return err
		}
	}
	return nil
}

// goOnRestoring does what is left to do, also of what a crash cut: nobody may be
// served by half of it.
func (db *DB) goOnRestoring(ctx context.Context) error {
	for done := []leaping{{}}; len(done) > 0; {
		err := db.write(ctx, directoryLane, func(c conn) (err error) {
			done, err = db.restoreSome(c)
			return err
		}, func() {
			for _, a := range done {
				db.hub.Publish(a.id, mail.RestoredNews(a.head, db.now()))
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// restoreSome begins the next accounts anew and returns them with their new heads;
// none when that were all.
func (db *DB) restoreSome(c conn) (done []leaping, err error) {
	var after int64
	var leap mail.Leap
	under := false
	_, err = one(c, selectRestoring, func(r row) {
		under, after, leap = r.num(0) != 0, r.num(1), mail.Leap{At: r.num(2), UIDs: r.num(3), Times: r.num(4)}
	})
	if err != nil || !under {
		return nil, err
	}
	// Nobody else may draw numbers between these being read and their leap.
	if err := c.query(holdNumbered, func(row) error { return nil }, after, restoreChunk); err != nil {
		return nil, err
	}
	all, err := someNumbered(c, after)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		err := c.later(endRestoring)
		return nil, err
	}
	for i := range all {
		a := &all[i]
		a.head, a.epoch, a.nextID, a.nextValidity = leap.ModSeq(a.head), leap.Epoch(a.epoch), leap.ID(a.nextID), leap.UIDValidity(a.nextValidity)
		if err := db.restoreAccount(c, *a, leap); err != nil {
			return nil, err
		}
	}
	err = c.later(goOnRestoring, all[len(all)-1].id)
	return all, err
}

// restoreAccount begins one account anew, with the given numbers.
func (db *DB) restoreAccount(c conn, a leaping, leap mail.Leap) error {
	if err := c.later(leapAccount, a.id, a.head, a.epoch, a.nextID, a.nextValidity); err != nil {
		return err
	}
	if err := errors.Join(leapMailboxes(c, a, leap), leapKept(c, a.id, leap)); err != nil {
		return err
	}
	entries, err := json.Marshal([]mail.Entry{{Op: mail.OpRestored}})
	if err != nil {
		return err
	}
	err = c.later(insertJournal, a.id, a.head, a.head, 0, db.now(), restorer.Actor(), restorer.Device(), restorer.Session(),
		restorer.Protocol(), restorer.Cause(), mail.RecordVersion, string(entries))
	return err
}

func leapMailboxes(c conn, a leaping, leap mail.Leap) error {
	next := map[mail.MailboxID]mail.UID{}
	err := c.query(selectNextUIDs, func(r row) error { next[mail.MailboxID(r.num(0))] = mail.UID(r.num(1)); return nil }, a.id)
	for _, id := range slices.Sorted(maps.Keys(next)) {
		if err == nil {
			err = c.later(leapMailbox, a.id, a.head, id, leap.UIDNext(next[id]))
		}
	}
	return err
}

// leapKept raises the UIDNEXTs of deleted mailboxes, which an undo may bring back.
func leapKept(c conn, id mail.AccountID, leap mail.Leap) error {
	type kept struct {
		modseq, id int64
		image      []byte
	}
	var all []kept
	err := c.query(selectKept, func(r row) error {
		var mb keptMailbox
		if err := json.Unmarshal(r.bytes(2), &mb); err != nil {
			return err
		}
		mb.UIDNext = leap.UIDNext(mb.UIDNext)
		image, err := json.Marshal(mb)
		all = append(all, kept{r.num(0), r.num(1), image})
		return err
	}, id, mail.TypeMailbox)
	for _, k := range all {
		if err == nil {
			err = c.later(updateKept, id, mail.TypeMailbox, k.modseq, k.id, k.image)
		}
	}
	return err
}

// leaping is an account with the numbers that leap.
type leaping struct {
	id           mail.AccountID
	head         mail.ModSeq
	epoch        mail.Epoch
	nextID       int64
	nextValidity mail.UIDValidity
}

func someNumbered(c conn, after int64) (all []leaping, err error) {
	err = c.query(selectNumbered, func(r row) error {
		all = append(all, leaping{mail.AccountID(r.num(0)), mail.ModSeq(r.num(1)), mail.Epoch(r.num(2)), r.num(3), mail.UIDValidity(r.num(4))})
		return nil
	}, after, restoreChunk)
	return all, err
}

const selectMarkedAt = "SELECT at FROM mark"

// newestMoment is the last that the database knows of: of a change, or of its mark.
func newestMoment(c conn) (newest time.Time, err error) {
	note := func(r row) {
		if at := unstamp(r.num(0)); at.After(newest) {
			newest = at
		}
	}
	if _, err := one(c, selectMarkedAt, note); err != nil {
		return newest, err
	}
	for after := int64(0); ; {
		all, err := someNumbered(c, after)
		if err != nil || len(all) == 0 {
			return newest, err
		}
		for _, a := range all {
			if _, err := one(c, selectAt, note, a.id, a.head); err != nil {
				return newest, err
			}
		}
		after = int64(all[len(all)-1].id)
	}
}

const (
	releaseQueue = "UPDATE queue SET restored = 0, next_attempt = max(arrived, ?1) WHERE restored = 1 AND (?2 = 0 OR outgoing_id = ?2)"
	dropQueue    = "DELETE FROM queue WHERE restored = 1 AND (?1 = 0 OR outgoing_id = ?1)"
	countHeld    = "SELECT count(*) FROM queue WHERE restored = 1"
)

// Release implements store.Queue.
func (db *DB) Release(ctx context.Context, id int64) (int, error) {
	return db.writeSome(ctx, releaseQueue, db.now(), id)
}

// Drop implements store.Queue.
func (db *DB) Drop(ctx context.Context, id int64) (int, error) {
	return db.writeSome(ctx, dropQueue, id)
}

// Held implements store.Queue.
func (db *DB) Held(ctx context.Context) (n int, err error) {
	err = db.read(ctx, func(c conn) error {
		_, err := one(c, countHeld, func(r row) { n = int(r.num(0)) })
		return err
	})
	return n, err
}

func (db *DB) writeSome(ctx context.Context, sql string, args ...any) (n int, err error) {
	err = db.write(ctx, directoryLane, func(c conn) error {
		changed, err := c.exec(sql, args...)
		n = int(changed)
		return err
	}, nil)
	return n, err
}

// atLeast is the ModSeq of a placement as views see it: all of them changed when the
// account came back.
func (r *reader) atLeast(p *mail.Placement) { p.ModSeq = max(p.ModSeq, r.restored) }
