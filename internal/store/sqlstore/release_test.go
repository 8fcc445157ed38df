package sqlstore

import (
	"context"
	"testing"
	"unsafe"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// cacheUsed is how many bytes a connection's page cache has.
func cacheUsed(c *sqliteConn) int {
	conn := (*struct {
		tls *libc.TLS
		db  uintptr
	})(unsafe.Pointer(c.c))
	out := conn.tls.Alloc(8)
	defer conn.tls.Free(8)
	lib.Xsqlite3_db_status(conn.tls, conn.db, lib.SQLITE_DBSTATUS_CACHE_USED, out, out+4, 0)
	return int(*at[int32](out))
}

// What connections remember of pages is given back: also while somebody reads, whom
// nothing is taken from.
func TestMemoryIsReleasedAroundThoseWhoRead(t *testing.T) {
	h := newHome(t, Options{Readers: 3})
	used := func() (sum int) {
		h.readers.mu.Lock()
		defer h.readers.mu.Unlock()
		for _, c := range h.readers.idle {
			sum += cacheUsed(c.(*sqliteConn))
		}
		return sum + cacheUsed(h.writer.c.(*sqliteConn))
	}
	h.fill(4000)
	readAll := func(r store.Reader) (n int, err error) {
		err = r.Messages(store.PlacementQuery{Mailbox: h.inbox}, func(*mail.Placement, *mail.Message) error { n++; return nil })
		return n, err
	}
	count := func() {
		t.Helper()
		err := h.View(t.Context(), h.id, func(r store.Reader) error {
			n, err := readAll(r)
			if n != 4000 {
				t.Errorf("%d of 4000 messages", n)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	err := h.View(context.Background(), h.id, func(r store.Reader) error {
		count() // on another connection
		n, err := readAll(r)
		if err != nil || n != 4000 {
			return err
		}
		busy := used()
		if err := h.ReleaseMemory(); err != nil {
			return err
		}
		if got := used(); busy < 1<<20 || got > 128<<10 {
			t.Errorf("%d bytes after all was read, %d once it was released", busy, got)
		}
		n, err = readAll(r)
		if n != 4000 {
			t.Errorf("%d of 4000 messages for who was reading", n)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.ReleaseMemory(); err != nil {
		t.Fatal(err)
	}
	blocks.mu.Lock()
	kept := blocks.n
	blocks.mu.Unlock()
	for class, n := range kept {
		if n > 0 && class == pageBlock {
			t.Errorf("%d blocks of pages are kept", n)
		}
	}
	count()
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if err := h.ReleaseMemory(); err != nil {
		t.Errorf("once it is closed: %v", err)
	}
}
