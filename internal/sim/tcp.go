package sim

import (
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"time"
)

// tcpWire is a connection over TCP that is slow now and then and breaks when told
// to.
type tcpWire struct {
	net.Conn
	ahead []byte // read by Waiting
	err   error  // likewise

	mu       sync.Mutex
	up, down int // bytes until it breaks; -1 is never
	r        *rand.Rand
}

// patience is how long an answer may take before the server counts as gone.
const patience = 60 * time.Second

func dialTCP(addr string, seed uint64) (wire, error) {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return nil, err
	}
	return &tcpWire{Conn: c, up: -1, down: -1, r: rand.New(rand.NewPCG(seed, 11))}, nil
}

// CutAfter implements wire.
func (w *tcpWire) CutAfter(up, down int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.up, w.down = up, down
}

// spend takes n bytes off a budget and says how many of them may pass.
func (w *tcpWire) spend(budget *int, n int) (pass int, broken bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.r.IntN(50) == 0 {
		time.Sleep(time.Duration(w.r.IntN(80)) * time.Millisecond)
	}
	if *budget < 0 {
		return n, false
	}
	pass = min(n, *budget)
	*budget -= pass
	return pass, *budget == 0
}

func (w *tcpWire) Write(b []byte) (int, error) {
	pass, broken := w.spend(&w.up, len(b))
	n, err := w.Conn.Write(b[:pass])
	if broken && err == nil {
		w.Conn.Close()
		err = net.ErrClosed
	}
	return n, err
}

func (w *tcpWire) Read(b []byte) (int, error) {
	if len(w.ahead) > 0 {
		n := copy(b, w.ahead)
		w.ahead = w.ahead[n:]
		return n, nil
	}
	if w.err != nil {
		return 0, w.err
	}
	if err := w.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	n, err := w.Conn.Read(b)
	pass, broken := w.spend(&w.down, n)
	if broken {
		w.Conn.Close()
		return pass, net.ErrClosed
	}
	return n, err
}

// Waiting implements wire.
func (w *tcpWire) Waiting() bool {
	if len(w.ahead) > 0 || w.err != nil {
		return true
	}
	var one [1]byte
	if err := w.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		w.err = err
		return true
	}
	n, err := w.Conn.Read(one[:])
	w.ahead = append(w.ahead, one[:n]...)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		w.err = err
	}
	return n > 0 || w.err != nil
}
