package eas

import (
	"context"
	"slices"
	"sync"
	"time"
)

// collectionLocks lets one command of this node at a time at what is remembered of a
// collection of a device: which saves work. Commands at other nodes are kept apart by
// what is remembered itself, which is written only as what follows the state that was
// read.
type collectionLocks struct {
	mu   sync.Mutex
	held map[collectionKey]*collectionLock
}

type collectionKey struct {
	device     deviceKey
	collection string
}

type collectionLock struct {
	free  chan struct{} // holds one value while nobody has it
	users int
}

// handed are the collections whose last answer went out whole, on a connection that
// stood until then. A device that asks for such an answer again may not be able to take
// it in; one whose connection broke, or whose server died, says nothing by that.
type handed struct {
	mu   sync.Mutex
	last map[collectionKey]struct{}
}

// maxHanded bounds the answers that are remembered; with more, all are forgotten.
const maxHanded = 1 << 20

func (h *handed) add(keys []collectionKey) {
	if len(keys) == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.last == nil || len(h.last)+len(keys) > maxHanded {
		h.last = map[collectionKey]struct{}{}
	}
	for _, k := range keys {
		h.last[k] = struct{}{}
	}
}

// take reports whether the last answer went out whole, which is forgotten.
func (h *handed) take(k collectionKey) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, whole := h.last[k]
	delete(h.last, k)
	return whole
}

// lock waits for its turn, but not for long: the device then asks again.
func (l *collectionLocks) lock(ctx context.Context, k collectionKey) (unlock func(), ok bool) {
	l.mu.Lock()
	if l.held == nil {
		l.held = map[collectionKey]*collectionLock{}
	}
	c := l.held[k]
	if c == nil {
		c = &collectionLock{free: make(chan struct{}, 1)}
		c.free <- struct{}{}
		l.held[k] = c
	}
	c.users++
	l.mu.Unlock()
	leave := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if c.users--; c.users == 0 {
			delete(l.held, k)
		}
	}
	patience := time.NewTimer(maxLockWait)
	defer patience.Stop()
	select {
	case <-c.free:
		return func() { c.free <- struct{}{}; leave() }, true
	case <-patience.C:
	case <-ctx.Done():
	}
	leave()
	return nil, false
}

// lockAll locks several collections of a device, in one order, so that nobody waits for
// one who waits.
func (l *collectionLocks) lockAll(ctx context.Context, d deviceKey, names []string) (unlock func(), ok bool) {
	names = slices.Clone(names)
	slices.Sort(names)
	var held []func()
	unlock = func() {
		for _, u := range held {
			u()
		}
	}
	for _, name := range slices.Compact(names) {
		u, ok := l.lock(ctx, collectionKey{d, name})
		if !ok {
			unlock()
			return nil, false
		}
		held = append(held, u)
	}
	return unlock, true
}
