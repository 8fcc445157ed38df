package sqlstore

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"lockstep/internal/store"
)

// copied is a file that a copier's pages are written to.
type copied struct {
	t    testing.TB
	path string
	f    *os.File
}

func newCopied(t testing.TB) *copied {
	path := filepath.Join(t.TempDir(), "copy.db")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return &copied{t, path, f}
}

// settle brings the file to the next Moment.
func (c *copied) settle(from *Copier) store.Moment {
	c.t.Helper()
	m, err := c.take(from)
	if err != nil {
		c.t.Fatal(err)
	}
	return m
}

func (c *copied) take(from *Copier) (store.Moment, error) {
	m, err := from.Settle(context.Background(), true, func(n uint32, page []byte) error { return c.write(n, page, from) })
	if err != nil {
		return m, err
	}
	from.Kept()
	c.cut(m)
	return m, nil
}

func (c *copied) write(n uint32, page []byte, from *Copier) error {
	_, err := c.f.WriteAt(page, int64(n-1)*int64(from.db.copies.pageSize))
	return err
}

// cut gives the file the size that the database has.
func (c *copied) cut(m store.Moment) {
	if err := c.f.Truncate(int64(m.Pages) * int64(m.PageSize)); err != nil {
		c.t.Error(err)
	}
}

// differs says how the file differs from the Moment that it should be.
func (c *copied) differs(m store.Moment) string {
	got, err := Inspect(c.t.Context(), c.path)
	if err != nil {
		return err.Error()
	}
	if !slices.Equal(got, m.Digests) {
		return fmt.Sprintf("has %+v, was %+v", got, m.Digests)
	}
	return ""
}

func (db *DB) copier(t testing.TB) *Copier {
	t.Helper()
	c, err := db.NewCopier()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestACopyIsTheDatabaseAtItsMoment(t *testing.T) {
	h := newHome(t, Options{})
	h.fill(3000)
	c, to := h.copier(t), newCopied(t)
	for i := range 5 {
		m := to.settle(c)
		if wrong := to.differs(m); wrong != "" {
			t.Fatal(wrong)
		}
		if want := int64(3000 + i); m.Digests[0].Placements != want {
			t.Fatalf("%d placements, want %d", m.Digests[0].Placements, want)
		}
		if err := h.appendOne(5000 + i); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			h.writeBack()
		}
	}
	t.Logf("%+v", h.CopyStats())
}
