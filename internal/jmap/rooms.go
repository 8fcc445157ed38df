package jmap

import (
	"sync"

	"lockstep/internal/store"
)

// rooms counts what each principal has under way.
type rooms struct {
	mu     sync.Mutex
	inside map[room]int
}

type room struct {
	who  store.PrincipalID
	what string
}

// enter reports whether there is room; then leave is called once.
func (r *rooms) enter(who store.PrincipalID, what string, most int) (leave func(), ok bool) {
	at := room{who, what}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.inside[at] >= most {
		return nil, false
	}
	if r.inside == nil {
		r.inside = map[room]int{}
	}
	r.inside[at]++
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.inside[at]--; r.inside[at] == 0 {
			delete(r.inside, at)
		}
	}, true
}
