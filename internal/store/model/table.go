package model

import "lockstep/internal/mail"

const chunk = 64

// table is a persistent array: a copy costs a pointer for every 64 elements and
// shares them until one is set. Ids of an account come from one counter, so every id
// is an index: of what came between two restores, which make the counter leap.
type table[V any] struct{ lives [][]*[chunk]V }

// spot is where an id lies.
func spot(id int64) (life, at, in int64) {
	low := id % mail.RestoredIDs
	return id / mail.RestoredIDs, low / chunk, low % chunk
}

func (t table[V]) get(id int64) (v V) {
	if id < 0 {
		return v
	}
	life, at, in := spot(id)
	if life >= int64(len(t.lives)) || at >= int64(len(t.lives[life])) || t.lives[life][at] == nil {
		return v
	}
	return t.lives[life][at][in]
}

// set changes this version and no other.
func (t *table[V]) set(id int64, v V) {
	life, at, in := spot(id)
	t.lives = longer(t.lives, life)
	t.lives[life] = longer(t.lives[life], at)
	var c [chunk]V
	if old := t.lives[life][at]; old != nil {
		c = *old
	}
	c[in] = v
	t.lives[life][at] = &c
}

// longer is a copy that has an element i.
func longer[E any](list []E, i int64) []E {
	out := make([]E, max(len(list), int(i)+1))
	copy(out, list)
	return out
}

// all yields every element, also the zero ones between.
func (t table[V]) all(yield func(int64, V) bool) {
	for life, chunks := range t.lives {
		for i, c := range chunks {
			if c == nil {
				continue
			}
			for j, v := range c {
				if !yield(int64(life)*mail.RestoredIDs+int64(i*chunk+j), v) {
					return
				}
			}
		}
	}
}
