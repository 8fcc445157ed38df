package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Bounds of a copy.
const (
	// slicePages are read from one snapshot at most, into memory: the log is held for
	// as long as that takes, some milliseconds.
	slicePages = 1024
	// A copier goes over what has changed so often before it takes all that is left
	// from one snapshot, by way of a file: a writer that changes pages faster than they
	// are taken would go on for ever.
	copyRounds = 6
)

// A Copier copies the database while it is in use, page by page, and goes on to copy
// what changes. Pages are read from snapshots, of which each is held for some
// milliseconds; the writer notes which pages each commit has changed. It writes nothing
// to the database.
//
// At first everything has to be copied. Settle gives what changed since, and a Moment
// that it all leads to: pages given before stand for that Moment too. So a copy is one
// Settle, and who follows the database calls it again and again.
//
// A Copier is used by one goroutine at a time; a database can have several.
type Copier struct {
	db    *DB
	slice int // slicePages
	buf   []byte
	made  map[mail.AccountID]store.Digest // the newest of each account
	room  func() (*os.File, error)        // a nameless file for more than fits into memory

	// Guarded by the writer's turn.
	all   bool    // have to be given
	dirty pageSet // those that have to be
	given pageSet // those that were since Kept
}

// CopyStats are counts of all copiers since the database was opened.
type CopyStats struct {
	Snapshots int64         // that pages were read from
	Paused    time.Duration // how long the writer could not begin a batch for them, in sum
	Longest   time.Duration // the longest of these pauses
	Held      time.Duration // the longest that a snapshot was held
	Pages     int64         // read
}

// copyCounters are what CopyStats tell.
type copyCounters struct{ snapshots, paused, longest, held, pages atomic.Int64 }

// CopyStats returns the counts so far.
func (db *DB) CopyStats() CopyStats {
	c := &db.copies.stats
	return CopyStats{
		Snapshots: c.snapshots.Load(), Paused: time.Duration(c.paused.Load()), Longest: time.Duration(c.longest.Load()),
		Held: time.Duration(c.held.Load()), Pages: c.pages.Load(),
	}
}

// NewCopier begins a copy. Until it is closed, each commit costs a look at the index
// of the log, some microseconds, and each page of the database a bit of memory, or two.
func (db *DB) NewCopier() (*Copier, error) {
	if db.pg != nil {
		return nil, onlyEmbedded("a copy of the database's pages")
	}
	db.closing.RLock()
	defer db.closing.RUnlock()
	if db.closed {
		return nil, errClosed
	}
	db.writer.turn.Lock()
	defer db.writer.turn.Unlock()
	if err := db.copies.open(db); err != nil {
		return nil, err
	}
	c := &Copier{db: db, made: map[mail.AccountID]store.Digest{}, room: db.roomForPages, slice: slicePages, all: true}
	db.copies.of = append(db.copies.of, c)
	return c, nil
}

// Close ends the copy; the writer notes nothing more for it.
func (c *Copier) Close() {
	c.db.writer.turn.Lock()
	defer c.db.writer.turn.Unlock()
	c.dirty, c.given = pageSet{}, pageSet{}
	c.db.copies.of = slices.DeleteFunc(c.db.copies.of, func(other *Copier) bool { return other == c })
}

// Changed returns how many pages a Settle has to give, about: not those that were given
// and may not be Kept. At first it is math.MaxInt.
func (c *Copier) Changed() int {
	c.db.writer.turn.Lock()
	defer c.db.writer.turn.Unlock()
	if c.all {
		return math.MaxInt
	}
	return c.dirty.n
}

// Kept says that what was given so far is where it should be. What was given since the
// last Kept is given once more otherwise.
func (c *Copier) Kept() {
	c.db.writer.turn.Lock()
	defer c.db.writer.turn.Unlock()
	c.given = pageSet{}
}

// Settle calls each with the number and bytes of every page that has changed since the
// last Settle that was Kept, and returns the Moment which they make together with those
// that were given before. A page may be given more than once: the last stands. They come
// in runs of ascending numbers; a page of the Moment that was never given is zeros, and
// what was given beyond its last page is nothing. The bytes are each's only during the
// call. It may take its time: neither the writer nor the log waits for it.
//
// With digests, the Moment says what each account holds in it. Those of accounts that
// have changed since the last are made anew, at 50 ms for 100 000 placements.
//
// When it fails, what was given is given again.
func (c *Copier) Settle(ctx context.Context, digests bool, each func(n uint32, page []byte) error) (store.Moment, error) {
	c.again()
	for range copyRounds {
		if c.Changed() <= c.slice {
			break
		}
		if err := c.round(ctx, each); err != nil {
			return store.Moment{}, err
		}
	}
	if digests {
		if err := c.digestBefore(ctx); err != nil {
			return store.Moment{}, err
		}
	}
	return c.last(ctx, digests, each)
}

// again makes what was given but not kept something that has to be given.
func (c *Copier) again() {
	c.db.writer.turn.Lock()
	defer c.db.writer.turn.Unlock()
	c.dirty.addSet(&c.given)
	c.given = pageSet{}
}

// round goes over what has to be given once, a slice at a time.
func (c *Copier) round(ctx context.Context, each func(n uint32, page []byte) error) error {
	for from, more := uint32(1), true; more; {
		var pages []uint32
		err := c.db.pinned(ctx, func(s *snapshot) {
			pages = c.take(s, from, c.slice)
		}, func(s *snapshot) error {
			return c.read(s, pages)
		})
		if err != nil {
			return err
		}
		if err := c.give(ctx, pages, each); err != nil {
			return err
		}
		if more = len(pages) > 0; more {
			from = pages[len(pages)-1] + 1
		}
	}
	return nil
}

// last takes all that is left from one snapshot.
func (c *Copier) last(ctx context.Context, digests bool, each func(n uint32, page []byte) error) (m store.Moment, err error) {
	var pages []uint32
	var rest *os.File
	defer func() {
		if rest != nil {
			rest.Close()
		}
	}()
	err = c.db.pinned(ctx, func(s *snapshot) {
		m = store.Moment{Time: c.db.now(), Commit: c.db.stats.commits.Load(), PageSize: c.db.copies.pageSize}
		pages = c.take(s, 1, 0)
	}, func(s *snapshot) (err error) {
		m.Pages = s.pages
		if len(pages) <= c.slice {
			err = c.read(s, pages)
		} else {
			rest, err = c.setAside(ctx, s, pages)
		}
		if err == nil && digests {
			m.Digests, err = c.digests(s.conn)
		}
		return err
	})
	if err != nil {
		return store.Moment{}, err
	}
	if rest == nil {
		return m, c.give(ctx, pages, each)
	}
	for part := range slices.Chunk(pages, c.slice) {
		if _, err := io.ReadFull(rest, c.buffer(len(part))); err != nil {
			return store.Moment{}, err
		}
		if err := c.give(ctx, part, each); err != nil {
			return store.Moment{}, err
		}
	}
	return m, nil
}

// take moves up to limit of the pages that have to be given, from the given number on,
// to those that were. Limit 0 is all.
func (c *Copier) take(s *snapshot, from uint32, limit int) []uint32 {
	if c.all {
		c.dirty.addAll(s.pages)
		c.all = false
	}
	pages := c.dirty.from(from, limit)
	for _, n := range pages {
		c.dirty.remove(n)
		c.given.add(n)
	}
	return slices.DeleteFunc(pages, func(n uint32) bool { return n > s.pages })
}

// buffer is room for n pages.
func (c *Copier) buffer(n int) []byte {
	size := n * c.db.copies.pageSize
	if cap(c.buf) < size {
		c.buf = make([]byte, size)
	}
	return c.buf[:size]
}

// read reads pages of a snapshot into the buffer.
func (c *Copier) read(s *snapshot, pages []uint32) error {
	buf, size := c.buffer(len(pages)), c.db.copies.pageSize
	if err := s.find(pages); err != nil {
		return err
	}
	for i, n := range pages {
		if err := s.read(n, buf[i*size:(i+1)*size]); err != nil {
			return err
		}
	}
	c.db.copies.stats.pages.Add(int64(len(pages)))
	return nil
}

// setAside reads pages of a snapshot into a file without a name.
func (c *Copier) setAside(ctx context.Context, s *snapshot, pages []uint32) (_ *os.File, err error) {
	f, err := c.room()
	if err != nil {
		return nil, err
	}
	for part := range slices.Chunk(pages, c.slice) {
		if err = ctx.Err(); err == nil {
			err = c.read(s, part)
		}
		if err == nil {
			_, err = f.Write(c.buf[:len(part)*c.db.copies.pageSize])
		}
		if err != nil {
			f.Close()
			return nil, err
		}
	}
	_, err = f.Seek(0, io.SeekStart)
	return f, err
}

// give gives what the buffer holds.
func (c *Copier) give(ctx context.Context, pages []uint32, each func(n uint32, page []byte) error) error {
	size := c.db.copies.pageSize
	for i, n := range pages {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := each(n, c.buf[i*size:(i+1)*size]); err != nil {
			return err
		}
	}
	return nil
}

// roomForPages makes a file beside the database, and takes its name away at once.
func (db *DB) roomForPages() (*os.File, error) {
	f, err := os.CreateTemp(filepath.Dir(db.path), "pages-*.tmp")
	if err != nil {
		return nil, &mail.Error{Kind: mail.Unavailable, Detail: "there is no room for the pages of a copy", Err: err}
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("pages of a copy: %w", err), f.Close())
	}
	return f, nil
}
