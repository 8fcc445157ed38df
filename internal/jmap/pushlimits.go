package jmap

import "time"

// Bounds on pushing.
const (
	maxPing = 5 * time.Minute      // between two pings of an event source, for those who want them rarely
	never   = 365 * 24 * time.Hour // that a client waits which wants none

	webSocketPing = 4 * time.Minute  // between two pings of a WebSocket
	readStall     = 30 * time.Second // that a message on its way may stand still
	lingering     = time.Second      // until a connection that said why it ends is closed
	readChunk     = 64 << 10         // of a message, read at once
	smallRequest  = 64 << 10         // that needs no room of its own while it comes
	writeChunk    = 256 << 10        // of a message, written at once
)
