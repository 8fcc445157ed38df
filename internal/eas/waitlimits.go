package eas

import "time"

// Bounds on Ping.
const (
	minHeartbeat   = 60 // seconds; Outlook asks for 180 and never again for more if it is told to
	maxHeartbeat   = 3540
	maxPingFolders = 200
	maxFolderID    = 64 // bytes
)

// When devices are woken.
const (
	wakePause    = 300 * time.Millisecond // between two wakes: what comes in it shares the second
	vainWakes    = 3                      // in vainTime, after which a device is slowed down …
	vainTime     = 10 * time.Second
	maxWakePause = time.Minute // … to this
)
