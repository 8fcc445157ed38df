// Package lot is where connections are waited for that are silent: one goroutine
// for all of them. A goroutine each would take more than half of what else a
// waiting connection holds (ADR 8).
//
// Only Linux has it. Elsewhere, and where the kernel refuses, nobody gets a place
// and everybody waits in a goroutine of their own.
package lot

import "syscall"

// A Guest is who waits with its connection.
type Guest interface {
	// Descriptor is the connection's; nil if it is none: a pipe.
	Descriptor() syscall.RawConn
	// Seat is the connection's: whoever waits with it next has the same.
	Seat() *Seat
	// Stir goes on with a guest that is no longer in the lot. It is called once for
	// each Add, in a goroutine of its own, unless the guest was removed before.
	Stir(Why)
}

// A Seat is what the lot knows of a connection; the zero Seat is a new one's. It
// belongs to the lot.
type Seat struct {
	slot  int32 // one more than its index; 0 is none
	known bool  // the kernel has the descriptor
}

// For is what a guest waits for.
type For uint8

// What a guest waits for.
const (
	Input For = iota // something to read, or the end
	End              // the end alone: what there is to read stays where it is
)

// Why a guest is stirred.
type Why uint8

// Why a guest is stirred.
const (
	Came   Why = iota // what it waits for
	Late              // its time
	Closed            // the lot has no more places
)
