package imap

import (
	"bytes"
	"context"
	"io"
	"slices"
	"sort"

	"lockstep/internal/imap/index"
	"lockstep/internal/imap/wire"
	"lockstep/internal/mail"
)

// isText reports whether an item is short and never changes of a message, so that
// what is said of it is remembered: all that rows know, and fields of the header.
func isText(item wire.FetchItem) bool {
	switch item.Kind {
	case wire.FetchUID, wire.FetchFlags, wire.FetchModSeq:
		return false
	case wire.FetchSection:
		s := item.Section
		return item.Partial == nil && len(s.Part) == 0 && (s.Text == wire.SectionHeaderFields || s.Text == wire.SectionHeaderFieldsNot)
	case wire.FetchAnnotation, wire.FetchBinary, wire.FetchBinarySize, wire.FetchRFC822, wire.FetchRFC822Header, wire.FetchRFC822Text:
		return false
	}
	return true
}

// textKind is what an item's texts are remembered as.
func textKind(item wire.FetchItem, utf8 bool) string {
	name := item.AppendName(nil)
	switch item.Kind {
	case wire.FetchInternalDate, wire.FetchRFC822Size, wire.FetchSaveDate, wire.FetchEmailID, wire.FetchThreadID, wire.FetchSection:
	default: // has strings
		if utf8 {
			name = append(name, '8')
		}
	}
	return string(name)
}

// page is some of the messages asked for, and what is remembered of each.
type page struct {
	f       *fetcher
	known   []*index.Texts // for each item of the plan; nil where the index knows it
	read    func(ctx context.Context, missing mail.UIDSet) (rest mail.UIDSet, err error)
	seqs    []uint32
	entries []index.Entry
	texts   [][][]byte // by item, then by message
	enc     *wire.Encoder
	made    int // bytes of texts that were not known
}

// texts answers FETCHes of texts, out of memory as far as they are known.
func (f *fetcher) texts(ctx context.Context, uids mail.UIDSet) error {
	p := &page{f: f, enc: wire.NewTextEncoder(f.enc.UTF8), known: make([]*index.Texts, len(f.plan.items)), texts: make([][][]byte, len(f.plan.items))}
	for i, item := range f.plan.items {
		if isText(item) {
			p.known[i] = f.sel.box.Texts(f.view, textKind(item, f.enc.UTF8))
		}
	}
	p.read = p.readRows
	if f.plan.body {
		p.read = p.readBodies
	}
	return p.walk(ctx, uids, func(n int) error {
		if err := p.say(n); err != nil {
			return err
		}
		return f.setSeen(ctx, p.entries[:n])
	})
}

// walk calls say with the number of messages at the front of the page of which
// everything is known, again and again until it has seen all.
func (p *page) walk(ctx context.Context, uids mail.UIDSet, say func(n int) error) error {
	for uids = slices.Clone(uids); len(uids) > 0; {
		uids = p.turn(uids)
		for len(p.entries) > 0 {
			n, err := p.complete(ctx)
			if err == nil {
				err = say(n)
			}
			if err != nil {
				return err
			}
			p.drop(n)
		}
	}
	return nil
}

// turn takes the next messages, and returns the rest of uids, which it changes.
func (p *page) turn(uids mail.UIDSet) mail.UIDSet {
	p.seqs, p.entries = p.seqs[:0], p.entries[:0]
	for len(uids) > 0 && len(p.entries) < fetchChunk {
		lo, hi := p.f.view.Seqs(uids[0].First, uids[0].Last)
		room := uint32(fetchChunk - len(p.entries))
		whole := lo > hi || hi-lo < room
		if !whole {
			hi = lo + room - 1
		}
		for seq, e := range p.f.view.Range(lo, hi) {
			p.seqs, p.entries = append(p.seqs, seq), append(p.entries, e)
		}
		if whole {
			uids = uids[1:]
		} else {
			uids[0].First = p.entries[len(p.entries)-1].UID + 1
		}
	}
	for i, t := range p.known {
		if t != nil {
			p.texts[i] = append(p.texts[i][:0], make([][]byte, len(p.entries))...)
			t.Look(p.entries, p.texts[i])
		}
	}
	return uids
}

// drop forgets the first n messages.
func (p *page) drop(n int) {
	p.seqs, p.entries = p.seqs[n:], p.entries[n:]
	for i := range p.texts {
		if p.known[i] != nil {
			p.texts[i] = p.texts[i][n:]
		}
	}
}

// lacks reports whether a text of the nth message is not known.
func (p *page) lacks(n int) bool {
	for i, t := range p.known {
		if t != nil && p.texts[i][n] == nil {
			return true
		}
	}
	return false
}

// complete makes the texts that are not known, for as many messages as fit into
// one View, and returns how many messages are complete then.
func (p *page) complete(ctx context.Context) (int, error) {
	var missing mail.UIDSet
	for n, e := range p.entries {
		if p.lacks(n) {
			missing.Add(e.UID)
		}
	}
	if len(missing) == 0 {
		return len(p.entries), nil
	}
	p.made = 0
	rest, err := p.read(ctx, missing)
	if err != nil {
		return 0, err
	}
	n := len(p.entries)
	if len(rest) > 0 {
		n = p.find(rest[0].First)
	}
	for i, t := range p.known {
		if t != nil {
			t.Keep(p.entries, p.texts[i])
		}
	}
	return n, nil
}

// find returns the place of a UID, or of the next.
func (p *page) find(uid mail.UID) int {
	return sort.Search(len(p.entries), func(i int) bool { return p.entries[i].UID >= uid })
}

// readRows makes texts of those messages, and returns the ones it did not come to.
func (p *page) readRows(ctx context.Context, missing mail.UIDSet) (rest mail.UIDSet, err error) {
	return p.f.viewRows(ctx, missing, false, func(pl *mail.Placement, m *mail.Message) error {
		w := &rowWriter{f: p.f, p: pl, m: m}
		if err := w.decode(); err != nil {
			p.f.keepTrouble(err)
			return nil
		}
		return p.make(pl.UID, func(i int) error { return w.sayWide(p.enc, &p.f.plan.items[i]) })
	})
}

// make makes the texts of one message that are not known, or fails with errFull
// when the page holds enough.
func (p *page) make(uid mail.UID, say func(i int) error) error {
	size, err := p.makeWith(p.enc, uid, say)
	if p.made += size; err == nil && p.made > fetchBytes {
		err = errFull
	}
	return err
}

// makeWith is make for several messages at once.
func (p *page) makeWith(enc *wire.Encoder, uid mail.UID, say func(i int) error) (size int, err error) {
	n := p.find(uid)
	if n == len(p.entries) || p.entries[n].UID != uid {
		return 0, nil
	}
	for i, t := range p.known {
		if t == nil || p.texts[i][n] != nil {
			continue
		}
		err := say(i)
		text := enc.Taken()
		if err != nil {
			return size, err
		}
		p.texts[i][n] = bytes.Clone(text)
		size += len(text)
	}
	return size, nil
}

// readBodies is readRows where the headers of the messages are looked into, of
// several at once.
func (p *page) readBodies(ctx context.Context, missing mail.UIDSet) (rest mail.UIDSet, err error) {
	rows, rest, err := p.f.bodyRows(ctx, missing)
	for err == nil && len(rows) > 0 {
		n := min(len(rows), aheadMessages)
		p.readWindow(ctx, rows[:n])
		if p.made > fetchBytes {
			return after(missing, rows[n-1].p.UID), nil
		}
		rows = rows[n:]
	}
	return rest, err
}

// readWindow leaves out messages that can't be read. Long headers have to wait for
// their turn: so what is held stays small.
func (p *page) readWindow(ctx context.Context, rows []row) {
	writers := make([]bodyWriter, len(rows))
	sizes := make([]int, len(rows))
	defer closeAll(writers)
	p.f.srv.ahead.each(len(rows), func(i int) {
		b := &writers[i]
		b.rowWriter = rowWriter{f: p.f, p: &rows[i].p, m: &rows[i].m}
		if b.err = b.open(ctx); b.err == nil && b.parsed.Root.HeaderSize <= smallPiece {
			sizes[i], b.err = p.readHeader(b)
		}
	})
	for i := range writers {
		b := &writers[i]
		if b.err == nil && b.parsed.Root.HeaderSize > smallPiece {
			sizes[i], b.err = p.readHeader(b)
		}
		if b.err != nil {
			p.f.keepTrouble(b.err)
		}
		p.made += sizes[i]
	}
}

func (p *page) readHeader(b *bodyWriter) (size int, err error) {
	defer b.close()
	enc := wire.NewTextEncoder(p.f.enc.UTF8)
	return p.makeWith(enc, b.p.UID, func(i int) error { return b.sayText(enc, &p.f.plan.items[i]) })
}

// sayText writes a text that the row knows, or the header.
func (b *bodyWriter) sayText(out *wire.Encoder, item *wire.FetchItem) error {
	if item.Kind != wire.FetchSection {
		return b.sayWide(out, item)
	}
	sp, err := section(*item, b.parsed, b.body)
	if err != nil {
		return err
	}
	text := make([]byte, sp.size)
	if _, err := io.ReadFull(sp.reader(), text); err != nil {
		return err
	}
	out.Item(*item).LiteralBytes(text)
	return nil
}

// say answers for the first n messages. Those whose texts could not be made are
// left out.
func (p *page) say(n int) error {
	for i, e := range p.entries[:n] {
		if p.lacks(i) {
			continue
		}
		out := p.f.beginFetch(p.f.enc, p.seqs[i], e.UID)
		for j := range p.known {
			if p.known[j] != nil {
				out.Said(p.texts[j][i])
			} else {
				p.f.sayNarrow(out, &p.f.plan.items[j], e)
			}
		}
		out.Close().End()
	}
	if err := p.f.enc.Err(); err != nil {
		return hangup(err)
	}
	return nil
}
