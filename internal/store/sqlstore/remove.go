package sqlstore

import (
	"context"
	"errors"
	"strings"

	"lockstep/internal/mail"
)

// accountTables are an account's tables and what follows account_id in their
// keys. The account's own row goes first, so that nobody sees half of it.
var accountTables = []struct{ name, key string }{
	{"mailbox", "mailbox_id"}, {"subscription", "path"}, {"message", "message_key"}, {"content", "content_id"},
	{"placement", "mailbox_id, uid"}, {"vanished_placement", "mailbox_id, uid"}, {"vanished", "type, modseq, id"},
	{"thread", "thread_id"}, {"thread_name", "name"},
	{"acl", "mailbox_id, principal_id"}, {"member", "mailbox_id, principal_id"}, {"seen", "mailbox_id, principal_id, uid"},
	{"journal", "modseq"}, {"device", "device_id"}, {"cursor", "device_id, name"}, {"memory", "key"},
	{"preference", "name"}, {"metadata", "mailbox_id, who, name"}, {"annotation", "mailbox_id, uid, shared, who, name"},
	{"deleting", "device_id, mailbox_id"}, {"flood", "flood_id"}, {"upload", "upload_id"}, {"object", "type, object_id"},
}

// removeChunk is how many rows go in one transaction, so that others are not
// held up.
const removeChunk = 2000

const (
	markRemoved      = "UPDATE principal SET removed = 1, disabled = 1 WHERE owner_id = ?1 AND removed <> 1"
	deleteAccount    = "DELETE FROM account WHERE account_id = ?1"
	deleteKept       = "DELETE FROM kept_address WHERE owner_id = ?1"
	deleteOwned      = "DELETE FROM address WHERE owner_id = ?1"
	deleteQueued     = "DELETE FROM queue WHERE owner_id = ?1"
	deleteSecrets    = "DELETE FROM credential WHERE principal_id IN (SELECT principal_id FROM principal WHERE owner_id = ?1)"
	deleteSignIns    = "DELETE FROM sign_in WHERE principal_id IN (SELECT principal_id FROM principal WHERE owner_id = ?1)"
	deletePrincipal  = "DELETE FROM principal WHERE owner_id = ?1 AND removed = 1"
	selectRemoved    = "SELECT owner_id FROM principal WHERE removed = 1"
	deleteChunkOfOne = "DELETE FROM TABLE WHERE account_id = ?1 AND (KEY) IN (SELECT KEY FROM TABLE WHERE account_id = ?1 LIMIT ?2)"
	deleteContents   = "DELETE FROM content WHERE account_id = ?1 AND content_id IN (SELECT content_id FROM message WHERE account_id = ?1 ORDER BY message_key LIMIT ?2)"
	deleteMessages   = "DELETE FROM message WHERE account_id = ?1 AND message_key IN (SELECT message_key FROM message WHERE account_id = ?1 ORDER BY message_key LIMIT ?2)"
)

// RemoveAccount implements store.Directory. Once begun it goes on, whatever
// becomes of ctx; what a crash leaves is removed when the database is opened again.
func (db *DB) RemoveAccount(ctx context.Context, id mail.AccountID) error {
	err := db.write(ctx, directoryLane, func(c conn) error {
		n, err := c.exec(markRemoved, id)
		if err == nil && n == 0 {
			err = noAccount()
		}
		for _, sql := range []string{deleteAccount, unlistPerson, deleteOwned, deleteKept, deleteQueued, deleteSecrets, deleteSignIns, deleteShares, deleteIntents} {
			if err == nil {
				_, err = c.exec(sql, id)
			}
		}
		if err == nil {
			_, err = c.exec(deleteDomains)
		}
		if err == nil {
			err = ends(c, db.now(), id, 0)
		}
		if err == nil {
			err = db.changesAddresses(c)
		}
		return err
	}, db.readdressed)
	if err != nil {
		return err
	}
	return db.clear(context.WithoutCancel(ctx), id)
}

// clear deletes the rows of a removed account, chunk by chunk.
func (db *DB) clear(ctx context.Context, id mail.AccountID) error {
	for _, table := range accountTables {
		chunk := []string{strings.NewReplacer("TABLE", table.name, "KEY", table.key).Replace(deleteChunkOfOne)}
		switch table.name {
		case "content": // is gone: no row is found but by the message that names it
			continue
		case "message":
			chunk = []string{deleteContents, deleteMessages}
		}
		for n := int64(removeChunk); n == removeChunk; {
			err := db.write(ctx, directoryLane, func(c conn) (err error) {
				for _, sql := range chunk {
					if n, err = c.exec(sql, id, removeChunk); err != nil {
						return err
					}
				}
				return nil
			}, nil)
			if err != nil {
				return err
			}
		}
	}
	if err := db.forgetMember(ctx, id); err != nil {
		return err
	}
	return db.write(ctx, directoryLane, func(c conn) error {
		_, err := c.exec(deletePrincipal, id)
		return err
	}, nil)
}

// FinishCut finishes what a crash cut of removing accounts and of bringing them back.
// Nobody has to wait for it. It costs two looks when nothing was cut. Open does it for a database
// that is one process's; of several nodes one does it, as doing it twice at once is
// only in each other's way.
func (db *DB) FinishCut(ctx context.Context) error {
	return errors.Join(db.resume(ctx), db.resumeReinstating(ctx), db.listPeople(ctx))
}

// resume finishes the removing of accounts.
func (db *DB) resume(ctx context.Context) error {
	var removed []mail.AccountID
	err := db.read(ctx, func(c conn) error {
		return c.query(selectRemoved, func(r row) error { removed = append(removed, mail.AccountID(r.num(0))); return nil })
	})
	for _, id := range removed {
		if err == nil {
			err = db.clear(ctx, id)
		}
	}
	return err
}
