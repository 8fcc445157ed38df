package auth

import "time"

// Bounds on staying signed in over HTTP.
const (
	MaxWebSignIns     = 50                  // of a principal; one more ends that seen longest ago
	maxBrowserDevices = 100                 // of an account; browsers past it share a device by what they are
	webIdle           = 14 * 24 * time.Hour // without a request
	WebLife           = 90 * 24 * time.Hour
	// ProofLasts is how long after somebody proved who they are they may do what is
	// sensitive.
	ProofLasts = 15 * time.Minute
)

// Bounds on second factors.
const (
	maxTries        = 5 // wrong codes that a proof lives through
	RecoveryCodes   = 10
	MaxPasskeys     = 20 // of a principal
	MaxPasskeyName  = 100
	maxPasskeyBytes = 64 << 10 // of what a browser says of a passkey
)

// Lives of what a program was granted.
const (
	AccessLife = time.Hour
	grantIdle  = 180 * 24 * time.Hour // without a refresh
	// repeatWithin is how long a refresh may be repeated whose answer got lost. A thief
	// gains nothing by it: either he or the owner comes later with what was replaced.
	repeatWithin = 30 * time.Second
	maxAccess    = 3 // access tokens at once: those before are still on their way
	maxGrants    = 100
)
