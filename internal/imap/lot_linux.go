package imap

import (
	"sync"
	"syscall"
	"time"
)

// A lot is where connections are waited for that have been silent for a while: one
// goroutine for all of them. A goroutine each would take more than half of what
// else a waiting session holds.
type lot struct {
	every time.Duration // it looks whose time has come
	epoll int
	stop  [2]int // a pipe: closing its end for writing ends watch
	done  chan struct{}

	mu      sync.Mutex
	closed  bool
	watched bool // somebody has been in it
	slots   []slot
	free    []int32
}

// slot is a session that waits. Its turn tells it from those that had the slot
// before.
type slot struct {
	s     *session
	until time.Time
	turn  int32
}

// inLot is a session's place, guarded by the lot's mu.
type inLot struct {
	slot  int32 // one more than its index; 0 is none
	known bool  // the kernel has the descriptor
}

// openLot returns nil where the kernel does not let us: then everybody waits in a
// goroutine.
func openLot(every time.Duration) *lot {
	l := &lot{every: every, done: make(chan struct{})}
	var err error
	if l.epoll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return nil
	}
	if err := syscall.Pipe2(l.stop[:], syscall.O_CLOEXEC); err != nil {
		syscall.Close(l.epoll)
		return nil
	}
	end := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: -1}
	if err := syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_ADD, l.stop[0], &end); err != nil {
		for _, fd := range []int{l.epoll, l.stop[0], l.stop[1]} {
			syscall.Close(fd)
		}
		return nil
	}
	return l
}

// close ends the lot, in which nobody is any more.
func (l *lot) close() {
	if l == nil {
		return
	}
	syscall.Close(l.stop[1])
	if l.watched {
		<-l.done
	}
	syscall.Close(l.stop[0])
	syscall.Close(l.epoll)
}

// add has a session stirred when there is something to read, or at until; false if
// it can't be.
func (l *lot) add(s *session, until time.Time) bool {
	if l == nil || s.sock.raw == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	if !l.watched { // connections that are no descriptors need no such goroutine
		l.watched = true
		go l.watch()
	}
	i := l.take(s, until)
	op := syscall.EPOLL_CTL_ADD
	if s.lotted.known {
		op = syscall.EPOLL_CTL_MOD
	}
	event := syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLRDHUP | syscall.EPOLLONESHOT, Fd: i, Pad: l.slots[i].turn}
	var err error
	if gone := s.sock.raw.Control(func(fd uintptr) { err = syscall.EpollCtl(l.epoll, op, int(fd), &event) }); gone != nil {
		err = gone
	}
	if err != nil {
		l.leave(i)
		return false
	}
	s.lotted.known = true
	return true
}

// take gives a session a slot; mu is held, as for leave.
func (l *lot) take(s *session, until time.Time) int32 {
	if len(l.free) == 0 {
		l.slots = append(l.slots, slot{})
		l.free = append(l.free, int32(len(l.slots)-1))
	}
	i := l.free[len(l.free)-1]
	l.free = l.free[:len(l.free)-1]
	l.slots[i] = slot{s, until, l.slots[i].turn + 1}
	s.lotted.slot = i + 1
	s.srv.napping.Add(1)
	return i
}

func (l *lot) leave(i int32) *session {
	s := l.slots[i].s
	s.lotted.slot = 0
	s.srv.napping.Add(-1)
	l.slots[i].s = nil
	l.free = append(l.free, i)
	return s
}

// remove takes a session out, and reports whether it was in.
func (l *lot) remove(s *session) bool {
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.lotted.slot == 0 {
		return false
	}
	l.leave(s.lotted.slot - 1)
	return true
}

// watch stirs sessions until the lot is closed.
func (l *lot) watch() {
	defer close(l.done)
	events := make([]syscall.EpollEvent, 64)
	swept := time.Now()
	for {
		n, err := syscall.EpollWait(l.epoll, events, int(l.every/time.Millisecond))
		if err != nil && err != syscall.EINTR {
			l.giveUp()
			return
		}
		for _, e := range events[:max(n, 0)] {
			if e.Fd < 0 {
				return
			}
			l.stir(e.Fd, e.Pad)
		}
		if now := time.Now(); now.Sub(swept) >= l.every {
			swept = now
			l.sweep(now)
		}
	}
}

// stir wakes the session that has a slot for its turn.
func (l *lot) stir(i, turn int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.slots[i].s != nil && l.slots[i].turn == turn {
		go l.leave(i).stir()
	}
}

// sweep stirs those whose time has come.
func (l *lot) sweep(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.slots {
		if l.slots[i].s != nil && !now.Before(l.slots[i].until) {
			go l.leave(int32(i)).stir()
		}
	}
}

// giveUp sends everybody back to wait in a goroutine.
func (l *lot) giveUp() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for i := range l.slots {
		if l.slots[i].s != nil {
			go l.leave(int32(i)).stir()
		}
	}
}
