package bench

import (
	"net"
	"os"
	"path/filepath"
	"time"
)

// Floor is what no server on this machine can be faster than.
type Floor struct {
	SyncP50, SyncP99 float64 // ms: fdatasync of 4 KiB appended to a file
	RoundTripP50     float64 // ms: one byte there and back over TCP on loopback
	// RestedP50 is SyncP50 where the disk rests before each, as it does between the
	// changes that a push is measured with. No goal is held to it.
	RestedP50 float64
}

// measureFloor measures in dir, with both servers idle.
func measureFloor(dir string) (Floor, error) {
	syncs, err := syncTimes(filepath.Join(dir, "floor"), 500, 0)
	if err != nil {
		return Floor{}, err
	}
	rested, err := syncTimes(filepath.Join(dir, "floor"), 200, settling)
	if err != nil {
		return Floor{}, err
	}
	trips, err := tripTimes(5000)
	return Floor{milliseconds(percentile(syncs, 50)), milliseconds(percentile(syncs, 99)), milliseconds(percentile(trips, 50)), milliseconds(percentile(rested, 50))}, err
}

// syncTimes is how long each of n syncs took, with a rest before each.
func syncTimes(path string, n int, rest time.Duration) ([]time.Duration, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer os.Remove(path)
	defer f.Close()
	page := make([]byte, 4096)
	var took []time.Duration
	for range n {
		time.Sleep(rest)
		start := time.Now()
		if _, err := f.Write(page); err != nil {
			return nil, err
		}
		if err := syncData(f); err != nil {
			return nil, err
		}
		took = append(took, time.Since(start))
	}
	return took, nil
}

func tripTimes(n int) ([]time.Duration, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	echoed := make(chan error, 1)
	go func() { echoed <- echo(l) }()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return nil, err
	}
	var took []time.Duration
	b := []byte{'x'}
	for range n {
		start := time.Now()
		if _, err := c.Write(b); err != nil {
			return nil, err
		}
		if _, err := c.Read(b); err != nil {
			return nil, err
		}
		took = append(took, time.Since(start))
	}
	c.Close()
	return took, <-echoed
}

// echo sends back what one client sends, until it hangs up.
func echo(l net.Listener) error {
	c, err := l.Accept()
	if err != nil {
		return err
	}
	defer c.Close()
	b := make([]byte, 1)
	for {
		if _, err := c.Read(b); err != nil {
			return nil
		}
		if _, err := c.Write(b); err != nil {
			return err
		}
	}
}
