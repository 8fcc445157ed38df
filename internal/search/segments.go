package search

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/bits"
	"slices"

	"lockstep/internal/mail"
)

// encodeKeys writes the messages of a segment, by number.
func encodeKeys(keys []mail.MessageKey) []byte {
	var b []byte
	last := mail.MessageKey(0)
	for _, k := range keys {
		b = binary.AppendVarint(b, int64(k-last))
		last = k
	}
	return b
}

func decodeKeys(b []byte) ([]mail.MessageKey, error) {
	var keys []mail.MessageKey
	last := int64(0)
	for len(b) > 0 {
		diff, n := binary.Varint(b)
		if n <= 0 || len(keys) == maxSegment {
			return nil, errDamaged
		}
		last += diff
		keys = append(keys, mail.MessageKey(last))
		b = b[n:]
	}
	return keys, nil
}

// A segment's rank is by how many messages it has. When there are mergeAt of one
// rank they become one, so that a message is written again but a few times, and
// the segments to be asked are few.
const mergeAt = 8

// maxSegmentWords bounds the words of segments that become one, and with them the
// memory that a question takes.
const maxSegmentWords = 16 << 20

func (s segmentRow) rank() int { return (bits.Len64(uint64(s.docs)) + 2) / 3 }

// mergeable picks segments that should be one.
func mergeable(all []segmentRow) []segmentRow {
	byRank := map[int][]segmentRow{}
	for _, s := range all {
		byRank[s.rank()] = append(byRank[s.rank()], s)
	}
	for _, same := range byRank {
		docs, words := int64(0), int64(0)
		for i, s := range same {
			full := docs+s.docs > maxSegment || words+s.words > maxSegmentWords
			if full && i > 1 || i == mergeAt {
				return same[:i]
			}
			if full {
				docs = maxSegment + 1
				break
			}
			docs += s.docs
			words += s.words
		}
		if len(same) == mergeAt && docs <= maxSegment {
			return same
		}
	}
	return nil
}

// merge makes one of several segments, as long as there are too many.
func (w *writer) merge(ctx context.Context) error {
	for ctx.Err() == nil {
		all, err := w.known()
		if err != nil {
			return err
		}
		some := mergeable(all)
		if len(some) == 0 {
			return nil
		}
		if err := w.transact(func() error { return w.mergeSome(some) }); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (w *writer) mergeSome(some []segmentRow) error {
	var ids []int64
	for _, s := range some {
		ids = append(ids, s.id)
	}
	m, err := w.beginMerge(ids)
	if err != nil {
		return err
	}
	if len(m.keys) > 0 {
		err := w.addSegment(m.words, m.keys, func(put func(block) error) error {
			if err := m.mergeGrams(put); err != nil {
				return err
			}
			return m.mergeWords(put)
		})
		if err != nil {
			return err
		}
	}
	if err := w.removeSegments(ids); err != nil {
		return err
	}
	w.segs = slices.DeleteFunc(w.segs, func(s segmentRow) bool { return slices.Contains(ids, s.id) })
	return nil
}

// merger makes one segment of several.
type merger struct {
	from    shelf
	ids     []int64
	numbers [][]int64 // in the merged segment, by those in each; -1: gone
	keys    []mail.MessageKey
	words   int64
}

// beginMerge gives each message that is still there its number. One that left and came
// back is in two of them, and says the same there.
func (w *writer) beginMerge(ids []int64) (*merger, error) {
	m := &merger{from: w.pen, ids: ids}
	keys, err := w.segmentKeys(ids)
	if err != nil {
		return nil, err
	}
	seen := map[mail.MessageKey]bool{}
	for _, id := range ids {
		length := map[mail.MessageKey]int64{}
		err := w.docs(keys[id], func(d docRow) error {
			length[d.key] = d.words
			return nil
		})
		if err != nil {
			return nil, err
		}
		numbers := make([]int64, len(keys[id]))
		for i, k := range keys[id] {
			n, there := length[k]
			numbers[i] = -1
			if there && !seen[k] {
				numbers[i] = int64(len(m.keys))
				m.keys = append(m.keys, k)
				m.words += n
				seen[k] = true
			}
		}
		m.numbers = append(m.numbers, numbers)
	}
	return m, nil
}

// feed gives a segment's blocks of one kind, some at a time.
type feed struct {
	from    shelf
	segment int64
	kind    byte
	next    []byte
	some    []block
}

// feedBlocks is how many blocks of a segment are read at once.
const feedBlocks = 64

func (f *feed) block() (b block, ok bool, err error) {
	if len(f.some) == 0 && f.next != nil {
		if f.some, err = f.from.blocksFrom(f.segment, f.next, []byte{f.kind, 0xff}, feedBlocks); err != nil {
			return b, false, err
		}
		f.next = nil
		if n := len(f.some); n == feedBlocks {
			f.next = append(bytes.Clone(f.some[n-1].first), 0)
		}
	}
	if len(f.some) == 0 {
		return b, false, nil
	}
	b, f.some = f.some[0], f.some[1:]
	return b, true, nil
}

// gramCursor goes through the grams of a segment.
type gramCursor struct {
	feed
	numbers []int64
	block   *blockReader
	done    bool
}

// advance goes to the next list.
func (cur *gramCursor) advance() error {
	for {
		more, err := cur.block.next()
		if more || err != nil {
			return err
		}
		b, ok, err := cur.feed.block()
		if err != nil || !ok {
			cur.done = !ok
			return err
		}
		cur.block = readGrams(b)
	}
}

// mergeGrams writes the lists of grams of several segments as those of one.
func (m *merger) mergeGrams(put func(block) error) error {
	var from []*gramCursor
	for i, id := range m.ids {
		cur := &gramCursor{feed: feed{from: m.from, segment: id, kind: kindGrams, next: []byte{kindGrams}}, numbers: m.numbers[i], block: &blockReader{}}
		if err := cur.advance(); err != nil {
			return err
		}
		from = append(from, cur)
	}
	w := &blockWriter{put: put}
	var numbers []uint32
	var list []byte
	for {
		least, some := gram(maxGram), false
		for _, cur := range from {
			if !cur.done {
				least, some = min(least, cur.block.gram), true
			}
		}
		if !some {
			return w.flush()
		}
		numbers = numbers[:0]
		for _, cur := range from {
			if cur.done || cur.block.gram != least {
				continue
			}
			if err := cur.collect(&numbers); err != nil {
				return err
			}
		}
		if len(numbers) == 0 {
			continue
		}
		list = appendNumbers(list[:0], numbers)
		if err := w.add(least, list); err != nil {
			return err
		}
	}
}

// collect takes the messages of the list the cursor is at, and advances.
func (cur *gramCursor) collect(numbers *[]uint32) error {
	bad := false
	err := eachNumber(cur.block.list, func(n uint32) {
		if int(n) >= len(cur.numbers) {
			bad = true
		} else if now := cur.numbers[n]; now >= 0 {
			*numbers = append(*numbers, uint32(now))
		}
	})
	if err == nil && bad {
		err = errDamaged
	}
	if err != nil {
		return err
	}
	return cur.advance()
}

// wordCursor goes through the words of a segment.
type wordCursor struct {
	feed
	numbers []int64
	block   *listReader
	done    bool
}

func (cur *wordCursor) advance() error {
	for {
		more, err := cur.block.next()
		if more || err != nil {
			return err
		}
		b, ok, err := cur.feed.block()
		if err != nil || !ok {
			cur.done = !ok
			return err
		}
		cur.block = readWords(b)
	}
}

// mergeWords writes the lists of words of several segments as those of one.
func (m *merger) mergeWords(put func(block) error) error {
	var from []*wordCursor
	for i, id := range m.ids {
		cur := &wordCursor{feed: feed{from: m.from, segment: id, kind: kindWords, next: []byte{kindWords}}, numbers: m.numbers[i], block: &listReader{}}
		if err := cur.advance(); err != nil {
			return err
		}
		from = append(from, cur)
	}
	w := &wordWriter{put: put}
	var least []byte
	for {
		some := false
		for _, cur := range from {
			if !cur.done && (!some || bytes.Compare(cur.block.word, least) < 0) {
				least, some = append(least[:0], cur.block.word...), true
			}
		}
		if !some {
			return w.end()
		}
		w.begin(least)
		for _, cur := range from {
			for !cur.done && bytes.Equal(cur.block.word, least) { // a long list is several
				if err := cur.pass(w); err != nil {
					return err
				}
			}
		}
	}
}

// pass writes the list the cursor is at, and advances.
func (cur *wordCursor) pass(w *wordWriter) error {
	err := eachPlaced(cur.block.list, func(p *placed) error {
		if int(p.doc) >= len(cur.numbers) {
			return errDamaged
		}
		if now := cur.numbers[p.doc]; now >= 0 {
			return w.add(uint32(now), p.raw)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return cur.advance()
}
