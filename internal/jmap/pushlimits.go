package jmap

import "time"

// Bounds on pushing.
const (
	maxPing = 5 * time.Minute      // between two pings of an event source, for those who want them rarely
	never   = 365 * 24 * time.Hour // that a client waits which wants none
)
