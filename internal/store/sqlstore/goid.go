package sqlstore

import (
	"bytes"
	"runtime"
	"strconv"
)

// goid returns the number of this goroutine. It is used only to find a View or
// an Update inside a closure of the writer, which would wait for itself for
// ever.
func goid() uint64 {
	var buf [64]byte
	text := bytes.TrimPrefix(buf[:runtime.Stack(buf[:], false)], []byte("goroutine "))
	n, _, _ := bytes.Cut(text, []byte(" "))
	id, _ := strconv.ParseUint(string(n), 10, 64)
	return id
}
