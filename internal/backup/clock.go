package backup

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"
)

// A Clock tells how much time passes in one process, whatever the wall clock is set to.
type Clock struct {
	Process string               // names the process, and no other
	Steady  func() time.Duration // since some moment of it; it does not count sleep
}

// ourClock is that of this process.
var ourClock = newClock()

func newClock() Clock {
	began := time.Now()
	return Clock{Process: rand.Text(), Steady: func() time.Duration { return time.Since(began) }}
}

// A Reading is what a Clock said when a point was made: between two points of one process
// as much time passed as it says.
type Reading struct {
	Process string        `json:"process"`
	Steady  time.Duration `json:"steady"` // nanoseconds
}

func (c Clock) read() Reading { return Reading{c.Process, c.Steady()} }

// maxProcess bounds the name of a process.
const maxProcess = 64

func (r Reading) sound() bool { return len(r.Process) <= maxProcess && r.Steady >= 0 }

// How points are aged.
const (
	// A gap between points that is shorter is taken as it is, and so is what the wall clock
	// says of one that is not this much longer than it was.
	smallGap = 5 * time.Minute
	// A longer gap, of which nobody knows how long it was, does not count: the server was off,
	// or its clock was set. It is as long as two backups by the clock lie apart, or this.
	DefaultLongGap = 8 * 24 * time.Hour
)

// A Jump is time between two points that does not count when they are aged: the clock was
// set ahead, or may have been.
type Jump struct {
	After, Before Point         // Before is the later one; number 0: now
	By            time.Duration // that does not count
	Sure          bool          // the process that made both saw that the clock was set
	Recent        bool          // it was a week ago at most
}

// saidFor is for how long a Jump is Recent.
const saidFor = 7 * 24 * time.Hour

func (j Jump) String() string {
	until := "now"
	if j.Before.Number > 0 {
		until = j.Before.String()
	}
	days := j.By.Round(time.Minute)
	if j.Sure {
		return fmt.Sprintf("between %s and %s the clock was set ahead by %s: points from before are kept as if it had not been", j.After, until, days)
	}
	return fmt.Sprintf("from %s to %s (%s) there is no point: the server was off, or its clock was set ahead; points from before are kept as if no time had passed", j.After, until, days)
}

// aging finds out how old points are.
type aging struct {
	read func(context.Context, Point) (Reading, error) // what the clock said; zero is not known
	long time.Duration
}

// ages returns the age of each point, of points in the order of their making: the time
// that is known to have passed since, never more than did where a clock was set ahead. It
// reads the points beside gaps that are not small.
func (a aging) ages(ctx context.Context, points []Point, now time.Time, at Reading) (ages []time.Duration, jumps []Jump, err error) {
	ages = make([]time.Duration, len(points))
	later, age := Point{Time: now}, time.Duration(0)
	known, reading := true, at
	for i := len(points) - 1; i >= 0; i-- {
		p := points[i]
		gap, before := later.Time.Sub(p.Time), Reading{}
		if small := gap < smallGap; small {
			known, age = false, age+max(gap, 0)
		} else {
			if !known {
				if reading, err = a.read(ctx, later); err != nil {
					return nil, nil, err
				}
			}
			if before, err = a.read(ctx, p); err != nil {
				return nil, nil, err
			}
			passed, sure := a.passed(gap, before, reading)
			if gap-passed >= smallGap {
				jumps = append(jumps, Jump{After: p, Before: later, By: gap - passed, Sure: sure, Recent: age <= saidFor})
			}
			known, reading, age = true, before, age+passed
		}
		later, ages[i] = p, age
	}
	return ages, jumps, nil
}

// passed is how much time passed in a gap, as far as it is known.
func (a aging) passed(gap time.Duration, from, to Reading) (passed time.Duration, sure bool) {
	if from.Process != "" && from.Process == to.Process && to.Steady >= from.Steady {
		return min(gap, to.Steady-from.Steady), true
	}
	if gap > a.long {
		return 0, false
	}
	return gap, false
}
