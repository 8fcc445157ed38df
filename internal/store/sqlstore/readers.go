package sqlstore

import (
	"context"
)

// pooled is a connection that reads.
type pooled interface {
	conn
	setIdle(bool) // nobody may use it: what a View left behind is the next one's
	isBroken() bool
}

// pool holds the connections that read. Who waits is served in order.
type pool struct {
	open func() (pooled, error)
	free chan pooled // nil in it is leave to open one
}

func newPool(n int, open func() (pooled, error)) *pool {
	p := &pool{open: open, free: make(chan pooled, n)}
	for range n {
		p.free <- nil
	}
	return p
}

func (p *pool) get(ctx context.Context) (pooled, error) {
	select {
	case c, open := <-p.free:
		switch {
		case !open:
			return nil, errClosed
		case c != nil && !c.isBroken():
			c.setIdle(false)
			return c, nil
		case c != nil:
			c.close()
		}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	c, err := p.open()
	if err != nil {
		p.free <- nil
		return nil, err
	}
	return c, nil
}

func (p *pool) put(c pooled) {
	c.setIdle(true)
	p.free <- c // get looks whether it is broken
}

// close waits for every connection to come back.
func (p *pool) close() {
	for range cap(p.free) {
		if c := <-p.free; c != nil {
			c.close()
		}
	}
	close(p.free)
}
