package search

import (
	"encoding/binary"
	"slices"
	"sync"
)

// A gram is three bytes of casemapped text. Whatever contains a needle contains
// each gram of the needle, so the messages that have them all are the only ones
// that can match, and the index loses nothing by asking them alone.
type gram uint32

const maxGram = 1<<24 - 1

// eachGram calls fn with every gram of the text, in order.
func eachGram(text []byte, fn func(gram)) {
	if len(text) < 3 {
		return
	}
	g := gram(text[0])<<8 | gram(text[1])
	for _, c := range text[2:] {
		g = (g<<8 | gram(c)) & maxGram
		fn(g)
	}
}

// gramSet finds the distinct grams of one text after another.
type gramSet struct {
	seen [1 << 18]uint64
	list []gram
}

// of returns the distinct grams of text, valid until the next call.
func (s *gramSet) of(text []byte) []gram {
	for _, g := range s.list {
		s.seen[g>>6] = 0
	}
	s.list = s.list[:0]
	eachGram(text, func(g gram) {
		if bit := uint64(1) << (g & 63); s.seen[g>>6]&bit == 0 {
			s.seen[g>>6] |= bit
			s.list = append(s.list, g)
		}
	})
	return s.list
}

// A segment says of up to maxSegment messages, numbered from 0, which have which
// gram. Its blocks hold lists in the order of their grams; a list never goes over
// the end of a block.
//
// In a block: for each gram, its difference to the one before (to the block's
// first for the first, that is 0), the bytes of its list, the list: the
// differences between the numbers of the messages, each uvarint.
const (
	maxSegment = 16_384
	blockBytes = 3900 // of a block, unless it is one list: so it fits a page of either database
)

// gramKey names what is said of a gram.
func gramKey(g gram) []byte { return []byte{kindGrams, byte(g >> 16), byte(g >> 8), byte(g)} }

// blockWriter cuts lists into blocks.
type blockWriter struct {
	put  func(block) error
	data []byte
	from gram
	last gram
}

// add writes the next list.
func (w *blockWriter) add(g gram, list []byte) error {
	if len(w.data)+len(list)+listOverhead > blockBytes {
		if err := w.flush(); err != nil {
			return err
		}
	}
	if len(w.data) == 0 {
		w.from, w.last = g, g
	}
	w.data = binary.AppendUvarint(w.data, uint64(g-w.last))
	w.data = binary.AppendUvarint(w.data, uint64(len(list)))
	w.data = append(w.data, list...)
	w.last = g
	return nil
}

// flush writes what there is.
func (w *blockWriter) flush() error {
	if len(w.data) == 0 {
		return nil
	}
	b := block{gramKey(w.from), w.data}
	w.data = nil
	return w.put(b)
}

// blockReader reads the lists of a block.
type blockReader struct {
	data []byte
	gram gram
	list []byte
}

func readGrams(b block) *blockReader {
	if len(b.first) != 4 || b.first[0] != kindGrams { // what lies before or behind the grams
		return &blockReader{}
	}
	return &blockReader{data: b.data, gram: gram(b.first[1])<<16 | gram(b.first[2])<<8 | gram(b.first[3])}
}

// next reads the next list; false at the end.
func (r *blockReader) next() (bool, error) {
	if len(r.data) == 0 {
		return false, nil
	}
	diff, n := binary.Uvarint(r.data)
	if n <= 0 {
		return false, errDamaged
	}
	size, m := binary.Uvarint(r.data[n:])
	if m <= 0 || size > uint64(len(r.data)-n-m) || uint64(r.gram)+diff > maxGram {
		return false, errDamaged
	}
	r.gram += gram(diff)
	r.data = r.data[n+m:]
	r.list, r.data = r.data[:size], r.data[size:]
	return true, nil
}

// appendNumbers writes growing numbers as a list.
func appendNumbers(b []byte, numbers []uint32) []byte {
	last := uint32(0)
	for _, n := range numbers {
		b = binary.AppendUvarint(b, uint64(n-last))
		last = n
	}
	return b
}

// eachNumber reads a list.
func eachNumber(list []byte, fn func(uint32)) error {
	last := uint64(0)
	for len(list) > 0 {
		diff, n := binary.Uvarint(list)
		if n <= 0 || last+diff >= maxSegment {
			return errDamaged
		}
		last += diff
		fn(uint32(last))
		list = list[n:]
	}
	return nil
}

// gramSorter gathers the grams of a batch of messages.
type gramSorter struct {
	pairs []uint64 // the gram, the message's number
	set   gramSet
}

var gramSorters = sync.Pool{New: func() any { return new(gramSorter) }}

// maxKeptPairs bounds what a sorter that nobody uses holds.
const maxKeptPairs = 1 << 20

// release gives a sorter back.
func (s *gramSorter) release() {
	if s.pairs = s.pairs[:0]; cap(s.pairs) > maxKeptPairs {
		s.pairs = nil
	}
	gramSorters.Put(s)
}

// add takes a message.
func (s *gramSorter) add(number uint32, text []byte) {
	for _, g := range s.set.of(text) {
		s.pairs = append(s.pairs, uint64(g)<<32|uint64(number))
	}
}

// write writes the blocks of all that was added.
func (s *gramSorter) write(put func(block) error) error {
	slices.Sort(s.pairs)
	w := &blockWriter{put: put}
	var list []byte
	var numbers []uint32
	for i := 0; i < len(s.pairs); {
		g := gram(s.pairs[i] >> 32)
		numbers = numbers[:0]
		for ; i < len(s.pairs) && gram(s.pairs[i]>>32) == g; i++ {
			numbers = append(numbers, uint32(s.pairs[i]))
		}
		list = appendNumbers(list[:0], numbers)
		if err := w.add(g, list); err != nil {
			return err
		}
	}
	s.pairs = s.pairs[:0]
	return w.flush()
}

// maxAsked is how many grams of a needle are looked up: more would not leave less.
const maxAsked = 24

// gramsOf picks grams of a needle, those first that stand apart: neighbours tell
// least.
func gramsOf(needle []byte) []gram {
	var all []gram
	eachGram(needle, func(g gram) { all = append(all, g) })
	var picked []gram
	for _, step := range []int{3, 2, 1} {
		for i := 0; i < len(all) && len(picked) < maxAsked; i += step {
			if !slices.Contains(picked, all[i]) {
				picked = append(picked, all[i])
			}
		}
	}
	return picked
}
