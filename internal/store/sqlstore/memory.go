package sqlstore

import (
	"math/bits"
	"sync"
	"unsafe"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
)

// SQLite's memory comes from an allocator that takes pages of 64 KiB for blocks of
// one size, and gives one back to the machine when its last block is freed. Seven
// pages of a cache fill one, so a cache that breathes made system calls all the time,
// and so did a statement that binds one long text: a seventh of a delivery. So
// SQLite gets its memory through us (https://www.sqlite.org/malloc.html#alloc), and
// some of what it frees is kept for the next block of that size.

// Blocks are 2^minBlock to 2^maxBlock bytes. Of each size keptBlocks are kept, and
// of those that hold a page of the database so many as a reader's cache has.
const (
	minBlock     = 5
	maxBlock     = 14
	pageBlock    = 13
	keptBlocks   = 64
	keptPages    = readerCacheBytes / 4096 / 2
	blockHeader  = 8 // in front of a block: how many bytes it has
	largestBlock = 1<<maxBlock - blockHeader
)

// blocks are kept by the binary logarithm of their size, each naming the next.
var blocks struct {
	mu   sync.Mutex
	free [maxBlock + 1]uintptr
	n    [maxBlock + 1]int
}

// classOf is the logarithm of the block that n bytes are in.
func classOf(n int32) int {
	return max(minBlock, bits.Len32(uint32(n)+blockHeader-1))
}

func mallocBlock(tls *libc.TLS, n int32) uintptr {
	if n <= 0 || n > largestBlock {
		return headed(libc.Xmalloc(tls, libc.Tsize_t(n)+blockHeader), n)
	}
	class := classOf(n)
	blocks.mu.Lock()
	p := blocks.free[class]
	if p != 0 {
		blocks.free[class] = *at[uintptr](p)
		blocks.n[class]--
	}
	blocks.mu.Unlock()
	if p != 0 {
		return p
	}
	return headed(libc.Xmalloc(tls, 1<<class), 1<<class-blockHeader)
}

// headed writes down a block's size, and returns what follows.
func headed(p uintptr, n int32) uintptr {
	if p == 0 {
		return 0
	}
	*at[int64](p) = int64(n)
	return p + blockHeader
}

func sizeOfBlock(_ *libc.TLS, p uintptr) int32 { return int32(*at[int64](p - blockHeader)) }

func freeBlock(tls *libc.TLS, p uintptr) {
	if n := sizeOfBlock(tls, p); n <= largestBlock && keepBlock(p, classOf(n)) {
		return
	}
	libc.Xfree(tls, p-blockHeader)
}

func keepBlock(p uintptr, class int) bool {
	kept := keptBlocks
	if class == pageBlock {
		kept = keptPages
	}
	blocks.mu.Lock()
	defer blocks.mu.Unlock()
	if blocks.n[class] >= kept {
		return false
	}
	*at[uintptr](p) = blocks.free[class]
	blocks.free[class] = p
	blocks.n[class]++
	return true
}

func reallocBlock(tls *libc.TLS, p uintptr, n int32) uintptr {
	old := sizeOfBlock(tls, p)
	if n <= old && n > old/2 {
		return p
	}
	q := mallocBlock(tls, n)
	if q != 0 {
		copy(unsafe.Slice(at[byte](q), n), unsafe.Slice(at[byte](p), min(n, old)))
		freeBlock(tls, p)
	}
	return q
}

// roundBlock says how many bytes n would really get.
func roundBlock(_ *libc.TLS, n int32) int32 {
	if n > largestBlock {
		return (n + 7) &^ 7
	}
	return 1<<classOf(n) - blockHeader
}

var memoryMethods = lib.Tsqlite3_mem_methods{
	FxMalloc: function(mallocBlock), FxFree: function(freeBlock), FxRealloc: function(reallocBlock),
	FxSize: function(sizeOfBlock), FxRoundup: function(roundBlock),
	FxInit:     function(func(*libc.TLS, uintptr) int32 { return lib.SQLITE_OK }),
	FxShutdown: function(func(*libc.TLS, uintptr) {}),
}

// holdMemory is called before anything else of SQLite is. What statements bind does
// not come through us: one block of each size is held, and the page that it is in.
var holdMemory = sync.OnceFunc(func() {
	tls := libc.NewTLS()
	defer tls.Close()
	for size := libc.Tsize_t(16); size <= 16<<10; size *= 2 {
		libc.Xmalloc(tls, size)
	}
	args := libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(uintptr(0))))
	defer libc.Xfree(tls, args)
	// Refused when somebody else in the process has begun to use SQLite, which then
	// goes on with its own.
	lib.Xsqlite3_config(tls, lib.SQLITE_CONFIG_MALLOC, libc.VaList(args, uintptr(unsafe.Pointer(&memoryMethods))))
})
