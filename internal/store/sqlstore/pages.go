package sqlstore

import (
	"slices"
	"strconv"
)

// pages is a statement whose rows are wanted until there are enough, which only who
// looks at them can tell. SQLite makes a row when it is asked for. PostgreSQL sends
// all there are, which may be a mailbox for one message: there a page is asked for at
// a time, each twice as long as the one before.
type pages struct {
	sql  string // ordered by column key
	args []any
	from int   // the argument that bounds where it begins
	key  int   // a column, of numbers of which each is there once
	step int64 // from the last one's to where the next page begins
	want int   // about so many are enough
}

// Bounds of a page.
const (
	minPage = 8
	maxPage = 4096
)

// each calls fn with the rows until it fails.
func (p pages) each(c conn, fn func(row) error) error {
	if _, sends := c.(sharedConn); !sends {
		return c.query(p.sql, fn, p.args...)
	}
	args := append(slices.Clone(p.args), 0)
	sql := p.sql + " LIMIT ?" + strconv.Itoa(len(args))
	for size := min(max(p.want, minPage), maxPage); ; size = min(2*size, maxPage) {
		args[len(args)-1] = size
		n, last := 0, int64(0)
		err := c.query(sql, func(r row) error {
			n++
			last = r.num(p.key)
			return fn(r)
		}, args...)
		if err != nil || n < size {
			return err
		}
		args[p.from] = last + p.step
	}
}
