package sqlstore

import (
	"testing"
	"unsafe"

	"modernc.org/libc"
)

// block is the bytes of a block of SQLite's memory.
func block(p uintptr, n int32) []byte { return unsafe.Slice(at[byte](p), n) }

func TestBlocksHoldWhatWasAskedFor(t *testing.T) {
	tls := libc.NewTLS()
	defer tls.Close()
	sizes := []int32{1, 8, 23, 24, 25, 500, 4096, 4360, largestBlock - 1, largestBlock, largestBlock + 1, 100_000}
	for _, n := range sizes {
		p := mallocBlock(tls, n)
		if got := sizeOfBlock(tls, p); got < n || got > roundBlock(tls, n) {
			t.Errorf("a block of %d bytes says it has %d; %d were foretold", n, got, roundBlock(tls, n))
		}
		for i := range block(p, n) {
			block(p, n)[i] = byte(i)
		}
		for _, m := range sizes {
			p = reallocBlock(tls, p, m)
			if sizeOfBlock(tls, p) < m {
				t.Fatalf("%d bytes after %d were asked for", sizeOfBlock(tls, p), m)
			}
			for i, b := range block(p, min(n, m)) {
				if b != byte(i) {
					t.Fatalf("byte %d of %d is lost on the way to %d", i, n, m)
				}
			}
			n = min(n, m)
		}
		freeBlock(tls, p)
	}
}

func TestFreedBlocksAreKeptWithinBounds(t *testing.T) {
	tls := libc.NewTLS()
	defer tls.Close()
	const n, many = 300, 3 * keptBlocks
	var all []uintptr
	for range many {
		all = append(all, mallocBlock(tls, n))
	}
	for _, p := range all {
		freeBlock(tls, p)
	}
	blocks.mu.Lock()
	kept := blocks.n[classOf(n)]
	blocks.mu.Unlock()
	if kept == 0 || kept > keptBlocks {
		t.Errorf("%d blocks are kept, %d at most should be", kept, keptBlocks)
	}
}
