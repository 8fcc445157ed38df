package sqlstore

import (
	"time"

	"golang.org/x/sys/unix"
)

// limitSilence ends a connection when what was sent is not acknowledged for so long.
func limitSilence(fd int, d time.Duration) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
}
