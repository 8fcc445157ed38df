package storetest

import (
	"slices"
	"sync"
)

// writers is how many write at a time.
const writers = 4

// concurrent proves that what several writers do at once comes out as if done
// one after the other: the account is sound, the news is whole, the journal leads
// back to the beginning and the delta from there is exact.
func (h *history) concurrent() {
	s := h.subject()
	start, watch := s.snapshot(), newWatch(s)
	var all sync.WaitGroup
	for part := range slices.Chunk(h.ops, len(h.ops)/writers+1) {
		one := *s
		all.Go(func() {
			for _, o := range part {
				o.do(&one)
			}
		})
	}
	all.Wait()
	now := s.snapshot()
	if now.account.Head == start.account.Head {
		return
	}
	now.sound()
	s.checked()
	watch.heardAll()
	s.exactDeltas(start, now)
	s.rewind([]*snapshot{start, now}, now.world(s))
}
