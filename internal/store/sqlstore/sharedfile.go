package sqlstore

import (
	"context"
	"math"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// A file that never ends has an end that is never reached.
const (
	putFile = `INSERT INTO shared_file (name, data, changed, ends) VALUES (?1, ?2, ?3, ?4)
	ON CONFLICT (name) DO UPDATE SET data = excluded.data, changed = excluded.changed, ends = excluded.ends`
	selectFile  = "SELECT name, data, changed, ends, length(data) FROM shared_file WHERE name = ?1 AND ends > ?2"
	dropFile    = "DELETE FROM shared_file WHERE (name = ?1 OR name >= ?2 AND name < ?3) AND ends > ?4"
	dropEnded   = "DELETE FROM shared_file WHERE name IN (SELECT f.name FROM shared_file f WHERE f.ends <= ?1 ORDER BY f.ends, f.name LIMIT ?2)"
	selectFiles = "SELECT name, changed, ends, length(data) FROM shared_file WHERE name >= ?1 AND name < ?2 AND ends > ?3 ORDER BY name LIMIT ?4"
)

// endedAtOnce is how many files whose life is over go with each that is put: more
// than come.
const endedAtOnce = 8

// PutFile implements store.Files.
func (db *DB) PutFile(ctx context.Context, f store.File) error {
	if err := store.FileName(f.Name); err != nil {
		return err
	}
	if len(f.Data) > store.MaxFile {
		return mail.Errorf(mail.Limit, "a shared file has %d bytes at most", store.MaxFile)
	}
	data, ends := append([]byte{}, f.Data...), int64(math.MaxInt64)
	if !f.Until.IsZero() {
		ends = stamp(f.Until)
	}
	return db.write(ctx, sharedLane, func(c conn) error {
		now, err := db.storeNow(c)
		if err != nil {
			return err
		}
		if _, err := c.exec(dropEnded, now, endedAtOnce); err != nil {
			return err
		}
		_, err = c.exec(putFile, f.Name, data, now, ends)
		return err
	}, nil)
}

// FileNamed implements store.Files.
func (db *DB) FileNamed(ctx context.Context, name string) (f store.File, err error) {
	err = db.ask(ctx, func(c conn) error {
		now, err := db.storeNow(c)
		if err != nil {
			return err
		}
		found, err := one(c, selectFile, func(r row) {
			f = store.File{Name: r.text(0), Data: r.bytes(1), Changed: unstamp(r.num(2)), Until: endOf(r.num(3)), Size: r.num(4)}
		}, name, now)
		if err == nil && !found {
			err = noFile()
		}
		return err
	})
	return f, err
}

func noFile() error { return mail.Errorf(mail.NotFound, "no such shared file") }

// DropFile implements store.Files.
func (db *DB) DropFile(ctx context.Context, name string) error {
	return db.write(ctx, sharedLane, func(c conn) error {
		now, err := db.storeNow(c)
		if err != nil {
			return err
		}
		n, err := c.exec(dropFile, name, name+"/", name+"/"+beyond, now)
		if err == nil && n == 0 {
			err = noFile()
		}
		return err
	}, nil)
}

// FilesBelow implements store.Files.
func (db *DB) FilesBelow(ctx context.Context, prefix string, limit int) (all []store.File, err error) {
	err = db.ask(ctx, func(c conn) error {
		now, err := db.storeNow(c)
		if err != nil {
			return err
		}
		return c.query(selectFiles, func(r row) error {
			all = append(all, store.File{Name: r.text(0), Changed: unstamp(r.num(1)), Until: endOf(r.num(2)), Size: r.num(3)})
			return nil
		}, prefix, prefix+beyond, now, limit)
	})
	return all, err
}

// endOf is when a file goes by itself, zero for never.
func endOf(n int64) time.Time {
	if n == math.MaxInt64 {
		return time.Time{}
	}
	return unstamp(n)
}
