package sqlstore

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"net/url"
	"path/filepath"

	"zombiezen.com/go/sqlite"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

const (
	selectHeads       = "SELECT account_id, epoch, head FROM account ORDER BY account_id"
	selectHead        = "SELECT account_id, epoch, head FROM account WHERE account_id = ?1"
	selectMailboxRows = `SELECT mailbox_id, uidvalidity, uidnext, path FROM mailbox
	WHERE account_id = ?1 ORDER BY mailbox_id`
	selectPlacementRows = `SELECT mailbox_id, uid, message_key, created, modseq, system, size, keywords FROM placement
	WHERE account_id = ?1 ORDER BY mailbox_id, uid`
)

// A digester feeds rows to a hash: numbers of eight bytes, then a text with its length.
type digester struct {
	hash hash.Hash
	buf  []byte
}

func (d *digester) row(r row, numbers int) {
	d.buf = d.buf[:0]
	for i := range numbers {
		d.buf = binary.BigEndian.AppendUint64(d.buf, uint64(r.num(i)))
	}
	text := r.text(numbers)
	d.buf = binary.BigEndian.AppendUint32(d.buf, uint32(len(text)))
	d.buf = append(d.buf, text...)
	d.hash.Write(d.buf)
}

func scanHead(r row) store.Digest {
	return store.Digest{Account: mail.AccountID(r.num(0)), Epoch: mail.Epoch(r.num(1)), Head: mail.ModSeq(r.num(2))}
}

// digestAccount fills in what follows from an account's rows. It is asked on one snapshot, and
// reads nothing that changes without a ModSeq.
func digestAccount(c conn, head store.Digest) (store.Digest, error) {
	d := digester{hash: sha256.New()}
	err := c.query(selectMailboxRows, func(r row) error {
		head.Mailboxes++
		d.row(r, 3)
		return nil
	}, head.Account)
	if err != nil {
		return head, err
	}
	err = c.query(selectPlacementRows, func(r row) error {
		head.Placements++
		head.Size += r.num(6)
		d.row(r, 7)
		return nil
	}, head.Account)
	d.hash.Sum(head.Sum[:0])
	return head, err
}

// heads returns the accounts, as digests that say no more than where they are.
func heads(c conn) (all []store.Digest, err error) {
	err = c.query(selectHeads, func(r row) error { all = append(all, scanHead(r)); return nil })
	return all, err
}

// digestOf returns an account's digest. Where it has not changed since the last that is
// the last.
func (c *Copier) digestOf(conn conn, head store.Digest) (store.Digest, error) {
	last := c.made[head.Account]
	if last.Epoch == head.Epoch && last.Head == head.Head {
		return last, nil
	}
	d, err := digestAccount(conn, head)
	if err == nil {
		c.made[head.Account] = d
	}
	return d, err
}

// digestBefore makes the digests of all accounts, each on a snapshot of its own, so that
// at the Moment itself there is little left to do.
func (c *Copier) digestBefore(ctx context.Context) error {
	var all []store.Digest
	err := c.db.ask(ctx, func(conn conn) (err error) { all, err = heads(conn); return err })
	for _, a := range all {
		if err != nil {
			return err
		}
		err = c.db.read(ctx, func(conn conn) error {
			found, err := one(conn, selectHead, func(r row) { a = scanHead(r) }, a.Account)
			if err == nil && found {
				_, err = c.digestOf(conn, a)
			}
			return err
		})
	}
	return err
}

// digests returns those of all accounts, on one snapshot, and forgets those of accounts
// that are gone.
func (c *Copier) digests(conn conn) ([]store.Digest, error) {
	all, err := heads(conn)
	kept := make(map[mail.AccountID]store.Digest, len(all))
	for i := range all {
		if err == nil {
			all[i], err = c.digestOf(conn, all[i])
			kept[all[i].Account] = all[i]
		}
	}
	c.made = kept
	return all, err
}

// Inspect reads a database that nobody has open, and changes nothing, not even to a
// newer schema: it checks all that SQLite can check, and returns the digests of the
// accounts. A database that is damaged is Corrupt.
func Inspect(ctx context.Context, path string) ([]store.Digest, error) {
	c, err := openImmutable(ctx, path)
	if err != nil {
		return nil, err
	}
	defer c.close()
	err = c.query("PRAGMA integrity_check(1)", func(r row) error {
		if text := r.text(0); text != "ok" {
			return mail.Errorf(mail.Corrupt, "the database is damaged: %s", text)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	all, err := heads(c)
	for i := range all {
		if err == nil {
			all[i], err = digestAccount(c, all[i])
		}
	}
	return all, err
}

// openImmutable opens a database for reading that nobody changes.
func openImmutable(ctx context.Context, path string) (*sqliteConn, error) {
	holdMemory()
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	uri := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(path), RawQuery: "immutable=1"}
	opened, err := sqlite.OpenConn(uri.String(), sqlite.OpenReadOnly|sqlite.OpenURI)
	if err != nil {
		return nil, readable(err)
	}
	opened.SetInterrupt(ctx.Done())
	return &sqliteConn{c: opened, cache: map[string]*statement{}, alone: map[string]string{}}, nil
}
