package bench

import "fmt"

// A goal is what a figure must reach.
type goal struct {
	text      string
	needsPeer bool
	met       func(ours, peers float64, f Floor) bool
}

// goals by workload and figure. They are those of the whole product at this
// stage, also where they are not met.
var goals = map[[2]string]goal{
	{"lmtp-1", perSecond}:         atLeast(2),
	{"lmtp-64", perSecond}:        atLeast(4),
	{"append-64", perSecond}:      atLeast(3),
	{"store-16", perSecond}:       atLeast(2),
	{"open-warm", totalMS}:        atMost(0.25),
	{"open-cold", totalMS}:        atMost(0.5),
	{"open-huge", totalMS}:        upTo(400),
	{"qresync", totalMS}:          upTo(5),
	{"qresync", kilobytes}:        atMost(1),
	{"envelope", perSecond}:       atLeast(3),
	{"headers", perSecond}:        atLeast(1.5),
	{"bodies", perSecond}:         atLeast(1),
	{"bodies-piped", perSecond}:   atLeast(2),
	{"search", rareMS}:            atMost(0.05),
	{"search", commonMS}:          atMost(0.05),
	{"syncs", "each LMTP ×64"}:    below(0.5),
	{"idle-plain", perConnection}: upTo(5),
	{"idle-tls", perConnection}:   upTo(14),
	{"slow-fetch", peakMB}:        below(200),
	{"import", peakMB}:            below(200),
	{"eas-idle", perConnection}:   upTo(16),
	{"eas-push", pushMedian}:      {"≤ fsync + 1 ms", false, func(ours, _ float64, f Floor) bool { return ours <= f.SyncP50+1 }},
	{"eas-push", toIdle}:          {"≤ fsync + 1 ms", false, func(ours, _ float64, f Floor) bool { return ours <= f.SyncP50+1 }},
	{"jmap-idle", perConnection}:  upTo(16),
	{"jmap-push", pushMedian}:     {"≤ fsync + 1 ms", false, func(ours, _ float64, f Floor) bool { return ours <= f.SyncP50+1 }},
	{"push", pushMedian}:          {"≤ fsync + 0.5 ms", false, func(ours, _ float64, f Floor) bool { return ours <= f.SyncP50+0.5 }},
	{"push", pushTail}:            {"≤ 3 fsync + 2 ms", false, func(ours, _ float64, f Floor) bool { return ours <= 3*f.SyncP50+2 }},
}

// nodeGoals are those of a node on PostgreSQL, beside the same peer.
var nodeGoals = map[[2]string]goal{
	{"lmtp-64", perSecond}: atLeast(3),
}

func atLeast(times float64) goal {
	return goal{fmt.Sprintf("≥ %g×", times), true, func(ours, peers float64, _ Floor) bool { return ours >= times*peers }}
}

func atMost(times float64) goal {
	return goal{fmt.Sprintf("≤ %g×", times), true, func(ours, peers float64, _ Floor) bool { return ours <= times*peers }}
}

func upTo(limit float64) goal {
	return goal{fmt.Sprintf("≤ %g", limit), false, func(ours, _ float64, _ Floor) bool { return ours <= limit }}
}

func below(limit float64) goal {
	return goal{fmt.Sprintf("< %g", limit), false, func(ours, _ float64, _ Floor) bool { return ours < limit }}
}
