package vfs

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Free returns how many bytes we may still write to the file system of a directory;
// where that can't be known, known is false.
func Free(dir string) (free int64, known bool, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, false, os.NewSyscallError("statfs", err)
	}
	return int64(st.Bavail) * int64(st.Bsize), true, nil
}

// IsFull reports whether an error says that there is no room: of the file system, of
// a quota, or of what one file may have.
func IsFull(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG)
}
