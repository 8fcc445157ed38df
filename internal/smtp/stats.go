package smtp

import "sync/atomic"

// Stats counts what clients did, since the start.
type Stats struct {
	Sessions   int64 // now
	Accepted   int64 // connections that became sessions
	TurnedAway int64 // connections that were one too many
	Messages   int64 // bodies received, whatever came of them
	Bytes      int64 // of these
	Refused    int64 // replies of 4xx and 5xx
}

type counters struct {
	sessions, accepted, turnedAway, messages, bytes, refused atomic.Int64
}

// Stats returns the counts.
func (s *Server) Stats() Stats {
	c := &s.counts
	return Stats{c.sessions.Load(), c.accepted.Load(), c.turnedAway.Load(), c.messages.Load(), c.bytes.Load(), c.refused.Load()}
}
