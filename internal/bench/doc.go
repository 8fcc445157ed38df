// Package bench measures Lockstep beside Dovecot: both run as processes of
// their own on the same file system, do the same work in turns, and answer the
// same clients.
//
// A Workload is one kind of work. It is run once to warm up and then several
// times on each server, in turns, so that what else happens on the machine hits
// both alike; a figure is the median of its runs. What no server can be faster
// than, a sync of the disk and a round trip on loopback, is measured beside it.
//
// The clients here are raw on purpose. They write bytes that were made before
// the clock started and look only at what they need to know that the work was
// done, so that they are not what is measured.
package bench
