package backup

import (
	"slices"
	"time"
)

// DefaultKeep is how far back points are kept where nothing else is said.
const DefaultKeep = 365 * 24 * time.Hour

// Of the points that are up to so old, one in each of these spans is kept: the newest.
// What is older than the last is kept once a week, until it is too old.
var tiers = []struct{ age, span time.Duration }{
	{time.Hour, 0},
	{24 * time.Hour, 10 * time.Minute},
	{7 * 24 * time.Hour, time.Hour},
	{30 * 24 * time.Hour, 24 * time.Hour},
	{1<<63 - 1, 7 * 24 * time.Hour},
}

// choose returns the points to keep, of points in the order of their making, each with its
// age. The newest always is one.
func choose(points []Point, ages []time.Duration, keep time.Duration) (kept []Point) {
	type span struct {
		tier int
		at   int64
	}
	taken := map[span]bool{}
	for i, p := range slices.Backward(points) {
		age := ages[i]
		tier := slices.IndexFunc(tiers, func(t struct{ age, span time.Duration }) bool { return age <= t.age })
		s := span{tier, p.Time.UnixNano()}
		if width := tiers[tier].span; width > 0 {
			s.at /= int64(width)
		}
		if newest := i == len(points)-1; newest || age <= keep && !taken[s] {
			kept = append(kept, p)
		}
		taken[s] = true
	}
	slices.Reverse(kept)
	return kept
}
