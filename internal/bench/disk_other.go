//go:build !linux

package bench

import (
	"errors"
	"os"
)

// forgetPages needs Linux, as does everything read from /proc.
func forgetPages(*os.File) error { return errors.New("the benchmark runs on Linux") }

func syncData(f *os.File) error { return f.Sync() }
