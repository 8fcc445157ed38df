package store

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"lockstep/internal/mail"
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
// clocks of nodes do not matter. The names are the program's own, never a client's:
// what is remembered of one stays, so that its fence goes on.
type Leases interface {
	// Take takes a lease that is free, that has ended, or that the holder has, for so
	// long from now, MaxLease at most. Exists, with the lease as it is, when another
	// node has it.
	Take(ctx context.Context, name, holder string, life time.Duration) (Lease, error)
	// Holds is nil while nobody took the lease over, whatever the clock says, and Expired
	// then; also once it was yielded.
	Holds(ctx context.Context, l Lease) error
	// Yield ends a lease at once. One that another node has by now stays.
	Yield(ctx context.Context, l Lease) error
	// AllLeases returns those that have not ended, by name.
	AllLeases(ctx context.Context) ([]Lease, error)
}

// MaxLease bounds the life of a lease: what a node that is gone keeps others from
// doing waits no longer.
const MaxLease = time.Hour

// Under is a context for work that is done on behalf of a lease: a transaction that
// is given it looks at the fence first, and is Expired, and nothing changed, when
// somebody else has the lease by now. So who has slept can't write, and the work need
// not know of leases.
func Under(ctx context.Context, l Lease) context.Context {
	return context.WithValue(ctx, leaseKey{}, &l)
}

// UnderLease returns the lease that work is done under; nil is none.
func UnderLease(ctx context.Context) *Lease {
	l, _ := ctx.Value(leaseKey{}).(*Lease)
	return l
}

type leaseKey struct{}

// ClocksApart is how far the clocks of nodes may be from each other, and from the
// database's.
const ClocksApart = 5 * time.Minute

// Overtaken is what a transaction gets whose lease somebody else has.
func Overtaken() error {
	return mail.Errorf(mail.Expired, "another node has taken this over")
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
	// Announce adds a node or says that it still lives. A Detail of more than
	// MaxNodeDetail is Limit. Who was not seen for NodeKept is forgotten.
	Announce(ctx context.Context, n Node) error
	// Leave removes a node; one that is not there is gone already.
	Leave(ctx context.Context, id string) error
	// AllNodes returns the nodes that were seen so lately, by name; 0 is all that are
	// remembered.
	AllNodes(ctx context.Context, within time.Duration) ([]Node, error)
	// Clock returns the store's time, which is that of leases and of when a node was
	// seen.
	Clock(ctx context.Context) (time.Time, error)
}

// Bounds of what a node says of itself, and for how long it is remembered after it
// was seen last.
const (
	MaxNodeDetail = 64 << 10
	NodeKept      = 24 * time.Hour
)

// Files are small things that all nodes share and that no account owns: certificates
// and their keys (sealed by who puts them), counts of failed sign-ins. Names are
// paths with "/". Who puts them bounds how many there are.
type Files interface {
	// PutFile makes or replaces a file; more than MaxFile bytes are Limit, a name that
	// FileName refuses is Invalid. When it Changed is the store's to say.
	PutFile(ctx context.Context, f File) error
	// FileNamed is NotFound if there is none, or its life is over.
	FileNamed(ctx context.Context, name string) (File, error)
	// DropFile removes a file, and all below it as a directory; NotFound if there is none,
	// or its life is over. Of several that drop it at once one succeeds: so what may be
	// used once is read, and then dropped.
	DropFile(ctx context.Context, name string) error
	// FilesBelow returns names and times of the files whose names begin with prefix, by
	// name, without their Data; Size says how much that is.
	FilesBelow(ctx context.Context, prefix string, limit int) ([]File, error)
}

// A File is one of Files.
type File struct {
	Name    string
	Data    []byte
	Size    int64 // of Data; PutFile counts it itself
	Changed time.Time
	Until   time.Time // when it goes by itself; zero is never
}

// Bounds of a File.
const (
	MaxFile     = 1 << 20
	MaxFileName = 512
)

// FileName is Invalid for what is no name of a File: words of UTF-8 without control
// characters, joined by "/".
func FileName(name string) error {
	bad := name == "" || len(name) > MaxFileName || !utf8.ValidString(name) ||
		strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f })
	for word := range strings.SplitSeq(name, "/") {
		bad = bad || word == "" || word == "." || word == ".."
	}
	if bad {
		return mail.Errorf(mail.Invalid, "a shared file can't have that name")
	}
	return nil
}
