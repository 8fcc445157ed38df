package sqlstore

import (
	"context"
	"encoding/json"
	"time"

	"lockstep/internal/mail"
)

// restoreChunk is how many accounts are begun anew in one transaction. Of each it
// changes one row, and one for each mailbox there is or was inside the horizon; what
// is in them is not touched, however much it is.
const restoreChunk = 100

// farOff is when the next attempt is of what is held.
var farOff = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

const (
	beginRestoring = "UPDATE mark SET restoring = 1, restored_to = 0, age = ?1 WHERE restoring = 0"
	goOnRestoring  = "UPDATE mark SET restored_to = ?1"
	endRestoring   = "UPDATE mark SET restoring = 0, restored_to = 0, age = 0"
	leapGlobals    = "UPDATE counter SET next = next + CASE name WHEN 'id' THEN ?1 WHEN 'uidvalidity' THEN ?2 ELSE ?3 END"
	holdQueue      = "UPDATE queue SET restored = 1, next_attempt = ?1"

	selectRestoring   = "SELECT restoring, restored_to, age, at FROM mark"
	someAccountsAfter = "SELECT account_id, head FROM account WHERE account_id > ?1 ORDER BY account_id LIMIT ?2"
	selectAt          = "SELECT at FROM journal WHERE account_id = ?1 AND modseq = ?2"

	// ?2 is the new head.
	leapAccount = `UPDATE account SET head = ?2, restored = ?2, epoch = epoch + 1, next_id = next_id + ?3, next_uidvalidity = next_uidvalidity + ?4,
	last_mailbox = ?2, last_email = ?2, last_thread = ?2, last_placement = ?2, last_identity = ?2, last_submission = ?2 WHERE account_id = ?1`
	leapMailboxes = "UPDATE mailbox SET highest_modseq = ?2, uidnext = uidnext + min(?3, (4294967295 - uidnext) / 8) WHERE account_id = ?1"
	selectKept    = "SELECT modseq, id, image FROM vanished WHERE account_id = ?1 AND type = ?2 AND image IS NOT NULL"
	updateKept    = "UPDATE vanished SET image = ?5 WHERE account_id = ?1 AND type = ?2 AND modseq = ?3 AND id = ?4"
)

// restorer is who begins accounts anew.
var restorer = mail.NewOrigin("restore", 0, mail.Local, mail.ByRestore)

// Restored implements store.Keeper. Its cost is that of the mailboxes there are: a
// second for some hundred thousand. That everything counts as changed follows from
// the account's row; see reader.
func (db *DB) Restored(ctx context.Context) error {
	err := db.write(ctx, func(c conn) error {
		newest, err := newestMoment(c)
		if err != nil {
			return err
		}
		age := time.Duration(0)
		if !newest.IsZero() {
			age = max(0, db.now().Sub(newest))
		}
		n, err := c.exec(beginRestoring, int64(age/time.Second))
		if err != nil || n == 0 { // it is under way already
			return err
		}
		if _, err := c.exec(leapGlobals, mail.RestoredIDs, mail.RestoredValidities, mail.RestoredGlobals); err != nil {
			return err
		}
		_, err = c.exec(holdQueue, farOff)
		return err
	}, db.whose.forget)
	if err != nil {
		return err
	}
	return db.goOnRestoring(ctx)
}

// goOnRestoring does what is left to do, also of what a crash cut. Who began stops at
// nothing: nobody may be served by half of it.
func (db *DB) goOnRestoring(ctx context.Context) error {
	for done := []numberedAccount{{}}; len(done) > 0; {
		err := db.write(ctx, func(c conn) (err error) {
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
func (db *DB) restoreSome(c conn) (done []numberedAccount, err error) {
	var after, age int64
	under := false
	if _, err := one(c, selectRestoring, func(r row) { under, after, age = r.num(0) != 0, r.num(1), r.num(2) }); err != nil || !under {
		return nil, err
	}
	all, err := someAccounts(c, after)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		_, err := c.exec(endRestoring)
		return nil, err
	}
	for i := range all {
		all[i].head += mail.RestoredModSeqs
		if err := db.restoreAccount(c, all[i].id, all[i].head, time.Duration(age)*time.Second); err != nil {
			return nil, err
		}
	}
	_, err = c.exec(goOnRestoring, all[len(all)-1].id)
	return all, err
}

// restoreAccount begins one account anew, with the given head.
func (db *DB) restoreAccount(c conn, id mail.AccountID, head mail.ModSeq, age time.Duration) error {
	if _, err := c.exec(leapAccount, id, head, mail.RestoredIDs, mail.RestoredValidities); err != nil {
		return err
	}
	bound := mail.RestoredUIDs(age)
	if _, err := c.exec(leapMailboxes, id, head, bound); err != nil {
		return err
	}
	if err := leapKept(c, id, bound); err != nil {
		return err
	}
	entries, err := json.Marshal([]mail.Entry{{Op: mail.OpRestored}})
	if err != nil {
		return err
	}
	_, err = c.exec(insertJournal, id, head, head, 0, db.now(), restorer.Actor(), restorer.Device(), restorer.Session(),
		restorer.Protocol(), restorer.Cause(), mail.RecordVersion, string(entries))
	return err
}

// leapKept raises the UIDNEXTs of deleted mailboxes, which an undo may bring back.
func leapKept(c conn, id mail.AccountID, bound int64) error {
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
		mb.UIDNext = mb.UIDNext.AfterRestore(bound)
		image, err := json.Marshal(mb)
		all = append(all, kept{r.num(0), r.num(1), image})
		return err
	}, id, mail.TypeMailbox)
	for _, k := range all {
		if err == nil {
			_, err = c.exec(updateKept, id, mail.TypeMailbox, k.modseq, k.id, k.image)
		}
	}
	return err
}

// numberedAccount is an account and its head.
type numberedAccount struct {
	id   mail.AccountID
	head mail.ModSeq
}

func someAccounts(c conn, after int64) (all []numberedAccount, err error) {
	err = c.query(someAccountsAfter, func(r row) error {
		all = append(all, numberedAccount{mail.AccountID(r.num(0)), mail.ModSeq(r.num(1))})
		return nil
	}, after, restoreChunk)
	return all, err
}

// newestMoment is the last that the database knows of: of a change, or of its mark.
func newestMoment(c conn) (newest time.Time, err error) {
	note := func(n int64) {
		if at := unstamp(n); at.After(newest) {
			newest = at
		}
	}
	if _, err := one(c, selectRestoring, func(r row) { note(r.num(3)) }); err != nil {
		return newest, err
	}
	for after := int64(0); ; {
		all, err := someAccounts(c, after)
		if err != nil || len(all) == 0 {
			return newest, err
		}
		for _, a := range all {
			if _, err := one(c, selectAt, func(r row) { note(r.num(0)) }, a.id, a.head); err != nil {
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
	err = db.write(ctx, func(c conn) error {
		changed, err := c.exec(sql, args...)
		n = int(changed)
		return err
	}, nil)
	return n, err
}

// atLeast is the ModSeq of a placement as views see it: all of them changed when the
// account came back.
func (r *reader) atLeast(p *mail.Placement) { p.ModSeq = max(p.ModSeq, r.restored) }
