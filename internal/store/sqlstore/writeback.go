package sqlstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"lockstep/internal/mail"
)

// SQLite syncs the database's file only when all of the log was copied to it. What
// readers keep a checkpoint from copying, the next one copies, and goes on where that
// ended. When then the sync fails, the kernel forgets the pages of both; SQLite
// copies those of the second once more, the sync after that succeeds, the log begins
// anew, and those of the first are nowhere but in memory. So after any checkpoint
// that failed, the index of the log is made to say that nothing was copied.
//
// Nobody else syncs the database's file while there is a log: when such a sync fails,
// SQLite does not hear of it.

// writtenInIndex is where the index says how many frames were copied (nBackfill,
// "WAL-mode File Format", §2.2). Readers look at it when they begin: what it says was
// not copied they take from the log.
const writtenInIndex = 96

// copyLog copies the log to the database's file, as far as readers let it. busy is what
// the mode asks for and did not get. The caller holds keeping.
func (db *DB) copyLog(mode string) (busy bool, err error) {
	if err := db.copyAnew(); err != nil {
		return false, err
	}
	whole := false
	_, err = one(db.keeper, "PRAGMA wal_checkpoint("+mode+")", func(r row) {
		busy = r.num(0) != 0
		whole = r.num(1) >= 0 && r.num(1) == r.num(2) // frames, and of these copied
	})
	if err != nil {
		db.torn = true
		return busy, errors.Join(err, db.copyAnew())
	}
	if whole {
		db.marking.noteBased()
	}
	return busy, nil
}

// copyAnew lets the next checkpoint copy the log from its beginning, if the last
// one failed. The caller holds keeping.
func (db *DB) copyAnew() error {
	if !db.torn {
		return nil
	}
	var none [4]byte
	if _, err := db.walIndex.WriteAt(none[:], writtenInIndex); err != nil {
		return onDisk(fmt.Errorf("the index of the database's log: %w", err))
	}
	db.torn = false
	return nil
}

// basedAlone is how far the file says that it has come, when it has no log beside
// it: who took the log away had synced the file. With a log it is not known, and 0.
func basedAlone(path string) (based int64, known bool) {
	if info, err := os.Stat(path + "-wal"); err == nil && info.Size() > 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, false
	}
	f, err := os.Open(path)
	if err != nil {
		return 0, errors.Is(err, fs.ErrNotExist)
	}
	defer f.Close()
	based, err = basedOn(f)
	return based, err == nil
}

// onDisk gives an error of a file the Kind that SQLite's have.
func onDisk(err error) error {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return err
	}
	return writable(&mail.Error{Kind: mail.Unavailable, Detail: "the server cannot read or write its disk", Err: err})
}
