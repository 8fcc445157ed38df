package store

import (
	"context"
	"time"
)

// A Lease is leave to do, alone of all nodes, what has a name: "queue", "prune",
// "collect", "drill", "search/7".
type Lease struct {
	Name   string
	Holder string // the node that has it
	Until  time.Time
	// Fence grows each time the lease passes to another holder, or to the same one after
	// it had ended. Who writes on behalf of a lease says its fence, and is refused once
	// there is a greater one: it may have slept since it looked at the clock.
	Fence int64
}

// Leases are kept by the store, by its own clock where it has one, so that the
// clocks of nodes do not matter.
type Leases interface {
	// Take takes a lease that is free, that has ended, or that the holder has, for so
	// long from now. Exists, with the lease as it is, when another node has it.
	Take(ctx context.Context, name, holder string, life time.Duration) (Lease, error)
	// Holds is nil while nobody took the lease over, whatever the clock says, and Expired
	// then.
	Holds(ctx context.Context, l Lease) error
	// Release ends a lease at once. One that another node has by now stays.
	Release(ctx context.Context, l Lease) error
	// AllLeases returns those that have not ended, by name.
	AllLeases(ctx context.Context) ([]Lease, error)
}

// A Node is a server that works on the store.
type Node struct {
	ID      string // drawn at each start, 128 random bits in hex
	Name    string // what operators call it
	Version string // of the program
	Schema  int    // the last that the program knows
	Started time.Time
	Seen    time.Time // by the store's clock
	State   string    // "serving", "draining"
	Detail  []byte    // JSON: addresses, sessions, what it is busy with; for cluster status
}

// Nodes say who works on the store.
type Nodes interface {
	// Announce adds a node or says that it still lives.
	Announce(ctx context.Context, n Node) error
	// Leave removes a node.
	Leave(ctx context.Context, id string) error
	// AllNodes returns the nodes that were seen since, by name.
	AllNodes(ctx context.Context, since time.Time) ([]Node, error)
}

// Files are small things that all nodes share and that no account owns: certificates
// and their keys (sealed by who puts them), counts of failed sign-ins. Names are
// paths with "/".
type Files interface {
	// PutFile makes or replaces a file; more than MaxFile bytes are Limit.
	PutFile(ctx context.Context, f File) error
	// FileNamed is NotFound if there is none, or its life is over.
	FileNamed(ctx context.Context, name string) (File, error)
	// DropFile removes a file, and all below it as a directory; NotFound if there is none.
	DropFile(ctx context.Context, name string) error
	// FilesBelow returns names, sizes and times of the files whose names begin with
	// prefix, by name.
	FilesBelow(ctx context.Context, prefix string, limit int) ([]File, error)
}

// A File is one of Files.
type File struct {
	Name    string
	Data    []byte
	Changed time.Time
	Until   time.Time // when it goes by itself; zero is never
}

// MaxFile bounds a File.
const MaxFile = 1 << 20
