// Package notifytest has a bus in memory, with faults, for several nodes in one
// process, and the proof that every kind of bus has to pass.
package notifytest

import (
	"math/rand/v2"
	"sync"
	"time"

	"lockstep/internal/notify"
)

// Air carries words between the nodes of one test. The zero Air loses nothing.
type Air struct {
	mu     sync.Mutex
	nodes  map[*node]struct{}
	faults Faults
}

// Faults are what becomes of words. Each is decided for each word and each who hears
// it.
type Faults struct {
	Rand   *rand.Rand    // nil: nothing is left to chance
	Lose   float64       // the share that never comes
	Double float64       // the share that comes twice
	Delay  time.Duration // at most; words then come in any order
	Deaf   time.Duration // how long it takes until who listens hears
}

// Spoil sets the faults from now on.
func (a *Air) Spoil(f Faults) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.faults = f
}

// node is one's end of the air.
type node struct {
	notify.Ears
	air   *Air
	queue chan said
	done  chan struct{}
	gone  sync.WaitGroup
	cut   bool // guarded by the air's mu
	shut  bool // guarded by the air's mu
}

type said struct {
	topic string
	body  []byte
}

// maxUnheard bounds the words that a node has not heard yet.
const maxUnheard = 4096

// Node is a bus to all other nodes in this air.
func (a *Air) Node() notify.Bus {
	n := &node{air: a, queue: make(chan said, maxUnheard), done: make(chan struct{})}
	n.Connected.Store(true)
	a.mu.Lock()
	if a.nodes == nil {
		a.nodes = map[*node]struct{}{}
	}
	a.nodes[n] = struct{}{}
	a.mu.Unlock()
	n.gone.Go(n.listen)
	return n
}

// Cut takes a node's connection away, until Mend: what is said there and to there
// meanwhile is lost.
func (a *Air) Cut(b notify.Bus) {
	a.mu.Lock()
	defer a.mu.Unlock()
	b.(*node).cut = true
	b.(*node).Connected.Store(false)
}

// Mend gives it back, and tells all nodes of the gap.
func (a *Air) Mend(b notify.Bus) {
	a.mu.Lock()
	b.(*node).cut = false
	b.(*node).Connected.Store(true)
	var all []*node
	for n := range a.nodes {
		if !n.cut {
			all = append(all, n)
		}
	}
	a.mu.Unlock()
	for _, n := range all {
		n.Gap()
	}
}

func (n *node) listen() {
	for {
		select {
		case <-n.done:
			return
		case w := <-n.queue:
			n.Hear(w.topic, w.body)
		}
	}
}

// Send implements notify.Bus.
func (n *node) Send(topic string, body []byte) {
	a := n.air
	a.mu.Lock()
	defer a.mu.Unlock()
	if n.cut || n.shut || len(body) > notify.MaxWord {
		n.Dropped.Add(1)
		if !n.cut && !n.shut {
			for to := range a.nodes {
				if to != n && !to.cut {
					go to.Gap()
				}
			}
		}
		return
	}
	n.Sent.Add(1)
	for to := range a.nodes {
		if to == n || to.cut || a.chance(a.faults.Lose) {
			continue
		}
		a.carry(to, said{topic, append([]byte(nil), body...)})
		if a.chance(a.faults.Double) {
			a.carry(to, said{topic, append([]byte(nil), body...)})
		}
	}
}

func (a *Air) chance(share float64) bool {
	return a.faults.Rand != nil && a.faults.Rand.Float64() < share
}

// carry brings a word, now or later. mu is held.
func (a *Air) carry(to *node, w said) {
	deliver := func() {
		select {
		case to.queue <- w:
		default:
			to.Dropped.Add(1)
			go to.Gap()
		}
	}
	if a.faults.Delay == 0 {
		deliver()
		return
	}
	time.AfterFunc(time.Duration(a.faults.Rand.Int64N(int64(a.faults.Delay))), deliver)
}

// Receive implements notify.Bus.
func (n *node) Receive(topic string, fn func(topic string, body []byte)) (stop func(), err error) {
	n.air.mu.Lock()
	deaf := n.air.faults.Deaf
	n.air.mu.Unlock()
	time.Sleep(deaf)
	_, forget, err := n.Ears.Receive(topic, fn)
	if err != nil {
		return nil, err
	}
	return func() { forget() }, nil
}

// Close implements notify.Bus.
func (n *node) Close() error {
	n.air.mu.Lock()
	shut := n.shut
	n.shut = true
	delete(n.air.nodes, n)
	n.air.mu.Unlock()
	if !shut {
		close(n.done)
	}
	n.gone.Wait()
	n.Connected.Store(false)
	return nil
}
