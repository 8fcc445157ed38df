package sqlstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"lockstep/internal/mail"
)

// What a copy has to know of SQLite's log ("WAL-mode File Format", §2). The log is a
// header and frames, each with the number of a page and its bytes. The index beside it,
// which all connections share, says which page each frame holds, how many frames are
// committed, and how many of them were written back. A log that was written back whole
// begins anew with the next commit, under another salt.
const (
	logHeaderBytes   = 32
	frameHeaderBytes = 24
	indexHeaderBytes = 136
	indexBlockBytes  = 32 << 10
	framesInBlock    = 4096 // whose pages a block of the index names; its rest is a hash table
	framesInFirst    = framesInBlock - indexHeaderBytes/4
)

// indexHeader is what is used of the head of the index.
type indexHeader struct {
	salt    [8]byte
	frames  uint32 // committed
	written uint32 // of these, written back
}

// copies are the copiers of a database, and the files that they read. SQLite's locks
// on a file are the process's, and go when it closes any handle of it: so the files stay
// open until the database is closed. Guarded by the writer's turn.
type copies struct {
	of       []*Copier
	database *os.File
	log      *os.File
	pageSize int
	noted    indexHeader // how far the log is noted
	stats    copyCounters
	// spoil is a test's way to make a snapshot something else than it should be.
	spoil func(*snapshot)
}

// open opens the files, and begins to note what is committed.
func (cs *copies) open(db *DB) (err error) {
	if db.walIndex == nil {
		return mail.Errorf(mail.Unavailable, "the index of the database's log can't be read")
	}
	if cs.database == nil {
		if cs.database, err = os.Open(db.path); err != nil {
			return err
		}
	}
	if cs.log == nil {
		if cs.log, err = os.Open(db.path + "-wal"); err != nil {
			return err
		}
	}
	if cs.pageSize == 0 {
		if cs.pageSize, err = pageSizeOf(cs.database); err != nil {
			return err
		}
	}
	if len(cs.of) == 0 {
		cs.noted, err = db.indexHeader()
	}
	return err
}

// pageSizeOf reads the size of pages from a database's header ("Database File Format",
// §1.3.2).
func pageSizeOf(f io.ReaderAt) (int, error) {
	var b [2]byte
	if _, err := f.ReadAt(b[:], 16); err != nil {
		return 0, fmt.Errorf("the database's header: %w", err)
	}
	if n := int(binary.BigEndian.Uint16(b[:])); n != 1 {
		return n, nil
	}
	return 64 << 10, nil
}

func (cs *copies) close() {
	for _, f := range []*os.File{cs.database, cs.log} {
		if f != nil {
			f.Close()
		}
	}
}

// indexHeader reads the head of the index. It is what the last commit left when the
// writer's turn is held.
func (db *DB) indexHeader() (h indexHeader, err error) {
	var b [indexHeaderBytes]byte
	if _, err := db.walIndex.ReadAt(b[:], 0); err != nil {
		return h, fmt.Errorf("the index of the database's log: %w", err)
	}
	if !bytes.Equal(b[:48], b[48:96]) {
		return h, errors.New("the index of the database's log is being written")
	}
	copy(h.salt[:], b[32:40])
	h.frames = binary.NativeEndian.Uint32(b[16:])
	h.written = binary.NativeEndian.Uint32(b[96:])
	return h, nil
}

// eachFrame calls fn with the frames after one and up to another, and the page of each.
func (db *DB) eachFrame(after, last uint32, fn func(frame, page uint32)) error {
	var b [4096]byte
	for frame := after + 1; frame <= last; {
		at, n := placeInIndex(frame)
		n = min(n, last-frame+1, uint32(len(b)/4))
		if _, err := db.walIndex.ReadAt(b[:4*n], at); err != nil {
			return fmt.Errorf("the index of the database's log: %w", err)
		}
		for i := range n {
			fn(frame+i, binary.NativeEndian.Uint32(b[4*i:]))
		}
		frame += n
	}
	return nil
}

// placeInIndex is where the index says which page a frame holds, and how many frames
// follow there without a gap, itself included.
func placeInIndex(frame uint32) (at int64, n uint32) {
	if frame <= framesInFirst {
		return indexHeaderBytes + 4*int64(frame-1), framesInFirst - frame + 1
	}
	block, i := (frame-framesInFirst-1)/framesInBlock+1, (frame-framesInFirst-1)%framesInBlock
	return int64(block)*indexBlockBytes + 4*int64(i), framesInBlock - i
}

// note marks what a commit changed. The writer calls it after each, in its turn: before
// the log can begin anew.
func (db *DB) note() {
	cs := &db.copies
	if len(cs.of) == 0 {
		return
	}
	h, err := db.indexHeader()
	after := cs.noted.frames
	if h.salt != cs.noted.salt {
		after = 0 // it began anew with this commit, as every one before was noted
	}
	if err == nil {
		err = db.eachFrame(after, h.frames, func(_, page uint32) {
			for _, c := range cs.of {
				c.dirty.add(page)
			}
		})
	}
	if err == nil {
		cs.noted = h
		return
	}
	db.log.Warn("what a commit changed can't be read: copies begin anew", "err", err)
	cs.noted = indexHeader{}
	for _, c := range cs.of {
		c.all = true
	}
}

// A snapshot is the database at one commit, held for reading.
type snapshot struct {
	db    *DB
	conn  conn
	pages uint32
	// frames of the log that belong to it. 0: all of it is in the database's file, and
	// the log may begin anew at any time.
	frames uint32
	salt   [8]byte
	at     map[uint32]uint32 // frames that hold pages, of those that were looked for
	buf    []byte
}

const anyRow = "SELECT 1 FROM schema_version LIMIT 1"

// pinned holds a snapshot of the newest commit. It calls begun in the writer's turn,
// which nothing may be committed in, then fn.
func (db *DB) pinned(ctx context.Context, begun func(*snapshot), fn func(*snapshot) error) error {
	return db.ask(ctx, func(c conn) error {
		s := &snapshot{db: db, conn: c}
		defer func() {
			if c.inTransaction() {
				c.exec("COMMIT")
			}
		}()
		began := time.Now()
		if err := s.begin(begun); err != nil {
			return err
		}
		err := fn(s)
		grow(&db.copies.stats.held, time.Since(began))
		return err
	})
}

// begin begins the snapshot. As nobody commits meanwhile it is of the commit that the
// index tells of. Where that says that the log was written back whole, SQLite reads the
// file alone and does not hold the log; the file can't change then, as no log is written
// back while somebody reads so. Else the frames stay, and what is written back meanwhile
// are pages that these frames hold.
func (s *snapshot) begin(begun func(*snapshot)) error {
	db := s.db
	db.writer.turn.Lock()
	defer db.writer.turn.Unlock()
	began := time.Now()
	defer func() {
		d := time.Since(began)
		db.copies.stats.snapshots.Add(1)
		db.copies.stats.paused.Add(int64(d))
		grow(&db.copies.stats.longest, d)
	}()
	if _, err := s.conn.exec("BEGIN"); err != nil {
		return err
	}
	if _, err := one(s.conn, anyRow, func(row) {}); err != nil {
		return err
	}
	if _, err := one(s.conn, "PRAGMA page_count", func(r row) { s.pages = uint32(r.num(0)) }); err != nil {
		return err
	}
	h, err := db.indexHeader() // after it began: what was not written back by now was not then
	if err != nil {
		return err
	}
	if s.salt = h.salt; h.written < h.frames {
		s.frames = h.frames
	}
	if db.copies.spoil != nil {
		db.copies.spoil(s)
	}
	begun(s)
	return nil
}

// find looks where pages are, which ascend.
func (s *snapshot) find(pages []uint32) error {
	s.at = make(map[uint32]uint32, len(pages))
	if len(pages) == 0 {
		return nil
	}
	var wanted pageSet
	for _, n := range pages {
		wanted.add(n)
	}
	return s.db.eachFrame(0, s.frames, func(frame, page uint32) {
		if wanted.has(page) {
			s.at[page] = frame
		}
	})
}

// read reads a page that was looked for.
func (s *snapshot) read(page uint32, into []byte) error {
	cs := &s.db.copies
	frame := s.at[page]
	if frame == 0 {
		n, err := cs.database.ReadAt(into, int64(page-1)*int64(cs.pageSize))
		clear(into[n:]) // a page that was never written, at the end
		if err == io.EOF {
			err = nil
		}
		return err
	}
	if s.buf == nil {
		s.buf = make([]byte, frameHeaderBytes+cs.pageSize)
	}
	if _, err := cs.log.ReadAt(s.buf, logHeaderBytes+int64(frame-1)*int64(len(s.buf))); err != nil {
		return fmt.Errorf("the database's log: %w", err)
	}
	if binary.BigEndian.Uint32(s.buf) != page || !bytes.Equal(s.buf[8:16], s.salt[:]) {
		return mail.Errorf(mail.Corrupt, "the database's log is not what its index says")
	}
	copy(into, s.buf[frameHeaderBytes:])
	return nil
}

// grow makes the most that was seen of it.
func grow(most *atomic.Int64, d time.Duration) {
	for old := most.Load(); int64(d) > old && !most.CompareAndSwap(old, int64(d)); old = most.Load() {
	}
}
