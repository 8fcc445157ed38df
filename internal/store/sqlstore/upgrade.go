package sqlstore

import (
	"errors"
	"os"
	"time"
)

// openUpgraded opens the connection that writes, to a database of this program's
// schema. When that fails the database is as it was, and so is its place on the disk.
func openUpgraded(path string, o Options) (*sqliteConn, error) {
	if o.steps == nil {
		o.steps = migrations
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Upgrading == nil {
		o.Upgrading = func(Upgrade) {}
	}
	c, m, err := openPlanned(path, o)
	if err != nil {
		return nil, err
	}
	snapshot := ""
	if len(m.taken) > 0 && len(m.pending) > 0 {
		if c, m, snapshot, err = m.snapshot(c, path, o); err != nil {
			return nil, err
		}
	}
	if err := m.run(c, o.Upgrading); err != nil {
		err = errors.Join(err, c.close())
		if snapshot != "" { // the database is as it was, and may need the room
			err = errors.Join(err, os.Remove(snapshot))
		}
		return nil, err
	}
	if snapshot != "" {
		_, err = PruneSnapshots(path, time.Now(), false)
	}
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// openPlanned opens the database and looks at what is to be done.
func openPlanned(path string, o Options) (*sqliteConn, *migration, error) {
	c, err := openSettled(path)
	if err != nil {
		return nil, nil, err
	}
	m, err := planMigration(c, path, o)
	if err != nil {
		return nil, nil, errors.Join(err, c.close())
	}
	return c, m, nil
}

// openSettled opens the connection that writes, once the log is settled.
func openSettled(path string) (c *sqliteConn, err error) {
	settler, err := openSettler(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if closeErr := settler.close(); closeErr != nil && err == nil {
			c, err = nil, errors.Join(closeErr, c.close())
		}
	}()
	if err := settleLog(settler, path); err != nil {
		return nil, onDisk(err)
	}
	return openSQLite(path, writerCacheBytes)
}

// snapshot copies the database while nobody has it open, and opens it again: to
// close a file that SQLite has open gives its locks away.
func (m *migration) snapshot(c *sqliteConn, path string, o Options) (_ *sqliteConn, again *migration, name string, err error) {
	if err := foldLog(c, path); err != nil {
		return nil, nil, "", err
	}
	if name, err = takeSnapshot(path, m.schema(), o.Upgrading); err != nil {
		return nil, nil, "", err
	}
	c, again, err = openPlanned(path, o)
	return c, again, name, err
}
