package crashtest

import (
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// limitFiles makes writes beyond so many bytes of a file fail with EFBIG; 0 lets
// files be as large as they like.
func limitFiles(size uint64) error {
	if size == 0 {
		return nil
	}
	signal.Ignore(syscall.SIGXFSZ)
	return unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: size, Max: unix.RLIM_INFINITY})
}
