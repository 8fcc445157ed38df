package cluster

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"hash/fnv"
	"log/slog"
	mathrand "math/rand/v2"
	"slices"
	"sync"
	"time"

	"lockstep/internal/store"
)

// How a node shows that it lives. What it had in hand passes to others once it was
// silent for GoneAfter.
const (
	BeatEvery = 5 * time.Second
	GoneAfter = 30 * time.Second
	beatTime  = 10 * time.Second // what a beat may take; the next one tries again
	leaveTime = 2 * time.Second  // what it may take to say that one leaves
)

// What a node is doing.
const (
	Serving  = "serving"
	Draining = "draining"
)

// Node is this process among those that work on the store. Make it with New, then Run
// it.
type Node struct {
	nodes store.Nodes // nil: it is alone
	log   *slog.Logger
	say   func(context.Context) Detail

	mu    sync.Mutex
	self  store.Node
	drift time.Duration // how much the store's clock is ahead of ours; guarded by mu
	peers []store.Node  // who lived at the last beat, with this one; guarded by mu
	told  chan struct{} // there is something to announce
}

// Detail is what a node says of itself beside its name, as JSON.
type Detail struct {
	Addresses map[string][]string `json:"addresses,omitempty"` // by protocol
	Sessions  map[string]int      `json:"sessions,omitempty"`  // by protocol
	Blobs     string              `json:"blobs,omitempty"`     // "" is well, else what is wrong
	Bus       string              `json:"bus,omitempty"`       // so
	Behind    Behind              `json:"behind,omitzero"`
	TripMicro int64               `json:"trip_us,omitempty"`  // of a question to the database
	Settings  string              `json:"settings,omitempty"` // the fingerprint of what should be set alike
}

// Behind is how far a node's sessions are behind an account: of those that it looked at
// at its last beat, the one that is furthest. Zero is that none is.
type Behind struct {
	Commits int           `json:"commits"` // that they were not told of
	Time    time.Duration `json:"time_ns"` // since the first of these
}

// About is what does not change of a node while it lives.
type About struct {
	Name    string
	Version string
	Schema  int
}

// New makes a node, with an id that nobody had before. Without nodes it is alone. say
// tells the detail at each beat; it may be nil.
func New(nodes store.Nodes, a About, say func(context.Context) Detail, log *slog.Logger) *Node {
	var id [16]byte
	rand.Read(id[:])
	if say == nil {
		say = func(context.Context) Detail { return Detail{} }
	}
	return &Node{
		nodes: nodes, log: log, say: say, told: make(chan struct{}, 1),
		self: store.Node{ID: hex.EncodeToString(id[:]), Name: a.Name, Version: a.Version, Schema: a.Schema, Started: time.Now(), State: Serving},
	}
}

// ID names the node as long as it lives.
func (n *Node) ID() string { return n.self.ID }

// IsAlone reports whether there are no others, and can't be.
func (n *Node) IsAlone() bool { return n.nodes == nil }

// Now is the time by the store's clock, which all nodes share: as of the last beat, to
// within half of what a question to the store took.
func (n *Node) Now() time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return time.Now().Add(n.drift)
}

// Peers returns who lived at the last beat, with this node, by name.
func (n *Node) Peers() []store.Node {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.peers)
}

// Drain says that the node is about to stop: it takes on nothing new for others.
func (n *Node) Drain() {
	n.mu.Lock()
	n.self.State = Draining
	n.mu.Unlock()
	select {
	case n.told <- struct{}{}:
	default:
	}
}

func (n *Node) isDraining() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.self.State == Draining
}

// Begin announces the node, once. A store that can't be reached is an error.
func (n *Node) Begin(ctx context.Context) error {
	if n.IsAlone() {
		return nil
	}
	return n.beat(ctx)
}

// Run announces the node every BeatEvery, until ctx ends; then it leaves.
func (n *Node) Run(ctx context.Context) error {
	if n.IsAlone() {
		return nil
	}
	defer n.leave(ctx)
	for failed := false; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-n.told:
		case <-time.After(jitter(BeatEvery)):
		}
		err := n.beat(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !failed:
			n.log.WarnContext(ctx, "the store does not hear that this node lives", "err", err)
		case err == nil && failed:
			n.log.InfoContext(ctx, "the store hears again that this node lives")
		}
		failed = err != nil
	}
}

// jitter is about d, so that nodes that started together do not ask together.
func jitter(d time.Duration) time.Duration {
	return d - d/5 + mathrand.N(2*d/5)
}

// beat says that the node lives, and looks who else does.
func (n *Node) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, beatTime)
	defer cancel()
	asked := time.Now()
	clock, err := n.nodes.Clock(ctx)
	if err != nil {
		return err
	}
	trip := time.Since(asked)
	detail := n.say(ctx)
	detail.TripMicro = trip.Microseconds()
	n.mu.Lock()
	n.drift = clock.Sub(asked.Add(trip / 2))
	self := n.self
	n.mu.Unlock()
	if self.Detail, err = json.Marshal(detail); err != nil {
		return err
	}
	if err := n.nodes.Announce(ctx, self); err != nil {
		return err
	}
	peers, err := n.nodes.AllNodes(ctx, GoneAfter)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.peers = peers
	return nil
}

func (n *Node) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTime)
	defer cancel()
	if err := n.nodes.Leave(ctx, n.self.ID); err != nil {
		n.log.WarnContext(ctx, "the store did not hear that this node leaves", "err", err)
	}
}

// turn is how many of the nodes that live come before this one where something of
// that name is to be done: each name has an order of its own, so that what is to be
// done once is spread over all. A node that drains comes last.
func (n *Node) turn(name string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	type place struct {
		draining bool
		weight   uint64
	}
	of := func(p store.Node) place { return place{p.State == Draining, weigh(name, p.ID)} }
	own, before := of(n.self), 0
	for _, p := range n.peers {
		o := of(p)
		first := o.draining != own.draining && own.draining || o.draining == own.draining && o.weight > own.weight
		if p.ID != n.self.ID && first {
			before++
		}
	}
	return before
}

// weigh gives each pair a number by chance, which is always the same.
func weigh(name, id string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(name + "\x00" + id))
	sum := h.Sum64() // of names that differ in the last byte it differs little
	sum ^= sum >> 33
	sum *= 0xff51afd7ed558ccd
	return sum ^ sum>>33
}

// ReadDetail reads what a node said of itself; what can't be read says nothing.
func ReadDetail(n store.Node) (d Detail) {
	if err := json.Unmarshal(n.Detail, &d); err != nil {
		return Detail{}
	}
	return d
}
