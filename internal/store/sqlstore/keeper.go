package sqlstore

import (
	"context"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// pruneChunk is how many records are forgotten in one transaction.
const pruneChunk = 5000

const (
	selectOldest = "SELECT modseq, at FROM journal WHERE account_id = ?1 ORDER BY modseq LIMIT ?2"
	setHorizon   = "UPDATE account SET horizon = ?2 WHERE account_id = ?1"
	setHorizonAt = "UPDATE account SET horizon_at = max(horizon_at, ?2) WHERE account_id = ?1"
)

// forget is what Prune runs: ?1 the account, ?2 the horizon.
var forget = []string{
	setHorizon,
	"DELETE FROM journal WHERE account_id = ?1 AND modseq <= ?2",
	`DELETE FROM seen WHERE account_id = ?1 AND (mailbox_id, principal_id, uid) IN
	(SELECT v.mailbox_id, m.principal_id, v.uid FROM vanished_placement v JOIN member m ON m.account_id = v.account_id AND m.mailbox_id = v.mailbox_id
	WHERE v.account_id = ?1 AND v.vanished <= ?2)`,
	"DELETE FROM acl WHERE account_id = ?1 AND rights = 0 AND modseq <= ?2",
	"DELETE FROM annotation WHERE account_id = ?1 AND modseq <= ?2 AND there = 0",
	`DELETE FROM annotation WHERE account_id = ?1 AND EXISTS (SELECT 1 FROM vanished_placement v WHERE v.account_id = ?1
	AND v.mailbox_id = annotation.mailbox_id AND v.uid = annotation.uid AND v.vanished <= ?2)`,
	"DELETE FROM vanished_placement WHERE account_id = ?1 AND vanished <= ?2",
	"DELETE FROM vanished WHERE account_id = ?1 AND modseq <= ?2",
	"DELETE FROM metadata WHERE account_id = ?1 AND modseq <= ?2 AND there = 0",
	`DELETE FROM metadata WHERE account_id = ?1 AND modseq <= ?2 AND mailbox_id > 0
	AND mailbox_id NOT IN (SELECT b.mailbox_id FROM mailbox b WHERE b.account_id = ?1)
	AND NOT EXISTS (SELECT 1 FROM vanished v WHERE v.account_id = ?1 AND v.type = 1 AND v.id = metadata.mailbox_id)`,
	`DELETE FROM content WHERE account_id = ?1 AND content_id IN
	(SELECT content_id FROM message WHERE account_id = ?1 AND placements = 0 AND left_modseq <= ?2)`,
	"DELETE FROM message WHERE account_id = ?1 AND placements = 0 AND left_modseq <= ?2",
}

const deleteMemories = "DELETE FROM memory WHERE account_id = ?1 AND until <= ?2"

// Prune implements store.Keeper.
func (db *DB) Prune(ctx context.Context, id mail.AccountID, olderThan time.Time) error {
	for more := true; more; {
		err := db.write(ctx, laneOf(id), func(c conn) (err error) {
			more, err = db.prune(c, id, olderThan)
			return err
		}, nil)
		if err != nil {
			return err
		}
	}
	return nil
}

// prune forgets one chunk and says whether there may be more.
func (db *DB) prune(c conn, id mail.AccountID, olderThan time.Time) (more bool, err error) {
	a, err := loadAccount(c, id)
	if err != nil {
		return false, err
	}
	if err := db.tails.settle(c, a); err != nil {
		return false, err
	}
	for _, sql := range []string{deleteMemories, deleteUploads} {
		if _, err := c.exec(sql, id, db.now()); err != nil {
			return false, err
		}
	}
	if _, err := c.exec(deleteDeleting, id, db.now().Add(-db.guard.OrDefault().Window)); err != nil {
		return false, err
	}
	var horizon, pinned mail.ModSeq
	if _, err := one(c, selectPinned, func(r row) { pinned = mail.ModSeq(r.num(0)) }, id); err != nil {
		return false, err
	}
	n, at := 0, int64(0)
	err = c.query(selectOldest, func(r row) error {
		if !unstamp(r.num(1)).Before(olderThan) || pinned > 0 && mail.ModSeq(r.num(0)) >= pinned {
			return enough{}
		}
		horizon, at = mail.ModSeq(r.num(0)), max(at, r.num(1))
		n++
		return nil
	}, id, pruneChunk)
	if err != nil && err != error(enough{}) || horizon == 0 {
		return false, ignoreEnough(err)
	}
	for _, sql := range forget {
		if _, err := c.exec(sql, id, horizon); err != nil {
			return false, err
		}
	}
	if _, err := c.exec(setHorizonAt, id, at); err != nil {
		return false, err
	}
	_, err = c.exec(recountAnnotations, id)
	return n == pruneChunk, err
}

const (
	updateContent = "UPDATE content SET sent_at = ?3, message_id = ?4, parsed = ?5, preview = ?6 WHERE account_id = ?1 AND content_id = (SELECT content_id FROM message WHERE account_id = ?1 AND message_key = ?2)"
	updateSent    = "UPDATE message SET sent_at = ?3 WHERE account_id = ?1 AND message_key = ?2"
	countReparsed = "UPDATE account SET reparsed = reparsed + 1 WHERE account_id = ?1"
)

// Reparsed implements store.Keeper.
func (db *DB) Reparsed(ctx context.Context, id mail.AccountID, all []store.Derived) error {
	return db.write(ctx, laneOf(id), func(c conn) error {
		if _, err := loadAccount(c, id); err != nil {
			return err
		}
		for _, d := range all {
			if _, err := c.exec(updateSent, id, d.Message, d.SentAt); err != nil {
				return err
			}
			if _, err := c.exec(updateContent, id, d.Message, d.SentAt, d.MessageID, d.Parsed, d.Preview); err != nil {
				return err
			}
		}
		_, err := c.exec(countReparsed, id)
		return err
	}, nil)
}

func ignoreEnough(err error) error {
	if err == error(enough{}) {
		return nil
	}
	return err
}
