package model

import "slices"

const chunk = 64

// table is a persistent array: a copy costs a pointer for every 64 elements and
// shares them until one is set. Ids of an account come from one counter, so every id
// is an index; where the counter leapt, nothing lies between.
type table[V any] struct {
	at     []int64 // which chunks there are
	chunks []*[chunk]V
}

// find returns where a chunk is, or would be.
func (t table[V]) find(at int64) (i int, found bool) {
	if n := len(t.at); n > 0 && t.at[n-1] == int64(n-1) && at < int64(n) { // most often without a gap
		return int(at), true
	}
	return slices.BinarySearch(t.at, at)
}

func (t table[V]) get(id int64) (v V) {
	if id < 0 {
		return v
	}
	if i, found := t.find(id / chunk); found {
		return t.chunks[i][id%chunk]
	}
	return v
}

// set changes this version and no other.
func (t *table[V]) set(id int64, v V) {
	i, found := t.find(id / chunk)
	var c [chunk]V
	if found {
		c = *t.chunks[i]
		t.chunks = slices.Clone(t.chunks)
	} else {
		t.at = slices.Insert(slices.Clone(t.at), i, id/chunk)
		t.chunks = slices.Insert(slices.Clone(t.chunks), i, nil)
	}
	c[id%chunk] = v
	t.chunks[i] = &c
}

// all yields every element, also the zero ones between.
func (t table[V]) all(yield func(int64, V) bool) {
	for i, c := range t.chunks {
		for j, v := range c {
			if !yield(t.at[i]*chunk+int64(j), v) {
				return
			}
		}
	}
}
