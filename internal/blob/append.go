package blob

import (
	"bufio"
	"errors"
	"io"
	"sync"

	"lockstep/internal/mail"
	"lockstep/internal/vfs"
)

// maxBatch is how many bytes share one fsync before the next begins.
const maxBatch = 16 << 20

// maxCopied is how large records are that need not wait to be written: they are
// copied, and their put can go on.
const maxCopied = 256 << 10

// An appender adds records to a pack of its own, those of concurrent puts with
// one fsync. Where a record will lie is known as soon as it is queued; one
// goroutine, which is there while there is something to do, writes batch after
// batch in that order and syncs each. So a lone put waits for nobody.
//
// A pack in which a write or a sync did not succeed is sealed: what was
// acknowledged before stays good, nothing is added after, and what was still to be
// written there is lost, and has to be put again. A pack of an earlier process is
// never added to either. To truncate its tail and go on would trust what the page
// cache shows of it, which after a failed sync is not what the disk holds; a few
// hundred bytes of garbage, or a short pack that compaction joins to others, is the
// cheaper harm.
type appender struct {
	packs  *packs
	target int64 // bytes after which a new pack is begun
	stats  *counters

	mu      sync.Mutex
	queue   []*batch // in the order in which they are written
	leading bool
	closed  bool
	idle    sync.Cond // on mu: nobody leads
	pack    *pack     // where what is queued next will lie; nil: not begun yet
	next    int64     // and from which byte on

	// Used by the leader alone.
	file  *pack
	acked bool // it holds records that were acknowledged
	buf   *bufio.Writer
	tail  *tailWriter // behind buf
	spare []byte
}

// A source is a record to be added.
type source interface {
	length() int64
	writeTo(io.Writer) error
}

// A batch is what one sync makes durable.
type batch struct {
	pack    *pack // nil until there is one to write to
	waiters []*waiter
	text    []byte // records that were copied
	size    int64
	placed  chan struct{} // closed when each record's place is known, or never will be
	durable *mail.Pending
}

// A waiter is one put's records.
type waiter struct {
	records []source
	copied  int // bytes of the batch's text, in place of the records
	places  []place
	in      *batch
}

// append adds records and returns where they lie, durable. What went wrong once is
// tried again in a new pack.
func (a *appender) append(records ...source) (places []place, err error) {
	for range 2 {
		var w *waiter
		if w, err = a.enqueue(records); err != nil {
			return nil, err
		}
		if err = w.in.durable.Wait(); err == nil {
			return w.places, nil
		}
	}
	return nil, err
}

// appendSoon adds records and returns where they will lie, and what tells when they
// are durable; nil if they are. Large ones it waits for.
func (a *appender) appendSoon(records ...source) (places []place, durable *mail.Pending, err error) {
	if size(records) > maxCopied {
		return a.appendNow(records...)
	}
	w, err := a.enqueue(records)
	if err != nil {
		return nil, nil, err
	}
	<-w.in.placed
	if w.in.pack == nil { // a pack could not be begun
		return a.appendNow(records...)
	}
	return w.places, w.in.durable, nil
}

// appendNow is append where appendSoon could be.
func (a *appender) appendNow(records ...source) ([]place, *mail.Pending, error) {
	places, err := a.append(records...)
	return places, nil, err
}

func size(records []source) (n int64) {
	for _, r := range records {
		n += r.length()
	}
	return n
}

// enqueue adds records to what will be written next. Small ones are copied, so that
// who gave them need not wait.
func (a *appender) enqueue(records []source) (*waiter, error) {
	w := &waiter{records: records, places: make([]place, len(records))}
	n := size(records)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil, unavailable(errClosed)
	}
	w.in = a.batchFor(n)
	if n <= maxCopied {
		if err := w.copy(); err != nil {
			return nil, err
		}
	}
	w.in.waiters = append(w.in.waiters, w)
	w.in.size += n
	if w.in.pack != nil {
		a.place(w)
	}
	if !a.leading {
		a.leading = true
		go a.lead()
	}
	return w, nil
}

// batchFor returns a batch that is not being written yet and has room; mu is held.
func (a *appender) batchFor(size int64) *batch {
	if last := len(a.queue) - 1; last >= 0 && a.queue[last].size+size <= maxBatch {
		return a.queue[last]
	}
	if a.pack != nil && a.next >= a.target {
		a.pack = nil
	}
	b := &batch{pack: a.pack, placed: make(chan struct{}), durable: mail.NewPending(), text: a.spare[:0]}
	a.spare = nil
	if b.pack != nil {
		close(b.placed)
	}
	a.queue = append(a.queue, b)
	return b
}

// copy takes the records' bytes over.
func (w *waiter) copy() error {
	text := appended{w.in.text}
	for _, r := range w.records {
		if err := r.writeTo(&text); err != nil {
			return err
		}
	}
	w.copied = len(text.b) - len(w.in.text)
	w.in.text = text.b
	return nil
}

// appended is a slice that is written to.
type appended struct{ b []byte }

func (a *appended) Write(p []byte) (int, error) {
	a.b = append(a.b, p...)
	return len(p), nil
}

// place says where records will lie; mu is held.
func (a *appender) place(w *waiter) {
	for i, r := range w.records {
		w.places[i] = inPack(a.pack.id, a.next, r.length())
		a.next += r.length()
	}
	if w.copied > 0 {
		w.records = nil // theirs again, and perhaps used anew
	}
}

// lead writes what is queued.
func (a *appender) lead() {
	for b := a.take(); b != nil; b = a.take() {
		a.write(b)
	}
}

// take returns the next batch, to which nobody adds from then on; nil ends the
// leading.
func (a *appender) take() *batch {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.queue) == 0 {
		a.queue, a.leading = nil, false
		a.idle.Broadcast()
		return nil
	}
	b := a.queue[0]
	a.queue = a.queue[1:]
	return b
}

// write adds a batch and syncs, or seals the pack.
func (a *appender) write(b *batch) {
	err := a.ready(b)
	if err == nil {
		err = a.writeRecords(b)
	}
	if err == nil {
		a.stats.syncs.Add(1)
		err = a.file.file.Sync()
	}
	if err != nil {
		a.stats.failedBatches.Add(1)
		a.giveUp(b, err)
		return
	}
	a.acked = true
	a.packs.appended(a.file, a.tail.off)
	a.sealFull()
	a.keepText(b)
	b.durable.Done(nil)
}

// keepText keeps what a batch's text was in for another's.
func (a *appender) keepText(b *batch) {
	if cap(b.text) > smallPut {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.spare = b.text
}

func (a *appender) writeRecords(b *batch) error {
	text := b.text
	for _, w := range b.waiters {
		if w.copied > 0 {
			if _, err := a.buf.Write(text[:w.copied]); err != nil {
				return err
			}
			text = text[w.copied:]
			continue
		}
		for _, r := range w.records {
			if err := r.writeTo(a.buf); err != nil {
				return err
			}
		}
	}
	return a.buf.Flush()
}

// ready begins a pack if the batch has none, and says where everything that waited
// for one will lie.
func (a *appender) ready(b *batch) error {
	if b.pack != nil {
		return nil
	}
	k, err := a.packs.create()
	if err != nil {
		return err
	}
	a.file, a.acked = k, false
	if a.buf == nil {
		a.buf = bufio.NewWriterSize(nil, 256<<10)
	}
	a.tail = &tailWriter{file: k.file}
	a.buf.Reset(a.tail)
	if _, err := a.buf.Write(packHeader(k.id, a.packs.keys)); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pack, a.next = k, packHeaderSize
	for _, b := range append([]*batch{b}, a.queue...) {
		b.pack = k
		for _, w := range b.waiters {
			a.place(w)
		}
		close(b.placed)
	}
	return nil
}

// giveUp ends a pack that cannot be trusted further, and all that was to be written
// to it. If nothing in it was acknowledged it goes altogether: a full disk must not
// fill up with beginnings.
func (a *appender) giveUp(b *batch, err error) {
	if a.file != nil {
		if !a.acked {
			a.packs.discard(a.file)
		}
		a.seal()
	}
	a.mu.Lock()
	lost := append([]*batch{b}, a.queue...)
	a.queue, a.pack = nil, nil
	a.mu.Unlock()
	for _, b := range lost {
		if b.pack == nil {
			close(b.placed)
		}
		b.durable.Done(unavailable(err))
	}
}

// sealFull ends a pack that is large enough, once nobody waits to be written to it.
func (a *appender) sealFull() {
	a.mu.Lock()
	if a.pack != nil && a.next >= a.target && len(a.queue) == 0 {
		a.pack = nil
	}
	full := a.pack == nil && (len(a.queue) == 0 || a.queue[0].pack == nil)
	a.mu.Unlock()
	if full {
		a.seal()
	}
}

// seal ends the pack; the next record begins another.
func (a *appender) seal() {
	a.packs.sealed(a.file)
	a.packs.release(a.file)
	a.file = nil
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
	if a.file != nil {
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
