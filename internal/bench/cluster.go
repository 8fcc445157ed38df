package bench

import "time"

// Cluster is what a node of several has in place of a database in its data directory.
// Whoever runs the bench starts it and ends it, on the disk that is measured.
type Cluster struct {
	Settings string // of the configuration, which say where it is
	Workers  []int  // processes of the database, whose processor time counts to the node's
	About    string
}

// node is one of the nodes that work on the same database: the same program with
// another configuration.
type node struct {
	*lockstep
	shared *Cluster
}

// nodeName is what reports call it.
const nodeName = "PostgreSQL"

func newNode(binary, dir string, shared *Cluster) (*node, error) {
	l, err := newLockstep(binary, dir, shared.Settings)
	return &node{l, shared}, err
}

func (n *node) name() string    { return nodeName }
func (n *node) version() string { return n.shared.About }

// cpu is the processor time of the node and of the database it asks.
func (n *node) cpu() time.Duration {
	sum := cpuOf(n.pid())
	for _, pid := range n.shared.Workers {
		sum += cpuOf(pid)
	}
	return sum
}
