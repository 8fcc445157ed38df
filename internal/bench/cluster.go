package bench

import (
	"fmt"
	"time"

	"lockstep/internal/config"
)

// Cluster is what a node of several has in place of a database in its data directory.
// Whoever runs the bench starts it and ends it, on the disk that is measured.
type Cluster struct {
	Share   config.Cluster
	Workers []int // processes of the database, whose processor time counts to the node's
	About   string
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
	l, err := newLockstep(binary, dir, clusterConfig(shared.Share))
	return &node{l, shared}, err
}

// clusterConfig is the part of a node's configuration that says what it shares.
func clusterConfig(c config.Cluster) string {
	return fmt.Sprintf(`[cluster]
node = "bench"
database = %q
notify = %q
blobs = %q
drain_notice = "0s"
drain_time = "0s"
[cluster.s3]
endpoint = %q
region = %q
path_style = %t
access_key = %q
secret_key_file = %q
`, c.Database, c.Notify, c.Blobs, c.S3.Endpoint, c.S3.Region, c.S3.PathStyle, c.S3.AccessKey, c.S3.SecretKeyFile)
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
