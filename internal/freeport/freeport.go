// Package freeport finds ports for servers that are started as processes of their own,
// which have to be told where to listen before they do.
package freeport

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
)

// Ports lie below those that systems give to clients (32768 and above on Linux), so that
// nobody's connection takes one between two moments at which its server listens.
const (
	first = 10_000
	count = 20_000
)

// maxTries bounds how long one is looked for.
const maxTries = 10 * count

// Take finds n ports of 127.0.0.1 on which nobody listens and that nobody else who asks
// here will be given, in this process or in another, until this process has ended.
func Take(n int) ([]int, error) {
	var ports []int
	for tries := 0; len(ports) < n; tries++ {
		if tries == maxTries {
			return nil, errors.New("no free ports")
		}
		port := first + rand.IntN(count)
		got, err := TakeAll(port)
		if err != nil {
			return nil, err
		}
		if got {
			ports = append(ports, port)
		}
	}
	return ports, nil
}

// Address is 127.0.0.1 with a port that was taken.
func Address() (string, error) {
	ports, err := Take(1)
	if err != nil {
		return "", err
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[0])), nil
}

// TakeAll takes these ports, or none of them if somebody has one.
func TakeAll(ports ...int) (bool, error) {
	mine.Lock()
	defer mine.Unlock()
	if err := mine.open(); err != nil {
		return false, err
	}
	for i, port := range ports {
		if !mine.take(port) {
			for _, p := range ports[:i] {
				mine.giveBack(p)
			}
			return false, nil
		}
	}
	return true, nil
}

// mine are the ports of this process. Other processes see the locks that it has on a file
// with a byte for each port; the system takes them away when it ends.
var mine = struct {
	sync.Mutex
	held
}{held: held{ports: map[int]bool{}}}

type held struct {
	file  *os.File
	ports map[int]bool
}

// open opens the file once; whoever closed it would lose all its locks.
func (h *held) open() error {
	if h.file != nil {
		return nil
	}
	path := filepath.Join(os.TempDir(), fmt.Sprintf("lockstep-ports-%d", os.Geteuid()))
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	h.file = f
	return nil
}

func (h *held) take(port int) bool {
	if h.ports[port] || h.lock(port, syscall.F_WRLCK) != nil {
		return false
	}
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		_ = h.lock(port, syscall.F_UNLCK)
		return false
	}
	l.Close()
	h.ports[port] = true
	return true
}

func (h *held) giveBack(port int) {
	delete(h.ports, port)
	_ = h.lock(port, syscall.F_UNLCK)
}

func (h *held) lock(port int, kind int16) error {
	return syscall.FcntlFlock(h.file.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: kind, Whence: io.SeekStart, Start: int64(port), Len: 1})
}
