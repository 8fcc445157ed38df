package sqlstore

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
)

// unbornBytes is how large the file of a database is until the first log was copied to
// it.
const unbornBytes = 4096

// emptyUnborn empties a file that was to become a database and never was one. When
// the disk refuses to sync the first page of a new file, and the power goes, zeros are
// left, which SQLite takes for something else than a database. As there is neither log
// nor journal, nothing was ever committed to it.
func emptyUnborn(path string) error {
	for _, beside := range []string{"-wal", "-journal"} {
		if _, err := os.Lstat(path + beside); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil // it is for SQLite to say what is wrong
	}
	defer f.Close()
	b := make([]byte, unbornBytes+1)
	n, err := f.ReadAt(b, 0)
	if err != io.EOF || n > unbornBytes || len(bytes.TrimLeft(b[:n], "\x00")) > 0 {
		return nil
	}
	return f.Truncate(0)
}
