//go:build !linux

package vfs

import "os"

// flock takes no lock: only Linux is served in earnest, other systems are for
// development.
func flock(*os.File) error { return nil }
