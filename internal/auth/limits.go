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
	RecoveryCodes   = 10
	MaxPasskeys     = 20 // of a principal
	MaxPasskeyName  = 100
	maxPasskeyBytes = 64 << 10 // of what a browser says of a passkey
)
