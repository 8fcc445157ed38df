package blob

import (
	"bufio"
	"errors"
	"io"
	"sync"

	"lockstep/internal/vfs"
)

// maxBatch is how many bytes share one fsync before the next begins.
const maxBatch = 16 << 20

// An appender adds records to a pack of its own, those of concurrent puts with
// one fsync. Whoever comes first leads: writes all that wait, syncs, and hands
// over to the first who came meanwhile. So a lone put waits for nobody.
//
// A pack in which a write or a sync did not succeed is sealed: what was
// acknowledged before stays good, nothing is added after. A pack of an earlier
// process is never added to either. To truncate its tail and go on would trust
// what the page cache shows of it, which after a failed sync is not what the
// disk holds; a few hundred bytes of garbage, or a short pack that compaction
// joins to others, is the cheaper harm.
type appender struct {
	packs  *packs
	target int64 // bytes after which a new pack is begun
	stats  *counters

	mu      sync.Mutex
	queue   []*waiter
	leading bool
	closed  bool
	idle    sync.Cond // on mu: nobody leads

	// Used by the leader alone.
	pack  *pack
	size  int64
	acked bool // the pack holds records that were acknowledged
	buf   *bufio.Writer
}

// A source is a record to be added; writeTo may be called again.
type source interface {
	length() int64
	writeTo(io.Writer) error
}

// A waiter is one put's records.
type waiter struct {
	records []source
	places  []place
	err     error
	wake    chan bool // true: lead; false: it is done
}

// append adds records and returns where they lie, durable.
func (a *appender) append(records ...source) ([]place, error) {
	w := &waiter{records: records, places: make([]place, len(records)), wake: make(chan bool, 1)}
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		return nil, unavailable(errClosed)
	}
	a.queue = append(a.queue, w)
	lead := !a.leading
	a.leading = true
	a.mu.Unlock()
	if lead || <-w.wake {
		a.lead()
	}
	return w.places, w.err
}

// lead serves those who wait, the caller first among them.
func (a *appender) lead() {
	batch := a.take()
	a.write(batch)
	a.handOver()
	for _, w := range batch[1:] {
		w.wake <- false
	}
}

func (a *appender) take() []*waiter {
	a.mu.Lock()
	defer a.mu.Unlock()
	n, size := 0, int64(0)
	for n < len(a.queue) && (n == 0 || size < maxBatch) {
		for _, r := range a.queue[n].records {
			size += r.length()
		}
		n++
	}
	batch := a.queue[:n:n]
	a.queue = a.queue[n:]
	return batch
}

func (a *appender) handOver() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.queue) == 0 {
		a.queue, a.leading = nil, false
		a.idle.Broadcast()
		return
	}
	a.queue[0].wake <- true
}

// write adds a batch; when that goes wrong, once more in a new pack.
func (a *appender) write(batch []*waiter) {
	err := a.commit(batch)
	if err != nil {
		a.stats.failedBatches.Add(1)
		err = a.commit(batch)
	}
	if err != nil {
		a.stats.failedBatches.Add(1)
		for _, w := range batch {
			w.err = unavailable(err)
		}
	}
}

// commit writes and syncs a batch, or seals the pack.
func (a *appender) commit(batch []*waiter) error {
	if err := a.ready(); err != nil {
		return err
	}
	err := a.writeRecords(batch)
	if err == nil {
		a.stats.syncs.Add(1)
		err = a.pack.file.Sync()
	}
	if err != nil {
		a.giveUp()
		return err
	}
	a.acked = true
	a.packs.appended(a.pack, true)
	if a.size >= a.target {
		a.seal()
	}
	return nil
}

func (a *appender) writeRecords(batch []*waiter) error {
	for _, w := range batch {
		for i, r := range w.records {
			w.places[i] = place{a.pack.id, a.size, r.length()}
			if err := r.writeTo(a.buf); err != nil {
				return err
			}
			a.size += r.length()
		}
	}
	return a.buf.Flush()
}

// ready begins a pack if there is none.
func (a *appender) ready() error {
	if a.pack != nil {
		return nil
	}
	k, err := a.packs.create()
	if err != nil {
		return err
	}
	a.pack, a.size, a.acked = k, packHeaderSize, false
	if a.buf == nil {
		a.buf = bufio.NewWriterSize(nil, 256<<10)
	}
	a.buf.Reset(&tailWriter{file: k.file})
	_, err = a.buf.Write(packHeader(k.id, a.packs.keys))
	return err
}

// giveUp ends a pack that cannot be trusted further. If nothing in it was
// acknowledged it goes altogether: a full disk must not fill up with beginnings.
func (a *appender) giveUp() {
	if !a.acked {
		a.packs.discard(a.pack)
	}
	a.seal()
}

// seal ends the pack; the next record begins another.
func (a *appender) seal() {
	a.packs.appended(a.pack, false)
	a.packs.release(a.pack)
	a.pack = nil
}

var errClosed = errors.New("the blob store is closed")

// close lets those who wait end, refuses whoever comes later, and seals the pack.
func (a *appender) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	for a.leading {
		a.idle.Wait()
	}
	if a.pack != nil {
		a.seal()
	}
}

// A tailWriter writes to a file from its start on.
type tailWriter struct {
	file vfs.File
	off  int64
}

func (t *tailWriter) Write(p []byte) (int, error) {
	n, err := t.file.WriteAt(p, t.off)
	t.off += int64(n)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return n, err
}
