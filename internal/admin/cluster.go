package admin

import (
	"context"
	"slices"
	"time"

	"lockstep/internal/cluster"
	"lockstep/internal/store"
)

// ClusterStanding is who serves the accounts.
type ClusterStanding struct {
	// Alone says that this server is no node of several, and can't be: its data lie in a
	// directory of its own.
	Alone bool          `json:"alone"`
	Now   time.Time     `json:"now"`     // by the store's clock
	Trip  time.Duration `json:"trip_ns"` // of a question to the database, from who answers
	Nodes []ClusterNode `json:"nodes"`   // by name
	// Held is how many outgoing messages wait for somebody to decide about them, since a
	// promotion or a restore.
	Held int `json:"held"`
	// Leases are those that no node of these has: of commands, and of nodes that are gone.
	Leases []HeldLease `json:"leases"`
}

// ClusterNode is one of them.
type ClusterNode struct {
	ID      string         `json:"id"`
	Name    string         `json:"name"`
	Version string         `json:"version"`
	Schema  int            `json:"schema"` // the last that its program knows
	State   string         `json:"state"`  // "serving", "draining", or "gone" when it was not heard of for long
	Started time.Time      `json:"started"`
	Seen    time.Time      `json:"seen"`
	Here    bool           `json:"here"` // it answers
	Detail  cluster.Detail `json:"detail"`
	Leases  []HeldLease    `json:"leases"`
}

// HeldLease is something that one node does for all.
type HeldLease struct {
	Name  string    `json:"name"`
	Until time.Time `json:"until"`
	Fence int64     `json:"fence"`
}

// Gone is the state of a node that was not heard of for cluster.GoneAfter.
const Gone = "gone"

// ClusterStatus tells who serves, and what each does for all.
var ClusterStatus = Verb[Nothing, ClusterStanding]{"cluster/status", func(o *Ops, ctx context.Context, _ Nothing, emit func(ClusterStanding) error) error {
	s, err := o.clusterStanding(ctx)
	if err != nil {
		return err
	}
	return emit(s)
}}

func (o *Ops) clusterStanding(ctx context.Context) (s ClusterStanding, err error) {
	if o.Node == nil || o.Node.IsAlone() {
		return ClusterStanding{Alone: true}, nil
	}
	asked := time.Now()
	if s.Now, err = o.Nodes.Clock(ctx); err != nil {
		return s, err
	}
	s.Trip = time.Since(asked)
	nodes, err := o.Nodes.AllNodes(ctx, 0)
	if err != nil {
		return s, err
	}
	leases, err := o.Leases.AllLeases(ctx)
	if err != nil {
		return s, err
	}
	if s.Held, err = o.Queue.Held(ctx); err != nil {
		return s, err
	}
	for _, n := range nodes {
		s.Nodes = append(s.Nodes, o.nodeStanding(n, s.Now, leases))
	}
	for _, l := range leases {
		if !slices.ContainsFunc(nodes, func(n store.Node) bool { return n.ID == l.Holder }) {
			s.Leases = append(s.Leases, HeldLease{l.Name, l.Until, l.Fence})
		}
	}
	return s, nil
}

func (o *Ops) nodeStanding(n store.Node, now time.Time, leases []store.Lease) ClusterNode {
	c := ClusterNode{ID: n.ID, Name: n.Name, Version: n.Version, Schema: n.Schema, State: n.State, Started: n.Started, Seen: n.Seen,
		Here: o.Serving && n.ID == o.Node.ID(), Detail: cluster.ReadDetail(n)}
	if now.Sub(n.Seen) > cluster.GoneAfter {
		c.State = Gone
	}
	for _, l := range leases {
		if l.Holder == n.ID {
			c.Leases = append(c.Leases, HeldLease{l.Name, l.Until, l.Fence})
		}
	}
	return c
}
