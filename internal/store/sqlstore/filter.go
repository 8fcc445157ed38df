package sqlstore

import (
	"context"
	"encoding/binary"
	"sync"

	"lockstep/internal/mail"
)

// nameFilter knows of nearly every blob that is not there that it is not (a Bloom
// filter), so that what arrives, which is nearly always new, costs no look into the
// database. It never denies a blob that is there: the writer adds each before its
// row is committed, and until all rows were read it denies nothing.
type nameFilter struct {
	mu    sync.RWMutex
	bits  []uint64
	room  int // names for which it is large enough
	names int
	ready bool
	asked sync.Once
	full  chan struct{} // has something when it is first asked, and when it has become too small
}

// A filter of filterBits bits for each name, filterHashes of them set, is wrong
// about one in a hundred names that are not there.
const (
	filterBits   = 10
	filterHashes = 4
	filterRoom   = 100_000 // at first
	filterChunk  = 5000    // rows read at once
)

// Which bits are a name's: a blob's name is a keyed hash, so any part of it will do.
func (f *nameFilter) each(name mail.BlobName, do func(word int, bit uint64)) {
	for i := range filterHashes {
		h := binary.LittleEndian.Uint64(name[8*i:]) % uint64(64*len(f.bits))
		do(int(h/64), 1<<(h%64))
	}
}

// absent reports whether there is certainly no such blob.
func (f *nameFilter) absent(name mail.BlobName) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if !f.ready {
		f.asked.Do(f.fill)
		return false
	}
	all := true
	f.each(name, func(word int, bit uint64) { all = all && f.bits[word]&bit != 0 })
	return !all
}

// add is called in the transaction that makes a name's row.
func (f *nameFilter) add(name mail.BlobName) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.bits) == 0 {
		return
	}
	f.each(name, func(word int, bit uint64) { f.bits[word] |= bit })
	if f.names++; f.names > f.room && f.ready {
		f.fill()
	}
}

// fill has the names read.
func (f *nameFilter) fill() {
	select {
	case f.full <- struct{}{}:
	default:
	}
}

// begin empties the filter, and makes it large enough for so many names.
func (f *nameFilter) begin(room int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bits, f.room, f.names, f.ready = make([]uint64, room*filterBits/64+1), room, 0, false
}

// complete is called when all names were read. A filter that is half full already
// is not good enough.
func (f *nameFilter) complete() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ready = 2*f.names <= f.room
	return f.ready
}

const selectBlobNames = "SELECT name FROM blob WHERE name > ?1 ORDER BY name LIMIT ?2"

// keepFilter reads the names of all blobs when one is first asked for, since who
// opens a mailbox after a start has better use for the disk, and again into a larger
// filter when one has become too small. It ends with ctx.
func (db *DB) keepFilter(ctx context.Context) {
	f := &db.naming.known
	if !f.awaitFull(ctx) {
		return
	}
	for room := filterRoom; ; room *= 2 {
		db.writer.turn.Lock() // what was added before is committed, what comes is added anew
		f.begin(room)
		db.writer.turn.Unlock()
		if err := db.readNames(ctx); err != nil {
			if ctx.Err() == nil {
				db.log.Warn("the names of blobs can't be read; each put looks for its own", "err", err)
			}
			return
		}
		if !f.complete() {
			continue
		}
		if !f.awaitFull(ctx) {
			return
		}
	}
}

// awaitFull returns when names have to be read; false: never again.
func (f *nameFilter) awaitFull(ctx context.Context) bool {
	select {
	case <-f.full:
		return true
	case <-ctx.Done():
		return false
	}
}

// readNames adds the names of all blobs, some thousand at once.
func (db *DB) readNames(ctx context.Context) error {
	var last mail.BlobName
	for n := filterChunk; n == filterChunk; {
		n = 0
		err := db.ask(ctx, func(c conn) error {
			return c.query(selectBlobNames, func(r row) error {
				last = mail.BlobName(r.bytes(0))
				db.naming.known.add(last)
				n++
				return ctx.Err()
			}, last, filterChunk)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
