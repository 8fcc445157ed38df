package sqlstore

import (
	"slices"

	"modernc.org/libc"
)

// shrink has SQLite free what a connection keeps in memory and can read again.
const shrink = "PRAGMA shrink_memory"

// ReleaseMemory gives back what is kept in memory of pages that were read and written
// so that they need not be read again: for when it is quiet, as the kernel has them
// still. PostgreSQL keeps its own.
func (db *DB) ReleaseMemory() error {
	if db.pg != nil {
		return nil
	}
	err := db.readers.atRest(func(c pooled) error { return c.script(shrink) })
	if err == nil {
		err = db.shrinkWriter()
	}
	releaseBlocks()
	return err
}

func (db *DB) shrinkWriter() error {
	db.closing.RLock()
	defer db.closing.RUnlock()
	if db.closed {
		return nil
	}
	db.writer.turn.Lock()
	defer db.writer.turn.Unlock()
	return db.writer.c.script(shrink)
}

// atRest calls fn with one connection after another that nobody uses, and that nobody
// gets meanwhile.
func (p *pool) atRest(fn func(pooled) error) error {
	p.mu.Lock()
	n := len(p.idle)
	p.mu.Unlock()
	for range n {
		select {
		case _, open := <-p.leave:
			if !open {
				return nil
			}
		default:
			return nil // all are in use
		}
		c := p.first()
		if c == nil {
			p.leave <- struct{}{}
			return nil
		}
		c.setIdle(false)
		err := fn(c)
		p.put(c)
		if err != nil {
			return err
		}
	}
	return nil
}

// first takes the idle connection that was not used for longest; nil if there is none.
func (p *pool) first() (c pooled) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) > 0 {
		c = p.idle[0]
		p.idle = slices.Delete(p.idle, 0, 1)
	}
	return c
}

// releaseBlocks frees the blocks that are kept for the next who wants one. Each holds a
// page of the allocator, of which it may be all that is used.
func releaseBlocks() {
	blocks.mu.Lock()
	free := blocks.free
	blocks.free, blocks.n = [maxBlock + 1]uintptr{}, [maxBlock + 1]int{}
	blocks.mu.Unlock()
	tls := libc.NewTLS()
	defer tls.Close()
	for _, p := range free {
		for p != 0 {
			next := *at[uintptr](p)
			libc.Xfree(tls, p-blockHeader)
			p = next
		}
	}
}
