package vfs

import (
	"os"

	"golang.org/x/sys/unix"
)

// Sync implements File. The times of a file need not last, its bytes and size
// do: that is fdatasync.
func (f osFile) Sync() error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if err == unix.EINTR {
			continue
		}
		return os.NewSyscallError("fdatasync", err)
	}
}

func flock(f *os.File) error {
	return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
}
