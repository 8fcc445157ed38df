package search

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"
	"strings"
	"sync"
)

// A segment also says which of its messages have which word, and where. Words lie in
// the order of their bytes. In a block: for each list, how many bytes its word has in
// common with the one before, the other bytes' number and they themselves, the bytes of
// the list, the list. What does not fit a block goes on in the next, under the same word.
//
// In a list, for each message: the difference between its number and the one before (0
// at the beginning of a list), a head, and for each field the differences between the
// word's places. The head is the count of places and the field; or, where there are
// several fields, allFields, the set of fields, and the count for each.

// places are where a word stands in a message: its field and its place there, in order.
type places []uint32

func placeOf(f field, at int) uint32 { return uint32(f)<<16 | uint32(at) }

const allFields = 7 // where a field would be

// appendPlaces writes where a word stands in one message.
func appendPlaces(b []byte, all places) []byte {
	var n [numFields]uint64
	set := fieldSet(0)
	for _, p := range all {
		n[p>>16]++
		set |= 1 << (p >> 16)
	}
	if f := field(all[0] >> 16); set == fields(f) {
		b = binary.AppendUvarint(b, n[f]<<3|uint64(f))
	} else {
		b = append(b, allFields, byte(set))
		for f := range numFields {
			if n[f] > 0 {
				b = binary.AppendUvarint(b, n[f])
			}
		}
	}
	last, in := uint32(0), all[0]>>16
	for _, p := range all {
		if p>>16 != in {
			last, in = 0, p>>16
		}
		b = binary.AppendUvarint(b, uint64(p&0xffff-last))
		last = p & 0xffff
	}
	return b
}

// placed is what a list says of one message.
type placed struct {
	doc  uint32
	n    [numFields]uint32
	raw  []byte // head and places
	body []byte // places
}

// in is how often the word stands in some fields.
func (p *placed) in(set fieldSet) (n int) {
	for f := range numFields {
		if set&(1<<f) != 0 {
			n += int(p.n[f])
		}
	}
	return n
}

// appendTo writes the places in some fields.
func (p *placed) appendTo(all []uint64, set fieldSet) []uint64 {
	b := p.body
	for f := range numFields {
		at := uint64(0)
		for range p.n[f] {
			diff, n := binary.Uvarint(b)
			at, b = at+diff, b[n:]
			if set&(1<<f) != 0 {
				all = append(all, uint64(p.doc)<<19|uint64(f)<<16|at)
			}
		}
	}
	return all
}

// eachPlaced reads a list.
func eachPlaced(list []byte, fn func(*placed) error) error {
	var p placed
	for doc := uint64(0); len(list) > 0; {
		diff, n := binary.Uvarint(list)
		if doc += diff; n <= 0 || doc >= maxSegment {
			return errDamaged
		}
		p.doc = uint32(doc)
		rest, ok := p.read(list[n:])
		if !ok {
			return errDamaged
		}
		if err := fn(&p); err != nil {
			return err
		}
		list = rest
	}
	return nil
}

// read takes head and places off b.
func (p *placed) read(b []byte) (rest []byte, ok bool) {
	p.n = [numFields]uint32{}
	head, n := binary.Uvarint(b)
	if n <= 0 {
		return nil, false
	}
	rest = b[n:]
	if f := head & 7; f < uint64(numFields) {
		p.n[f] = uint32(min(head>>3, maxTokens+1))
	} else if rest, ok = p.readCounts(rest); !ok || f != allFields {
		return nil, false
	}
	p.body = rest
	for f := range numFields {
		if p.n[f] > maxTokens {
			return nil, false
		}
		if rest, ok = skipPlaces(rest, int(p.n[f])); !ok {
			return nil, false
		}
	}
	p.raw, p.body = b[:len(b)-len(rest)], p.body[:len(p.body)-len(rest)]
	return rest, true
}

func (p *placed) readCounts(b []byte) (rest []byte, ok bool) {
	if len(b) == 0 {
		return nil, false
	}
	set := fieldSet(b[0])
	b = b[1:]
	for f := range numFields {
		if set&(1<<f) == 0 {
			continue
		}
		count, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, false
		}
		p.n[f] = uint32(min(count, maxTokens+1))
		b = b[n:]
	}
	return b, true
}

// skipPlaces takes so many off b, the sum of which is a place.
func skipPlaces(b []byte, count int) (rest []byte, ok bool) {
	sum := uint64(0)
	for ; count > 0; count-- {
		if len(b) > 0 && b[0] < 0x80 {
			sum += uint64(b[0])
			b = b[1:]
			continue
		}
		diff, n := binary.Uvarint(b)
		if n <= 0 || diff > maxTokens {
			return nil, false
		}
		sum += diff
		b = b[n:]
	}
	return b, sum <= maxTokens
}

// What stands in a segment, by the first byte of a block's name.
const (
	kindGrams = 'g'
	kindWords = 'w'
)

// wordKey names what is said of a word, from a message on. No word has a NUL.
func wordKey(word []byte, doc uint32) []byte {
	b := make([]byte, 0, len(word)+4)
	b = append(append(b, kindWords), word...)
	return append(b, 0, byte(doc>>8), byte(doc))
}

// wordRange is where a word lies, or all words with that beginning: no word has a byte
// above 0xf4.
func wordRange(word string, prefix bool) (low, high []byte) {
	if prefix {
		low = append([]byte{kindWords}, word...)
		return low, append(slices.Clip(low), 0xff)
	}
	return wordKey([]byte(word), 0), wordKey([]byte(word), maxSegment)
}

// wordWriter cuts lists of places into blocks.
type wordWriter struct {
	put func(block) error

	cur  block
	last []byte // word of the last list of the block

	word []byte // whose list is under way
	list []byte
	from uint32 // its first message
	doc  uint32 // its last
}

// begin begins the list of a word.
func (w *wordWriter) begin(word []byte) {
	w.endList()
	w.word = append(w.word[:0], word...)
}

// listOverhead is what a list takes besides its word and itself, at most.
const listOverhead = 12

// add says where the word stands in a message, as appendPlaces wrote it.
func (w *wordWriter) add(doc uint32, raw []byte) error {
	if size := len(w.cur.data) + len(w.word) + len(w.list) + len(raw) + listOverhead; size > blockBytes && len(w.cur.data)+len(w.list) > 0 {
		w.endList()
		if err := w.flush(); err != nil {
			return err
		}
	}
	if len(w.list) == 0 {
		w.from, w.doc = doc, 0
	}
	w.list = binary.AppendUvarint(w.list, uint64(doc-w.doc))
	w.list = append(w.list, raw...)
	w.doc = doc
	return nil
}

// endList puts the list under way into the block.
func (w *wordWriter) endList() {
	if len(w.list) == 0 {
		return
	}
	common := 0
	if len(w.cur.data) == 0 {
		w.cur.first, w.last = wordKey(w.word, w.from), w.last[:0]
	} else {
		for common < min(len(w.last), len(w.word)) && w.last[common] == w.word[common] {
			common++
		}
	}
	b := binary.AppendUvarint(w.cur.data, uint64(common))
	b = binary.AppendUvarint(b, uint64(len(w.word)-common))
	b = append(b, w.word[common:]...)
	b = binary.AppendUvarint(b, uint64(len(w.list)))
	w.cur.data = append(b, w.list...)
	w.last = append(w.last[:0], w.word...)
	w.list = w.list[:0]
}

// flush writes the block.
func (w *wordWriter) flush() error {
	if len(w.cur.data) == 0 {
		return nil
	}
	b := w.cur
	w.cur = block{}
	return w.put(b)
}

// end writes what is left.
func (w *wordWriter) end() error {
	w.endList()
	return w.flush()
}

// listReader reads the lists of a block.
type listReader struct {
	data []byte
	word []byte
	list []byte
}

func readWords(b block) *listReader {
	if len(b.first) == 0 || b.first[0] != kindWords { // what lies before the words
		return &listReader{}
	}
	return &listReader{data: b.data}
}

// next reads the next list; false at the end.
func (r *listReader) next() (bool, error) {
	if len(r.data) == 0 {
		return false, nil
	}
	b := r.data
	common, n := binary.Uvarint(b)
	if n <= 0 || common > uint64(len(r.word)) {
		return false, errDamaged
	}
	more, m := binary.Uvarint(b[n:])
	if b = b[n+max(m, 0):]; m <= 0 || more > uint64(len(b)) {
		return false, errDamaged
	}
	r.word = append(r.word[:common], b[:more]...)
	b = b[more:]
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return false, errDamaged
	}
	r.list, r.data = b[n:n+int(size)], b[n+int(size):]
	return true, nil
}

// eachList calls fn with each list of a word, or of the words that begin with it, that
// some blocks have.
func eachList(some []block, word string, prefix bool, fn func(list []byte) error) error {
	w := []byte(word)
	for _, b := range some {
		r := readWords(b)
		for {
			more, err := r.next()
			if err != nil {
				return err
			}
			if !more || bytes.Compare(r.word, w) > 0 && !bytes.HasPrefix(r.word, w) {
				break
			}
			if bytes.Equal(r.word, w) || prefix && bytes.HasPrefix(r.word, w) {
				if err := fn(r.list); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// wordSorter gathers the words of a batch of messages.
type wordSorter struct {
	ids   map[string]int
	all   []sortedWord
	met   []int // of one message
	count int64
}

type sortedWord struct {
	word   string
	last   uint32
	list   []byte
	places places // in one message
}

var wordSorters = sync.Pool{New: func() any { return &wordSorter{ids: map[string]int{}} }}

// maxKeptWords bounds what a sorter that nobody uses holds.
const maxKeptWords = 1 << 15

func (s *wordSorter) release() {
	s.reset()
	if len(s.all) <= maxKeptWords {
		wordSorters.Put(s)
	}
}

func (s *wordSorter) reset() {
	clear(s.ids)
	s.all, s.met, s.count = s.all[:0], s.met[:0], 0
}

// add takes a message.
func (s *wordSorter) add(number uint32, w *words) {
	for f := range numFields {
		at := 0
		for text := w.fields[f].out; len(text) > 0; at++ {
			i := bytes.IndexByte(text, ' ')
			s.meet(text[:i], placeOf(f, at))
			text = text[i+1:]
		}
		s.count += int64(at)
	}
	for _, i := range s.met {
		t := &s.all[i]
		t.list = binary.AppendUvarint(t.list, uint64(number-t.last))
		t.list = appendPlaces(t.list, t.places)
		t.last, t.places = number, t.places[:0]
	}
	s.met = s.met[:0]
}

func (s *wordSorter) meet(word []byte, p uint32) {
	i, known := s.ids[string(word)]
	if !known {
		i = len(s.all)
		s.all = slices.Grow(s.all, 1)[:i+1] // which may have room left from before
		t := &s.all[i]
		t.word, t.last, t.list, t.places = string(word), 0, t.list[:0], t.places[:0]
		s.ids[t.word] = i
	}
	t := &s.all[i]
	if len(t.places) == 0 {
		s.met = append(s.met, i)
	}
	t.places = append(t.places, p)
}

// write writes the blocks of all that was added.
func (s *wordSorter) write(put func(block) error) error {
	order := make([]int, len(s.all))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(s.all[a].word, s.all[b].word) })
	w := &wordWriter{put: put}
	for _, i := range order {
		w.begin([]byte(s.all[i].word))
		if err := eachPlaced(s.all[i].list, func(p *placed) error { return w.add(p.doc, p.raw) }); err != nil {
			return err
		}
	}
	s.reset()
	return w.end()
}

// wordsIn is how many words a message has.
func wordsIn(w *words) (n int64) {
	for _, t := range w.fields {
		n += int64(bytes.Count(t.out, []byte{' '}))
	}
	return n
}

// bits of a set of fields, for those that mean all by none.
func (s fieldSet) orAll() fieldSet {
	if s == 0 {
		return 1<<numFields - 1
	}
	return s
}

// bitmap is a set of a segment's messages.
type bitmap [maxSegment / 64]uint64

func (b *bitmap) set(n uint32)      { b[n>>6] |= 1 << (n & 63) }
func (b *bitmap) has(n uint32) bool { return b[n>>6]&(1<<(n&63)) != 0 }

func (b *bitmap) count() (n int) {
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}
