package sqlstore

import (
	"sync"

	"modernc.org/libc"
)

// SQLite's memory comes from an allocator that gives a page back to the machine
// when its last block is freed, and takes another for the next block of that size.
// A statement that binds one long text so made two system calls, a tenth of a
// delivery. One block of each size that shares a page is therefore held for ever.
var holdMemory = sync.OnceFunc(func() {
	tls := libc.NewTLS()
	defer tls.Close()
	for size := libc.Tsize_t(16); size <= 16<<10; size *= 2 {
		libc.Xmalloc(tls, size)
	}
})
