package sqlstore

import (
	"context"
)

// pool holds the connections that read. Who waits is served in order.
type pool struct {
	path string
	free chan *sqliteConn // nil in it is leave to open one
}

func newPool(path string, n int) *pool {
	p := &pool{path: path, free: make(chan *sqliteConn, n)}
	for range n {
		p.free <- nil
	}
	return p
}

func (p *pool) get(ctx context.Context) (*sqliteConn, error) {
	select {
	case c, open := <-p.free:
		switch {
		case !open:
			return nil, errClosed
		case c != nil:
			c.idle.Store(false)
			return c, nil
		}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	c, err := openSQLite(p.path, readerCacheBytes)
	if err != nil {
		p.free <- nil
		return nil, err
	}
	return c, nil
}

func (p *pool) put(c *sqliteConn) {
	c.idle.Store(true)
	p.free <- c
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
