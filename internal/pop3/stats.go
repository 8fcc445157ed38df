package pop3

import "sync/atomic"

// Stats counts what clients did, since the start.
type Stats struct {
	Sessions   int64 // now
	TurnedAway int64 // connections that were one too many
	Maildrops  int64 // opened
	Retrieved  int64 // messages sent whole
	Bytes      int64 // sent
	Deleted    int64 // messages removed or moved to the trash
	Refused    int64 // answers of -ERR
}

type counters struct {
	sessions, turnedAway, maildrops, retrieved, bytes, deleted, refused atomic.Int64
}

// Stats returns the counts.
func (s *Server) Stats() Stats {
	c := &s.counts
	return Stats{c.sessions.Load(), c.turnedAway.Load(), c.maildrops.Load(), c.retrieved.Load(), c.bytes.Load(), c.deleted.Load(), c.refused.Load()}
}
