// Package cluster is a node among the others that serve the same store: what it says
// of itself, whom it sees, and what it does on behalf of all.
//
// A Node announces itself every few seconds. A Keeper runs what only one node of all
// may do at a time, while it holds the lease of that name. What is done so writes under
// the lease: the store looks at its fence in each transaction, so a node that stood
// still, and wakes when another has taken over, writes nothing.
//
// A server that is alone has neither nodes nor leases to ask for, and everything here
// costs it nothing.
package cluster
