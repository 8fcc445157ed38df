package model

const chunk = 64

// table is a persistent array: a copy costs a pointer for every 64 elements and
// shares them until one is set. Ids of an account come from one counter, so
// every id is an index.
type table[V any] struct{ chunks []*[chunk]V }

func (t table[V]) get(id int64) (v V) {
	if id < 0 || id/chunk >= int64(len(t.chunks)) || t.chunks[id/chunk] == nil {
		return v
	}
	return t.chunks[id/chunk][id%chunk]
}

// set changes this version and no other.
func (t *table[V]) set(id int64, v V) {
	chunks := make([]*[chunk]V, max(len(t.chunks), int(id/chunk)+1))
	copy(chunks, t.chunks)
	var c [chunk]V
	if old := chunks[id/chunk]; old != nil {
		c = *old
	}
	c[id%chunk] = v
	chunks[id/chunk] = &c
	t.chunks = chunks
}

// all yields every element, also the zero ones between.
func (t table[V]) all(yield func(int64, V) bool) {
	for i, c := range t.chunks {
		if c == nil {
			continue
		}
		for j, v := range c {
			if !yield(int64(i*chunk+j), v) {
				return
			}
		}
	}
}
