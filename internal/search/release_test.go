package search

import (
	"reflect"
	"testing"
	"unsafe"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
	"zombiezen.com/go/sqlite"
)

// cacheUsed is how many bytes a connection's page cache has.
func cacheUsed(c *sqlite.Conn) int {
	conn := (*struct {
		tls *libc.TLS
		db  uintptr
	})(unsafe.Pointer(c))
	out := conn.tls.Alloc(8)
	defer conn.tls.Free(8)
	lib.Xsqlite3_db_status(conn.tls, conn.db, lib.SQLITE_DBSTATUS_CACHE_USED, out, out+4, 0)
	return int(**(**int32)(unsafe.Pointer(&out)))
}

// Connections that wait to be asked hold no pages once memory is released, and answer
// as before.
func TestReleasedConnectionsHoldNoPages(t *testing.T) {
	ofFiles(t)
	h := newHouse(t)
	h.fill(300)
	h.settle()
	keys := h.all()
	before := h.ask(Text, "lockstep", keys)
	used := func() (sum int) {
		for _, f := range h.x.storage.(*files).free {
			sum += cacheUsed(f.Conn)
		}
		return sum
	}
	held := used()
	h.x.ReleaseMemory()
	if got := used(); held < 500<<10 || got > 64<<10 {
		t.Errorf("%d bytes of pages, %d once they were released", held, got)
	}
	if after := h.ask(Text, "lockstep", keys); !reflect.DeepEqual(before, after) {
		t.Errorf("%+v, then %+v", before, after)
	}
}
