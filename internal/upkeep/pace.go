package upkeep

import (
	"context"
	"time"
)

// How a pace is kept.
const (
	restShare  = 3                    // rest so many times as long as the work took
	hurryShare = 1                    // the same of a pass that somebody waits for
	leastRest  = 5 * time.Millisecond // shorter ones are put together
	mostRest   = 10 * time.Second
)

// A pace keeps work slow: at most rate bytes a second, and with rests that grow with
// the time that the work took. So whoever works beside people on a busy disk rests
// for longer.
type pace struct {
	rate  int64 // bytes a second; 0 is without bound
	share int
	last  time.Time // when the work since the last rest began; zero is now
	owed  time.Duration
}

// begin forgets what was not work of this pace.
func (p *pace) begin() { p.last = time.Time{} }

// wait rests for what was done since the last call, which read so many bytes.
func (p *pace) wait(ctx context.Context, bytes int64) error {
	now := time.Now()
	worked := time.Duration(0)
	if !p.last.IsZero() {
		worked = now.Sub(p.last)
	}
	p.last = now
	p.owed += max(p.time(bytes)-worked, worked*time.Duration(p.share), 0)
	if p.owed < leastRest {
		return ctx.Err()
	}
	err := sleep(ctx, min(p.owed, mostRest))
	p.owed = max(0, min(p.owed, mostRest)-time.Since(now))
	p.last = time.Now()
	return err
}

// time is what so many bytes take at the rate.
func (p *pace) time(bytes int64) time.Duration {
	if p.rate <= 0 {
		return 0
	}
	return time.Duration(float64(bytes) / float64(p.rate) * float64(time.Second))
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
