//go:build !linux

package vfs

import (
	"errors"
	"syscall"
)

// Free knows nothing here.
func Free(string) (free int64, known bool, err error) { return 0, false, nil }

// IsFull reports whether an error says that there is no room.
func IsFull(err error) bool { return errors.Is(err, syscall.ENOSPC) }
