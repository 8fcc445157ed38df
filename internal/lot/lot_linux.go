package lot

import (
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A Lot holds who waits. Its methods may be called on nil, which has no places.
type Lot struct {
	every time.Duration // it looks whose time has come
	in    *atomic.Int64 // how many are in
	epoll int
	stop  [2]int // a pipe: closing its end for writing ends watch
	done  chan struct{}
	stirs sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	watched bool // somebody has been in it
	slots   []slot
	free    []int32
}

// slot is a guest's place. Its turn tells it from those that had the slot before.
type slot struct {
	g     Guest
	until time.Time
	turn  int32
}

// Open returns a lot that looks so often whose time has come, and keeps in how many
// are in it. It is nil where the kernel does not let us.
func Open(every time.Duration, in *atomic.Int64) *Lot {
	l := &Lot{every: every, in: in, done: make(chan struct{})}
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

// Close ends the lot, in which nobody is any more, and returns when all who were
// stirred have gone on.
func (l *Lot) Close() {
	if l == nil {
		return
	}
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	syscall.Close(l.stop[1])
	if l.watched {
		<-l.done
	}
	l.stirs.Wait()
	syscall.Close(l.stop[0])
	syscall.Close(l.epoll)
}

// Add has a guest stirred when what it waits for comes, or at until; false if it
// can't be.
func (l *Lot) Add(g Guest, what For, until time.Time) bool {
	if l == nil || g.Descriptor() == nil {
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
	i := l.take(g, until)
	if l.tell(g, i, what) != nil {
		l.leave(i)
		return false
	}
	g.Seat().known = true
	return true
}

// tell asks the kernel to watch a guest's descriptor, once.
func (l *Lot) tell(g Guest, i int32, what For) (err error) {
	op := syscall.EPOLL_CTL_ADD
	if g.Seat().known {
		op = syscall.EPOLL_CTL_MOD
	}
	event := syscall.EpollEvent{Events: syscall.EPOLLRDHUP | syscall.EPOLLONESHOT, Fd: i, Pad: l.slots[i].turn}
	if what == Input {
		event.Events |= syscall.EPOLLIN
	}
	if gone := g.Descriptor().Control(func(fd uintptr) { err = syscall.EpollCtl(l.epoll, op, int(fd), &event) }); gone != nil {
		return gone
	}
	return err
}

// take gives a guest a slot; mu is held, as for leave.
func (l *Lot) take(g Guest, until time.Time) int32 {
	if len(l.free) == 0 {
		l.slots = append(l.slots, slot{})
		l.free = append(l.free, int32(len(l.slots)-1))
	}
	i := l.free[len(l.free)-1]
	l.free = l.free[:len(l.free)-1]
	l.slots[i] = slot{g, until, l.slots[i].turn + 1}
	g.Seat().slot = i + 1
	l.in.Add(1)
	return i
}

func (l *Lot) leave(i int32) Guest {
	g := l.slots[i].g
	g.Seat().slot = 0
	l.in.Add(-1)
	l.slots[i].g = nil
	l.free = append(l.free, i)
	return g
}

// send has a guest leave and go on; mu is held.
func (l *Lot) send(i int32, why Why) {
	g := l.leave(i)
	l.stirs.Go(func() { g.Stir(why) })
}

// Remove takes a guest out, and reports whether it was in.
func (l *Lot) Remove(g Guest) bool {
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	i := g.Seat().slot - 1
	if i < 0 || l.slots[i].g != g {
		return false
	}
	l.leave(i)
	return true
}

// Guests returns who is in.
func (l *Lot) Guests() (in []Guest) {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.slots {
		if s.g != nil {
			in = append(in, s.g)
		}
	}
	return in
}

// watch stirs guests until the lot is closed.
func (l *Lot) watch() {
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

// stir wakes the guest that has a slot for its turn.
func (l *Lot) stir(i, turn int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.slots[i].g != nil && l.slots[i].turn == turn {
		l.send(i, Came)
	}
}

// sweep stirs those whose time has come.
func (l *Lot) sweep(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.slots {
		if l.slots[i].g != nil && !now.Before(l.slots[i].until) {
			l.send(int32(i), Late)
		}
	}
}

// giveUp sends everybody away: the kernel lets us wait no more.
func (l *Lot) giveUp() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for i := range l.slots {
		if l.slots[i].g != nil {
			l.send(int32(i), Closed)
		}
	}
}
