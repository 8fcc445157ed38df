package lot

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// A Leaver is somebody who can be asked to go: a session, or a request that waits.
type Leaver interface {
	// Leave has it say goodbye in its protocol's words and go, once what is in the
	// middle of a command is done. It does not block, and may be called more than once.
	Leave()
}

// A Farewell knows who is in, and sends them away a few at a time, so that they do not
// all come to the next server at once. The zero Farewell is ready; on nil nobody is
// known.
type Farewell struct {
	mu      sync.Mutex
	in      map[Leaver]struct{}
	telling bool
}

// Enter says that somebody came, who is asked to go at once if the others were.
func (f *Farewell) Enter(l Leaver) {
	if f == nil {
		return
	}
	f.mu.Lock()
	if f.in == nil {
		f.in = map[Leaver]struct{}{}
	}
	f.in[l] = struct{}{}
	telling := f.telling
	f.mu.Unlock()
	if telling {
		l.Leave()
	}
}

// Left says that somebody went.
func (f *Farewell) Left(l Leaver) {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.in, l)
}

// Inside is how many are in.
func (f *Farewell) Inside() int {
	if f == nil {
		return 0
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.in)
}

// Telling says whether people are asked to go.
func (f *Farewell) Telling() bool {
	if f == nil {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.telling
}

// waveEvery is how often some are asked to go.
const waveEvery = 100 * time.Millisecond

// Tell asks all who are in to go, in waves of the same size, the last of them at the
// end of the time given. When ctx ends, so are all who are left.
func (f *Farewell) Tell(ctx context.Context, over time.Duration) {
	r := f.Begin()
	tick := time.NewTicker(waveEvery)
	defer tick.Stop()
	for began := time.Now(); r.Left() > 0; {
		select {
		case <-ctx.Done():
			r.Tell(r.Left())
		case <-tick.C:
			r.Tell(share(len(r.guests), time.Since(began), over) - r.told)
		}
	}
}

// share is how many of n have been told when so much of the time is gone.
func share(n int, gone, over time.Duration) int {
	if gone >= over {
		return n
	}
	return int(float64(n) * (float64(gone) / float64(over)))
}

// A Round is those who were in when they began to be asked to go, in an order that
// chance made. Used by one goroutine.
type Round struct {
	f      *Farewell
	guests []Leaver
	told   int
}

// Begin begins to ask people to go: nobody yet, but who comes from here on at once.
func (f *Farewell) Begin() *Round {
	if f == nil {
		return &Round{}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.telling = true
	r := &Round{f: f, guests: make([]Leaver, 0, len(f.in))}
	for l := range f.in {
		r.guests = append(r.guests, l)
	}
	rand.Shuffle(len(r.guests), func(i, j int) { r.guests[i], r.guests[j] = r.guests[j], r.guests[i] })
	return r
}

// Left is how many were not asked yet.
func (r *Round) Left() int { return len(r.guests) - r.told }

// Tell asks the next n, of whom those who went by themselves need not be.
func (r *Round) Tell(n int) {
	for ; n > 0 && r.Left() > 0; n-- {
		r.f.tell(r.guests[r.told])
		r.guests[r.told] = nil
		r.told++
	}
}

// tell asks one to go who has not gone by itself.
func (f *Farewell) tell(l Leaver) {
	f.mu.Lock()
	_, in := f.in[l]
	f.mu.Unlock()
	if in {
		l.Leave()
	}
}
