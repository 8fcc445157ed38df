package signin

import "time"

// Bounds on what clients can make the server hold or do.
const (
	maxBody           = 128 << 10 // of a request: JSON or a form
	maxPending        = 10_000    // who have begun to sign in, or anything else of several steps
	maxPendingNetwork = 200       // of these, from one network
	pendingLife       = 10 * time.Minute
	deviceCookieLife  = 400 * 24 * time.Hour // no browser keeps any longer
	maxCookieBytes    = 128
)
