package admin

import (
	"context"
	"time"

	"lockstep/internal/mail"
)

// Phases of a server that goes.
const (
	PhaseServing = "serving"
	PhaseNotice  = "notice"  // not ready, and still taking connections, until balancers have noticed
	PhaseLeaving = "leaving" // takes none, and sends those that are there away
	PhaseGone    = "gone"    // all have gone, or had their time
)

// Draining is how far a server that goes is.
type Draining struct {
	Phase    string
	Sessions int // that are there, and requests that wait
}

// DrainQuestion asks a server to go.
type DrainQuestion struct {
	// Over is the time in which sessions are sent away; negative is as configured.
	Over time.Duration
}

// A Drainer takes a server out of service.
type Drainer interface {
	// Drain has the server go; one that goes already is not hurried.
	Drain(over time.Duration)
	Draining() Draining
}

// drainEvery is how often it is told how far a drain is.
const drainEvery = 250 * time.Millisecond

// ClusterDrain has the server send its sessions away and end, and tells how far it is.
var ClusterDrain = Verb[DrainQuestion, Draining]{"cluster/drain", func(o *Ops, ctx context.Context, q DrainQuestion, emit func(Draining) error) error {
	if !o.Serving || o.Drainer == nil {
		return mail.Errorf(mail.Invalid, "no server runs here: there is nothing to drain")
	}
	o.Drainer.Drain(q.Over)
	tick := time.NewTicker(drainEvery)
	defer tick.Stop()
	for {
		d := o.Drainer.Draining()
		if err := emit(d); err != nil || d.Phase == PhaseGone {
			return err
		}
		select {
		case <-ctx.Done():
			if d := o.Drainer.Draining(); d.Phase == PhaseGone {
				return emit(d) // it is the server that ended
			}
			return ctx.Err()
		case <-tick.C:
		}
	}
}}
