//go:build linux || freebsd || darwin

package search

import (
	"syscall"
	"time"
)

// limitMemory bounds what this process may take.
func limitMemory(bytes uint64, cpu time.Duration) error {
	if err := syscall.Setrlimit(syscall.RLIMIT_DATA, &syscall.Rlimit{Cur: bytes, Max: bytes}); err != nil {
		return err
	}
	seconds := uint64(cpu / time.Second)
	return syscall.Setrlimit(syscall.RLIMIT_CPU, &syscall.Rlimit{Cur: seconds, Max: seconds})
}
