package sqlstore

import "math/bits"

// A pageSet is a set of page numbers, a bit for each. Pages count from 1.
type pageSet struct {
	words []uint64
	n     int
}

func (s *pageSet) add(page uint32) {
	i := int(page / 64)
	if i >= len(s.words) {
		s.words = append(s.words, make([]uint64, i+1-len(s.words))...)
	}
	if bit := uint64(1) << (page % 64); s.words[i]&bit == 0 {
		s.words[i] |= bit
		s.n++
	}
}

// addAll adds 1 to last.
func (s *pageSet) addAll(last uint32) {
	s.add(last)
	for i := range s.words[:last/64] {
		s.words[i] = ^uint64(0)
	}
	s.words[last/64] |= 1<<(last%64) - 1
	s.words[0] &^= 1
	s.count()
}

func (s *pageSet) addSet(other *pageSet) {
	if len(s.words) < len(other.words) {
		s.words = append(s.words, make([]uint64, len(other.words)-len(s.words))...)
	}
	for i, word := range other.words {
		s.words[i] |= word
	}
	s.count()
}

func (s *pageSet) count() {
	s.n = 0
	for _, word := range s.words {
		s.n += bits.OnesCount64(word)
	}
}

func (s *pageSet) remove(page uint32) {
	i, bit := int(page/64), uint64(1)<<(page%64)
	if i < len(s.words) && s.words[i]&bit != 0 {
		s.words[i] &^= bit
		s.n--
	}
}

// from returns the pages from first on, ascending, limit of them at most; 0 is all.
func (s *pageSet) from(first uint32, limit int) (pages []uint32) {
	for i := int(first / 64); i < len(s.words); i++ {
		word := s.words[i]
		if i == int(first/64) {
			word &= ^uint64(0) << (first % 64)
		}
		for ; word != 0; word &= word - 1 {
			if limit > 0 && len(pages) == limit {
				return pages
			}
			pages = append(pages, uint32(i*64+bits.TrailingZeros64(word)))
		}
	}
	return pages
}

func (s *pageSet) has(page uint32) bool {
	i := int(page / 64)
	return i < len(s.words) && s.words[i]&(1<<(page%64)) != 0
}
