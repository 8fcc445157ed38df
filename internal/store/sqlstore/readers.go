package sqlstore

import (
	"context"
)

// pool holds the connections that read. Who waits is served in order.
type pool struct {
	path string
	free chan conn // nil in it is leave to open one
}

func newPool(path string, n int) *pool {
	p := &pool{path: path, free: make(chan conn, n)}
	for range n {
		p.free <- nil
	}
	return p
}

func (p *pool) get(ctx context.Context) (conn, error) {
	select {
	case c, open := <-p.free:
		switch {
		case !open:
			return nil, errClosed
		case c != nil:
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

func (p *pool) put(c conn) { p.free <- c }

// close waits for every connection to come back.
func (p *pool) close() {
	for range cap(p.free) {
		if c := <-p.free; c != nil {
			c.close()
		}
	}
	close(p.free)
}
