package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
)

// maxSocketPath is how long the path of a socket may be for Linux; others take a few
// bytes less.
const maxSocketPath = 107

// withShort calls do with a path of the socket that is short enough for the system. A
// long one is gone to from its directory, which Linux shows under a short name.
func withShort(socket string, do func(path string) error) error {
	if len(socket) <= maxSocketPath {
		return do(socket)
	}
	dir, err := os.Open(filepath.Dir(socket))
	if err != nil {
		return err
	}
	defer dir.Close()
	short := fmt.Sprintf("/proc/self/fd/%d", dir.Fd())
	if _, err := os.Stat(short); err != nil {
		return fmt.Errorf("its path has %d bytes, and %d is what the system takes: choose a data directory with a shorter path", len(socket), maxSocketPath)
	}
	return do(filepath.Join(short, filepath.Base(socket)))
}

// Listen makes the socket that only its owner can open. One that a killed server
// left behind is replaced: whoever calls this holds the data directory's lock.
func Listen(socket string) (net.Listener, error) {
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var l net.Listener
	err := withShort(socket, func(path string) (err error) {
		l, err = net.Listen("unix", path)
		return err
	})
	if err != nil {
		return nil, err
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // by the name it was made under, which may mean another by then
	// The directory is 0700, so nobody else got in before this.
	if err := os.Chmod(socket, 0o600); err != nil {
		return nil, errors.Join(err, l.Close(), os.Remove(socket))
	}
	return &listener{Listener: l, socket: socket}, nil
}

// listener takes its socket along when it closes.
type listener struct {
	net.Listener
	socket string
	once   sync.Once
}

// Close closes once, so that it takes no other server's socket along.
func (l *listener) Close() error {
	err := net.ErrClosed
	l.once.Do(func() {
		if err = os.Remove(l.socket); errors.Is(err, os.ErrNotExist) { // with its directory, as a demo's
			err = nil
		}
		err = errors.Join(err, l.Listener.Close())
	})
	return err
}

func dialSocket(ctx context.Context, socket string) (c net.Conn, err error) {
	err = withShort(socket, func(path string) error {
		c, err = (&net.Dialer{}).DialContext(ctx, "unix", path)
		return err
	})
	return c, err
}
