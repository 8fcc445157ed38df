package longpoll

import (
	"bufio"
	"fmt"
	"testing"

	"lockstep/internal/lot"
)

// Those who wait are answered as many at a time as are asked to go, and their
// connections end; the others wait on.
func TestWaitsGoInWaves(t *testing.T) {
	both(t, func(t *testing.T, secure bool) {
		f := &lot.Farewell{}
		h := newHouse(t, secure, func(o *Options) { o.Farewell = f })
		const n = 9
		clients := map[string]*client{}
		for i := range n {
			path := fmt.Sprint("/wait/", i)
			clients[path] = h.dial().ask(path, "")
		}
		h.awaitLot(n)
		round := f.Begin()
		for _, left := range []int{6, 2, 0} {
			round.Tell(round.Left() - left)
			h.await(fmt.Sprint(left, " wait"), func() bool { return f.Inside() == left })
			h.awaitLot(int64(left))
			for range len(clients) - left {
				var path string
				var why int
				fmt.Sscan(<-h.over, &path, &why)
				c := clients[path]
				delete(clients, path)
				if r, body := c.answer(); body != path || Why(why) != Stopping || !r.Close {
					t.Errorf("%s: %q, why %d, close %v", path, body, why, r.Close)
				}
				c.closed()
			}
		}
	})
}

// A request that begins to wait when the others go is answered at once, and so is one
// whose wait ended by itself the last of its connection.
func TestWhoBeginsToWaitLateIsAnsweredAtOnce(t *testing.T) {
	both(t, func(t *testing.T, secure bool) {
		f := &lot.Farewell{}
		h := newHouse(t, secure, func(o *Options) { o.Farewell = f })
		before := h.dial().ask("/wait/before", "")
		h.awaitLot(1)
		f.Begin()
		c := h.dial().ask("/wait", "")
		if r, body := c.answer(); body != "/wait" || r.Header.Get("X-Why") != fmt.Sprint(Stopping) || !r.Close {
			t.Errorf("%q, %v", body, r.Header)
		}
		c.closed()
		h.end("/wait/before")
		if r, _ := before.answer(); r.Header.Get("X-Why") != fmt.Sprint(Ended) || !r.Close {
			t.Errorf("%v", r.Header)
		}
		before.closed()
	})
}

func TestStreamsGoInWaves(t *testing.T) {
	everywhere(t, func(t *testing.T, secure, withLot bool) {
		f := &lot.Farewell{}
		b := newBrook(t, secure, withLot, func(o *Options) { o.Farewell = f })
		all := map[string]*bufio.Reader{}
		for i := range 6 {
			path := fmt.Sprint("/stream/", i)
			all[path] = b.dial().begin(path)
			b.stream(path)
		}
		round := f.Begin()
		for _, left := range []int{4, 3, 0} {
			round.Tell(round.Left() - left)
			for range len(all) - left {
				path := <-b.over
				line(t, all[path], "stopping")
				delete(all, path)
			}
			if f.Inside() > left {
				b.await("they left", func() bool { return f.Inside() == left })
			}
			for path, in := range all {
				b.stream(path).Wake()
				line(t, in, "woken")
			}
		}
		late := b.dial().begin("/stream/late")
		line(t, late, "stopping")
	})
}
