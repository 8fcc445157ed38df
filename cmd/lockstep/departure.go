package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"lockstep/internal/admin"
	"lockstep/internal/lot"
)

// A departure takes a server out of service without cutting anybody off. First it says
// that it is not ready, and goes on, until those who send people here have noticed. Then
// nobody comes in any more, and those who are in are sent away, a few at a time.
type departure struct {
	farewell *lot.Farewell
	notice   time.Duration
	over     time.Duration // if nobody says otherwise
	patience time.Duration // with who was asked to go and is in the middle of something
	log      *slog.Logger

	asked chan time.Duration // in what time

	mu    sync.Mutex
	phase string
	gates []*gate
}

func newDeparture(notice, over, patience time.Duration, log *slog.Logger) *departure {
	return &departure{farewell: &lot.Farewell{}, notice: notice, over: over, patience: patience, log: log, asked: make(chan time.Duration, 1), phase: admin.PhaseServing}
}

// through returns a gate that shuts when the server goes.
func (d *departure) through(l *gate) *gate {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gates = append(d.gates, l)
	return l
}

// Drain implements admin.Drainer.
func (d *departure) Drain(over time.Duration) {
	if over < 0 {
		over = d.over
	}
	select {
	case d.asked <- over:
	default: // it was asked before
	}
}

// Draining implements admin.Drainer.
func (d *departure) Draining() admin.Draining {
	d.mu.Lock()
	defer d.mu.Unlock()
	return admin.Draining{Phase: d.phase, Sessions: d.farewell.Inside()}
}

// isUnderWay says whether nobody should be sent here any more.
func (d *departure) isUnderWay() bool { return d.Draining().Phase != admin.PhaseServing }

func (d *departure) enter(phase string) {
	d.mu.Lock()
	d.phase = phase
	gates := d.gates
	d.mu.Unlock()
	d.log.Info("server goes", "phase", phase, "sessions", d.farewell.Inside())
	if phase != admin.PhaseLeaving {
		return
	}
	for _, g := range gates {
		g.Shut()
	}
}

// run takes the server out of service, and returns when everybody has gone or had the
// time to. When hurry ends, nobody is waited for.
func (d *departure) run(hurry context.Context, over time.Duration) {
	d.enter(admin.PhaseNotice)
	wait(hurry, d.notice)
	d.enter(admin.PhaseLeaving)
	d.farewell.Tell(hurry, over)
	for end := time.Now().Add(d.patience); d.farewell.Inside() > 0 && time.Now().Before(end) && hurry.Err() == nil; {
		wait(hurry, lookWhoIsLeft)
	}
	d.enter(admin.PhaseGone)
}

// longest is how long it may take until the server has stopped.
func (d *departure) longest(over time.Duration) time.Duration {
	return d.notice + over + 2*d.patience + flushTime
}

// lookWhoIsLeft is how often it is looked whether all have gone.
const lookWhoIsLeft = 20 * time.Millisecond

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
