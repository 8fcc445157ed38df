package sqlstore

import (
	"context"
	"sync"
)

// pooled is a connection that reads.
type pooled interface {
	conn
	setIdle(bool) // nobody may use it: what a View left behind is the next one's
	isBroken() bool
	mark() int64
	brokeAt(mark int64) bool // without an answer since the mark
}

// pool holds the connections that read. Who waits is served in order. The connection
// that was used last is used next: its statements are prepared, what it remembers is in
// the processor's cache, and no more are opened than are in use at once.
type pool struct {
	open  func() (pooled, error)
	leave chan struct{} // holds a value for each connection that may be used

	mu   sync.Mutex // guards idle
	idle []pooled   // the one that was used last is the last
}

func newPool(n int, open func() (pooled, error)) *pool {
	p := &pool{open: open, leave: make(chan struct{}, n)}
	for range n {
		p.leave <- struct{}{}
	}
	return p
}

func (p *pool) get(ctx context.Context) (pooled, error) {
	select {
	case _, open := <-p.leave:
		if !open {
			return nil, errClosed
		}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if c := p.last(); c != nil {
		if !c.isBroken() {
			c.setIdle(false)
			return c, nil
		}
		c.close()
	}
	c, err := p.open()
	if err != nil {
		p.leave <- struct{}{}
		return nil, err
	}
	return c, nil
}

// instead opens a connection in the place of one that broke.
func (p *pool) instead(broken pooled) (pooled, error) {
	c, err := p.open()
	if err != nil {
		return broken, err
	}
	broken.close()
	return c, nil
}

// last takes the idle connection that was used last; nil if there is none.
func (p *pool) last() (c pooled) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.idle); n > 0 {
		c, p.idle[n-1] = p.idle[n-1], nil
		p.idle = p.idle[:n-1]
	}
	return c
}

func (p *pool) put(c pooled) {
	c.setIdle(true)
	p.mu.Lock()
	p.idle = append(p.idle, c) // get looks whether it is broken
	p.mu.Unlock()
	p.leave <- struct{}{}
}

// close waits for every connection to come back.
func (p *pool) close() {
	for range cap(p.leave) {
		<-p.leave
	}
	for c := p.last(); c != nil; c = p.last() {
		c.close()
	}
	close(p.leave)
}
