package imap

import (
	"bytes"
	"context"
	"io"
	"slices"
	"sync"

	"lockstep/internal/imap/index"
	"lockstep/internal/imap/wire"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// row is a message taken out of a View.
type row struct {
	p mail.Placement
	m mail.Message
}

func copyRow(p *mail.Placement, m *mail.Message) row {
	r := row{*p, *m}
	r.m.Blob.Key = bytes.Clone(m.Blob.Key)
	r.m.Blob.Parts = slices.Clone(m.Blob.Parts)
	r.m.Parsed = bytes.Clone(m.Parsed)
	return r
}

// bodyRows returns the rows of some of the messages of a set, which are to be
// opened, and the ones it did not come to.
func (f *fetcher) bodyRows(ctx context.Context, uids mail.UIDSet) (rows []row, rest mail.UIDSet, err error) {
	size := 0
	rest, err = f.viewRows(ctx, uids, true, func(p *mail.Placement, m *mail.Message) error {
		rows = append(rows, copyRow(p, m))
		if size += len(m.Parsed); size > fetchBytes || len(rows) == bodyChunk {
			return errFull
		}
		return nil
	})
	return rows, rest, err
}

// bodies answers what needs the bytes of messages, which stream from where they
// lie to the client.
func (f *fetcher) bodies(ctx context.Context, uids mail.UIDSet) error {
	if f.plan.whole {
		return f.wholeBodies(ctx, uids)
	}
	size := bodyChunk
	if f.plan.annotations {
		size = annotateChunk
	}
	for _, chunk := range chunks(uids, size) {
		if err := f.loadNotes(ctx, chunk); err != nil {
			return err
		}
		for len(chunk) > 0 {
			rows, rest, err := f.bodyRows(ctx, chunk)
			if err == nil {
				err = f.sayBodies(ctx, rows)
			}
			if err != nil {
				return err
			}
			chunk = rest
		}
	}
	return nil
}

// sayBodies answers for messages, small ones several at a time, while the next are
// read.
func (f *fetcher) sayBodies(ctx context.Context, rows []row) error {
	said := make([]index.Entry, 0, len(rows))
	for _, r := range rows {
		if e, ok := f.view.Find(r.p.UID); ok {
			said = append(said, e)
		}
	}
	var next *window
	defer func() { next.close() }()
	for len(rows) > 0 {
		w := next
		if w == nil {
			w = f.readWindow(ctx, rows)
		}
		rows = rows[w.n:]
		next = f.readAhead(ctx, rows)
		if err := w.say(); err != nil {
			return err
		}
	}
	return f.setSeen(ctx, said)
}

// A window is messages that are read at once.
type window struct {
	f        *fetcher
	n        int // messages
	writers  []bodyWriter
	taken    int64         // bytes of what all sessions may read ahead
	arena    []byte        // where their texts lie
	ready    chan struct{} // closed when they are read; nil: they are
	panicked any
}

// readWindow reads the first of some messages.
func (f *fetcher) readWindow(ctx context.Context, rows []row) *window {
	n, taken := f.window(rows)
	w := &window{f: f, n: n, taken: taken}
	w.read(ctx, rows[:n])
	return w
}

// readAhead begins to read the first of some messages, if they are small and there
// is memory for them, while those before them are said.
func (f *fetcher) readAhead(ctx context.Context, rows []row) *window {
	if len(rows) == 0 || rows[0].m.Size > smallPiece {
		return nil
	}
	first := f.share(&rows[0])
	if !f.srv.ahead.take(first) {
		return nil
	}
	n, taken := f.window(rows)
	w := &window{f: f, n: n, taken: first + taken, ready: make(chan struct{})}
	go func() {
		defer close(w.ready)
		defer func() { w.panicked = recover() }()
		w.read(ctx, rows[:n])
	}()
	return w
}

// window returns how many messages are to be read at once, and the bytes that were
// taken of what all sessions may read ahead: they lie in memory until the client
// has taken those before them.
func (f *fetcher) window(rows []row) (n int, size int64) {
	for n < len(rows) && n < aheadMessages && rows[n].m.Size <= smallPiece {
		more := f.share(&rows[n])
		if n > 0 && (size+more > aheadBytes || !f.srv.ahead.take(more)) {
			break
		}
		if n++; n > 1 {
			size += more
		}
	}
	return max(n, 1), size
}

// share is how many bytes of a message may be held.
func (f *fetcher) share(r *row) int64 {
	return min(r.m.Size*int64(len(f.plan.items)), smallPieces)
}

// arenas are where the texts of windows lie: one is as large as a full window, and
// a small one is not worth it.
var arenas = sync.Pool{New: func() any { return new([aheadBytes + smallPiece]byte) }}

const smallArena = 32 << 10

// read prepares messages at once.
func (w *window) read(ctx context.Context, rows []row) {
	writers := make([]bodyWriter, len(rows))
	room := 0
	for i := range rows {
		if rows[i].m.Size <= smallPiece {
			room += int(w.f.share(&rows[i]))
		}
	}
	free := w.lend(room)
	for i := range writers {
		b := &writers[i]
		b.rowWriter = rowWriter{f: w.f, p: &rows[i].p, m: &rows[i].m}
		if rows[i].m.Size <= smallPiece {
			n := min(int(w.f.share(&rows[i])), len(free))
			b.room, free = free[:n], free[n:]
		}
	}
	w.writers = writers
	w.f.srv.ahead.each(len(rows), func(i int) {
		b := &writers[i]
		b.err = b.prepare(ctx)
		if mail.KindOf(b.err) == mail.Corrupt && w.f.plan.whole {
			b.err = b.prepareAnew(ctx)
		}
	})
}

// lend returns room for so many bytes, or less.
func (w *window) lend(n int) []byte {
	if n <= smallArena {
		return make([]byte, n)
	}
	w.arena = arenas.Get().(*[aheadBytes + smallPiece]byte)[:]
	return w.arena[:min(n, len(w.arena))]
}

// wait returns when the messages are read.
func (w *window) wait() {
	if w.ready == nil {
		return
	}
	<-w.ready
	w.ready = nil
	if w.panicked != nil {
		panic(w.panicked)
	}
}

// say answers for the messages, and gives back what they hold.
func (w *window) say() error {
	defer w.close()
	w.wait()
	for i := range w.writers {
		if err := w.f.sayBody(&w.writers[i]); err != nil {
			return err
		}
		w.writers[i].close()
	}
	return nil
}

// close gives back what the window holds; a nil one, and one that was closed, holds
// nothing.
func (w *window) close() {
	if w == nil || w.f == nil {
		return
	}
	if w.ready != nil {
		<-w.ready
	}
	closeAll(w.writers)
	w.f.srv.ahead.give(w.taken)
	if w.arena != nil {
		arenas.Put((*[aheadBytes + smallPiece]byte)(w.arena))
	}
	w.f = nil
}

func closeAll(writers []bodyWriter) {
	for i := range writers {
		writers[i].close()
	}
}

// setSeen marks what the client has been sent.
func (f *fetcher) setSeen(ctx context.Context, said []index.Entry) error {
	if !f.plan.seen {
		return nil
	}
	var unseen mail.UIDSet
	for _, e := range said {
		if !f.view.Flags(e).Has(mail.Seen) {
			unseen.Add(e.UID)
		}
	}
	if len(unseen) == 0 {
		return nil
	}
	_, err := f.act.update(ctx, func(tx store.Tx) error {
		if rights, err := f.may(tx, 0); err != nil || !rights.Has(mail.MaySee) {
			return err
		}
		_, err := tx.StoreFlags(f.sel.id, unseen, mail.FlagChange{Add: mail.StoredFlags(mail.Seen, ""), As: f.sel.at.as}, nil)
		return err
	})
	return err
}

// sayBody answers for one message. What can't be read was found out before the
// first word, or, if it is large and damaged far inside, ends the session: a
// literal can't be taken back.
func (f *fetcher) sayBody(b *bodyWriter) error {
	e, ok := f.view.Find(b.p.UID)
	if !ok {
		return nil
	}
	if b.err != nil {
		f.keepTrouble(b.err)
		return nil
	}
	seq, _ := f.view.Seq(b.p.UID)
	f.beginFetch(f.enc, seq, b.p.UID)
	for i := range f.plan.items {
		item := &f.plan.items[i]
		if b.pieces[i].made {
			b.pieces[i].say(f.enc, item)
		} else if !f.sayNarrow(f.enc, item, e) {
			if err := b.sayWide(f.enc, item); err != nil {
				return hangup(err)
			}
		}
	}
	f.enc.Close().End()
	if err := f.enc.Err(); err != nil {
		return hangup(err)
	}
	return nil
}

// keepTrouble remembers the first error of a single message; the others are
// answered all the same.
func (f *fetcher) keepTrouble(err error) {
	if f.trouble == nil {
		f.trouble = err
	}
}

// bodyWriter writes items of one message whose bytes are open.
type bodyWriter struct {
	rowWriter
	body   Body
	err    error   // of preparing it
	held   int64   // bytes of small pieces
	room   []byte  // where they go, as long as there is some
	pieces []piece // parallel to the plan's items
}

// piece is an item ready to be written.
type piece struct {
	made   bool
	held   []byte                    // a small one; else
	open   func() (io.Reader, error) // what it is read from; both nil is NIL
	size   int64
	binary bool // may hold NUL
}

func (b *bodyWriter) close() {
	if b.body != nil {
		b.body.Close()
		b.body = nil
	}
}

// open opens the message and reads what its row says.
func (b *bodyWriter) open(ctx context.Context) (err error) {
	if b.body, err = b.f.srv.Blobs.Open(ctx, b.m.Blob); err != nil {
		return err
	}
	if b.f.plan.structure {
		if _, err := b.parse(); err != nil {
			return err
		}
	}
	return b.decode()
}

// prepare opens the message and finds the pieces.
func (b *bodyWriter) prepare(ctx context.Context) (err error) {
	if err := b.open(ctx); err != nil {
		return err
	}
	b.pieces = make([]piece, len(b.f.plan.items))
	streams := false
	for i, item := range b.f.plan.items {
		if b.pieces[i], err = b.piece(item); err != nil {
			return err
		}
		streams = streams || b.pieces[i].open != nil
	}
	if !streams {
		b.close() // its buffers are larger than what it held
	}
	return nil
}

func (b *bodyWriter) piece(item wire.FetchItem) (piece, error) {
	switch item.Kind {
	case wire.FetchSection, wire.FetchRFC822, wire.FetchRFC822Header, wire.FetchRFC822Text:
		sp, err := section(item, b.parsed, b.body)
		if err != nil || sp == nil {
			return piece{made: true}, err
		}
		return b.text(sp.partial(item.Partial))
	case wire.FetchBinary:
		d, err := binary(item, b.parsed, b.body)
		if err != nil || d == nil {
			return piece{made: true}, err
		}
		_, size, err := d.partial(item.Partial)
		return piece{made: true, size: size, binary: d.hasNUL, open: func() (io.Reader, error) {
			r, _, err := d.partial(item.Partial)
			return r, err
		}}, err
	case wire.FetchBinarySize:
		d, err := binary(item, b.parsed, b.body)
		if err != nil || d == nil {
			return piece{made: true}, err
		}
		return piece{made: true, size: d.size}, nil
	}
	return piece{}, nil
}

// smallPiece is read whole before a word is said of it, so that damage shows; as
// many of a message as fit into smallPieces.
const (
	smallPiece  = 64 << 10
	smallPieces = 1 << 20
)

func (b *bodyWriter) text(sp *span) (piece, error) {
	if sp.size > smallPiece || b.held+sp.size > smallPieces {
		return piece{made: true, size: sp.size, open: func() (io.Reader, error) { return sp.reader(), nil }}, nil
	}
	b.held += sp.size
	text := b.lend(int(sp.size))
	if _, err := io.ReadFull(sp.reader(), text); err != nil {
		return piece{}, err
	}
	return piece{made: true, size: sp.size, held: text}, nil
}

// lend returns room for a piece.
func (b *bodyWriter) lend(n int) (text []byte) {
	if n == 0 || n > len(b.room) {
		return make([]byte, n)
	}
	text, b.room = b.room[:n:n], b.room[n:]
	return text
}

// say writes the item. An error of reading makes the encoder fail.
func (p *piece) say(e *wire.Encoder, item *wire.FetchItem) {
	e.Item(*item)
	switch {
	case item.Kind == wire.FetchBinarySize:
		e.Number(uint64(p.size))
		return
	case p.held != nil:
		e.LiteralBytes(p.held)
		return
	case p.open == nil:
		e.NIL()
		return
	}
	r, err := p.open()
	if err != nil {
		r = failedReader{err}
	}
	if p.binary {
		e.Literal8(r, p.size)
	} else {
		e.Literal(r, p.size)
	}
}

type failedReader struct{ err error }

func (r failedReader) Read([]byte) (int, error) { return 0, r.err }
