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
	maxFetches        = 3 // of one profile: phones ask more than once
)

// Bounds on programs that use OAuth.
const (
	maxClientName   = 100
	maxRedirects    = 8
	maxRedirectURI  = 500
	maxClientID     = 8 << 10
	maxStateBytes   = 2 << 10
	minVerifier     = 43 // of a code_verifier (RFC 7636 §4.1)
	maxVerifier     = 128
	challengeLength = 43 // of the hash of one
)

// Authorization codes.
const (
	codeLife  = time.Minute
	codesKept = 10 * time.Minute // used ones, to notice a second use
	maxCodes  = 10_000
)
