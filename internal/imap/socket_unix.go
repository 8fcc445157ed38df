//go:build unix

package imap

import (
	"io"
	"syscall"
)

// readFirst reads one byte, waiting for it as a Read would: but what is parked
// meanwhile is one byte and a small stack.
func (s *socket) readFirst() (n int, err error) {
	if s.raw == nil {
		return s.Conn.Read(s.first[:])
	}
	waited := s.raw.Read(func(fd uintptr) bool {
		n, err = readFD(fd, s.first[:])
		return err != syscall.EAGAIN
	})
	switch {
	case waited != nil:
		return 0, waited
	case err == nil && n == 0:
		return 0, io.EOF
	}
	return max(n, 0), err
}

// readNow reads what is there without waiting.
func (s *socket) readNow(b []byte) (n int) {
	if s.raw == nil || len(b) == 0 {
		return 0
	}
	_ = s.raw.Read(func(fd uintptr) bool {
		n, _ = readFD(fd, b) // an error comes again at the next Read
		return true
	})
	return max(n, 0)
}

func readFD(fd uintptr, b []byte) (n int, err error) {
	for {
		n, err = syscall.Read(int(fd), b)
		if err != syscall.EINTR {
			return n, err
		}
	}
}
