package sqlstore

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// settleChunk is how much of the log is written back at once.
const settleChunk = 1 << 20

// settleLog makes the log that an earlier process left last, before anything is
// committed behind it. After a sync that failed, the log may hold transactions that
// are read from memory, are not on disk, and that no later sync writes: the kernel
// takes them for written. Taken up as it is read, a log like that would lose to a
// power cut also what is acknowledged from now on, as a log is good only as far as
// it has no gap. So all of it is written once more, and synced; and the name of the
// log with it, as SQLite looks away when that sync fails. c is opened by openSettler.
func settleLog(c conn, path string) (err error) {
	if err := begin(c); err != nil { // nobody else writes to the log meanwhile
		return err
	}
	defer func() { err = errors.Join(err, c.script("ROLLBACK")) }()
	f, err := os.OpenFile(path+"-wal", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := writeAgain(f); err != nil {
		return fmt.Errorf("the database's log: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

// writeAgain writes a file's bytes over themselves, and syncs them.
func writeAgain(f *os.File) error {
	buf := make([]byte, settleChunk)
	for off := int64(0); ; {
		n, err := f.ReadAt(buf, off)
		if n > 0 {
			if _, err := f.WriteAt(buf[:n], off); err != nil {
				return err
			}
		}
		off += int64(n)
		switch {
		case err == io.EOF && off == 0:
			return nil
		case err == io.EOF:
			return f.Sync()
		case err != nil:
			return err
		}
	}
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
