package eas

import (
	"context"
	"sync"
	"time"
)

// collectionLocks lets one command at a time at what is remembered of a collection of a
// device.
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
