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
