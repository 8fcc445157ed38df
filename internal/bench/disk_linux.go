package bench

import (
	"os"

	"golang.org/x/sys/unix"
)

// forgetPages drops the clean pages of one file from the page cache.
func forgetPages(f *os.File) error { return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) }

// syncData waits until what was written is on stable storage.
func syncData(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }
