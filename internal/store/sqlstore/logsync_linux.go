package sqlstore

import (
	"golang.org/x/sys/unix"
	lib "modernc.org/sqlite/lib"
)

const hasSyncData = true

// syncData makes the bytes and the size of an open file durable: SQLite's own sync,
// as it is where the C library has fdatasync.
func syncData(file uintptr) int32 {
	f := at[lib.TunixFile](file)
	for {
		err := unix.Fdatasync(int(f.Fh))
		if err == nil {
			return lib.SQLITE_OK
		}
		if errno, ok := err.(unix.Errno); ok && errno != unix.EINTR {
			f.FlastErrno = int32(errno)
			return lib.SQLITE_IOERR_FSYNC
		}
	}
}
