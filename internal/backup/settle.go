package backup

import (
	"context"
	"encoding/json"
	"slices"
	"time"
)

// carried is a page that a point carries, and in which of its segments.
type carried struct {
	pgno    uint32
	segment int32
	hash    pageHash
}

// A layerMaker puts pages into segments as they come.
type layerMaker struct {
	p       *making
	keep    int // layers of the table that stay
	segment segmentMaker
	names   []string  // of the segments
	pages   []carried // a later one stands for an earlier
	seen    bitset
}

// settle carries the pages of the database that changed.
func (p *making) settle(ctx context.Context) (Point, error) {
	l := &layerMaker{p: p, keep: len(p.state.layers) - absorb(p.state.layers)}
	if l.keep < len(p.state.layers) {
		p.pages.Want(p.state.ownedFrom(l.keep))
	}
	var total int64
	if p.server.Size != nil {
		total = p.server.Size()
	}
	moment, err := p.pages.Settle(ctx, p.o.Digests, func(pgno uint32, page []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		p.up.reached("database", int64(len(page)), total)
		l.add(pgno, page)
		return nil
	})
	if err != nil {
		return Point{}, err
	}
	p.m.Time, p.m.PageSize, p.m.Pages = moment.Time, moment.PageSize, moment.Pages
	l.segment.pageSize = moment.PageSize
	l.addZeros()
	l.finish()
	for digests := range slices.Chunk(moment.Digests, digestsAtOnce) {
		b, err := json.Marshal(digests)
		if err != nil {
			return Point{}, err
		}
		name := digestsOf(p.set) + p.seal.nameOf(b)
		p.up.sealed(name, b, 0)
		p.m.Digests = append(p.m.Digests, name)
	}
	return Point{Set: p.set, Number: p.last.Number + 1, Time: upTo(moment.Time, time.Millisecond)}, nil
}

// upTo rounds up: nothing in a point is later than its name says.
func upTo(t time.Time, unit time.Duration) time.Time {
	t = t.UTC()
	if rounded := t.Truncate(unit); rounded.Equal(t) {
		return rounded
	}
	return t.Truncate(unit).Add(unit)
}

// add takes a page, unless it is as the layers that stay have it.
func (l *layerMaker) add(pgno uint32, page []byte) {
	h := hashPage(page)
	t := &l.p.state
	if t.has(pgno, h) && int(t.owner[pgno-1]) <= l.keep && !l.seen.has(pgno) {
		return
	}
	l.seen.add(pgno)
	l.segment.pageSize = len(page)
	if n := len(l.segment.numbers); l.segment.full() || n > 0 && l.segment.numbers[n-1] >= pgno {
		l.cut()
	}
	l.segment.add(pgno, page)
	l.pages = append(l.pages, carried{pgno, int32(len(l.names)), h})
}

// addZeros adds the pages that the database has and nobody was given: SQLite leaves out
// the one at 1 GiB, where it locks.
func (l *layerMaker) addZeros() {
	t := &l.p.state
	var zeros []byte
	for pgno := uint32(1); pgno <= l.p.m.Pages; pgno++ {
		known := int(pgno) <= t.count() && t.owner[pgno-1] != 0 && int(t.owner[pgno-1]) <= l.keep
		if known || l.seen.has(pgno) {
			continue
		}
		if zeros == nil {
			zeros = make([]byte, l.p.m.PageSize)
		}
		l.add(pgno, zeros)
	}
}

// cut ends a segment.
func (l *layerMaker) cut() {
	content := l.segment.content()
	name := l.p.seal.nameOf(content)
	l.names = append(l.names, name)
	l.p.up.sealed(pagesOf(l.p.set)+name, content, len(l.segment.numbers))
	l.segment.reset()
}

// finish stores the indexes, and brings the table up to the point.
func (l *layerMaker) finish() {
	if len(l.segment.numbers) > 0 {
		l.cut()
	}
	t := &l.p.state
	t.truncate(l.p.m.Pages)
	t.layers = slices.Clone(t.layers[:l.keep])
	if counting := l.counting(); len(counting) > 0 {
		for _, c := range counting {
			t.set(c.pgno, c.hash, l.keep)
		}
		t.layers = append(t.layers, Layer{Indexes: l.index(counting), Pages: len(counting)})
	}
	l.p.m.Layers, l.p.m.Root = t.layers, t.root()
}

// counting returns the pages that count, segment by segment: of a page that was given
// twice the last, and none beyond the database's end.
func (l *layerMaker) counting() []carried {
	var counting []carried
	var seen bitset
	for _, c := range slices.Backward(l.pages) {
		if c.pgno <= l.p.m.Pages && !seen.has(c.pgno) {
			seen.add(c.pgno)
			counting = append(counting, c)
		}
	}
	slices.Reverse(counting)
	return counting
}

// index stores the index of the layer, in objects of at most indexPages pages.
func (l *layerMaker) index(counting []carried) (names []string) {
	m, n := newIndexMaker(l.p.m.PageSize), 0
	flush := func() {
		name := indexOf(l.p.set) + l.p.seal.nameOf(m.b)
		l.p.up.sealed(name, m.b, 0)
		names = append(names, name)
		m, n = newIndexMaker(l.p.m.PageSize), 0
	}
	for len(counting) > 0 {
		of := counting[0].segment
		end := slices.IndexFunc(counting, func(c carried) bool { return c.segment != of })
		if end < 0 {
			end = len(counting)
		}
		pages := make([]segmentPage, end)
		for i, c := range counting[:end] {
			pages[i] = segmentPage{c.pgno, c.hash}
		}
		if n+end > indexPages {
			flush()
		}
		m.add(l.names[of], pages)
		n += end
		counting = counting[end:]
	}
	flush()
	return names
}

// A bitset is a set of page numbers.
type bitset struct{ words []uint64 }

func (b *bitset) has(n uint32) bool {
	return int(n/64) < len(b.words) && b.words[n/64]&(1<<(n%64)) != 0
}

func (b *bitset) add(n uint32) {
	if grow := int(n/64) + 1 - len(b.words); grow > 0 {
		b.words = append(b.words, make([]uint64, grow)...)
	}
	b.words[n/64] |= 1 << (n % 64)
}
