package sqlstore

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"

	"lockstep/internal/mail"
)

// Scoured says what a Scour looked at.
type Scoured struct {
	Pages   int64 // of the database
	Written int64 // that had something where nothing is
	Paused  time.Duration
}

const (
	scourTries = 60
	scourPause = 500 * time.Millisecond
)

const selectRoots = "SELECT rootpage FROM sqlite_schema WHERE rootpage > 0"

// Scour takes out of the database's files what was deleted: the log is written back
// and emptied, and what is free in the database is written over with zeros. Nobody
// writes meanwhile: a few seconds for each gigabyte. It is
// Unavailable when readers held the log all the time, and can be called again.
func (db *DB) Scour(ctx context.Context) (Scoured, error) {
	if db.pg != nil {
		return Scoured{}, onlyEmbedded("writing over what is free in the database")
	}
	db.closing.RLock()
	defer db.closing.RUnlock()
	if db.closed {
		return Scoured{}, errClosed
	}
	for try := 0; ; try++ {
		done, scoured, err := db.scour(ctx)
		if done || err != nil {
			return scoured, onDisk(err)
		}
		if try == scourTries {
			return scoured, mail.Errorf(mail.Unavailable, "somebody reads the database all the time, so that its log can't be emptied: try again")
		}
		select {
		case <-ctx.Done():
			return scoured, ctx.Err()
		case <-time.After(scourPause):
		}
	}
}

// scour reports false when the log could not be emptied.
func (db *DB) scour(ctx context.Context) (done bool, scoured Scoured, err error) {
	db.keeping.Lock()
	defer db.keeping.Unlock()
	if _, err := db.copyLog("PASSIVE"); err != nil { // beside the writer
		return false, scoured, err
	}
	if err := db.openForScour(); err != nil {
		return false, scoured, err
	}
	db.writer.turn.Lock()
	defer db.writer.turn.Unlock()
	began := time.Now()
	defer func() { scoured.Paused = time.Since(began) }()
	db.keeper.c.SetBusyTimeout(longLogPatience)
	if busy, err := db.copyLog("TRUNCATE"); err != nil || busy {
		return false, scoured, err
	}
	var roots []uint32
	if err := db.keeper.query(selectRoots, func(r row) error { roots = append(roots, uint32(r.num(0))); return nil }); err != nil {
		return false, scoured, err
	}
	// What the writer has of pages in memory it would write with the next change.
	if err := db.writer.c.script("PRAGMA shrink_memory"); err != nil {
		return false, scoured, err
	}
	s, err := zeroFreeSpace(ctx, db.scouring, roots)
	if s != nil {
		scoured.Pages, scoured.Written = s.Looked, s.Written
	}
	if err == nil {
		err = db.syncZeros()
	}
	return err == nil, scoured, err
}

// syncZeros syncs what was scoured, and nothing else: the log is empty. After a sync
// that failed, zeros that are read may not be on disk, and no later sync writes them:
// so everything is written over itself.
func (db *DB) syncZeros() error {
	again := db.unzeroed
	db.unzeroed = true
	var err error
	if again {
		err = writeAgain(db.scouring)
	} else {
		err = db.scouring.Sync()
	}
	db.unzeroed = err != nil
	return err
}

// Traces counts how often one of the names lies in the files of the database, whether
// anything there says so or not, and returns how many bytes it looked at. It reads all
// of them: a second for each gigabyte or so.
func (db *DB) Traces(ctx context.Context, names []mail.BlobName) (found int, size int64, err error) {
	db.keeping.Lock()
	defer db.keeping.Unlock()
	if err := db.openForScour(); err != nil {
		return 0, 0, err
	}
	s := newNameSearch(names)
	if err := s.in(ctx, db.scouring); err != nil {
		return s.found, s.size, err
	}
	log, err := os.Open(db.path + "-wal") // it has no locks that closing it would give back
	if errors.Is(err, fs.ErrNotExist) {
		return s.found, s.size, nil
	}
	if err != nil {
		return s.found, s.size, err
	}
	defer log.Close()
	err = s.in(ctx, log)
	return s.found, s.size, err
}

// A nameSearch looks for many names at once.
type nameSearch struct {
	begins [1 << 13]byte // a bit for each two bytes that a name begins with
	names  map[mail.BlobName]bool
	found  int
	size   int64
}

func newNameSearch(names []mail.BlobName) *nameSearch {
	s := &nameSearch{names: map[mail.BlobName]bool{}}
	for _, name := range names {
		s.names[name] = true
		at := uint16(name[0])<<8 | uint16(name[1])
		s.begins[at>>3] |= 1 << (at & 7)
	}
	return s
}

// in looks through a file.
func (s *nameSearch) in(ctx context.Context, f io.ReaderAt) error {
	const length = len(mail.BlobName{})
	buf := make([]byte, settleChunk)
	for off := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := f.ReadAt(buf, off)
		for i := 0; i+length <= n; i++ {
			at := uint16(buf[i])<<8 | uint16(buf[i+1])
			if s.begins[at>>3]&(1<<(at&7)) != 0 && s.names[mail.BlobName(buf[i:i+length])] {
				s.found++
			}
		}
		if err == io.EOF {
			s.size += off + int64(n)
			return nil
		}
		if err != nil {
			return err
		}
		off += int64(n - length + 1)
	}
}

// openForScour opens the database's file. It stays open as long as the database:
// closing any handle of a file gives back all locks that the process has on it.
func (db *DB) openForScour() (err error) {
	if db.scouring == nil {
		db.scouring, err = os.OpenFile(db.path, os.O_RDWR, 0)
	}
	return err
}
