package backup

import (
	"sync"
	"time"

	"lockstep/internal/mail"
)

// holdPatience is how long packs are kept from being compacted while nothing moves: longer
// than a large object takes on a slow line, and than a target is asked again.
const holdPatience = 15 * time.Minute

// A holding keeps packs from being compacted while a point is made, for as long as that
// gets on. A target that stands still, as a file system over a network can for days, is no
// reason to keep what is deleted: then it lets go, and the point has failed.
type holding struct {
	release func()
	end     chan struct{}
	waiter  sync.WaitGroup

	mu     sync.Mutex // guards what is below
	moved  time.Time
	letGo  bool
	onLoss func()
}

func newHolding(release, onLoss func()) *holding {
	h := &holding{release: sync.OnceFunc(release), end: make(chan struct{}), moved: time.Now(), onLoss: onLoss}
	h.waiter.Go(h.watch)
	return h
}

// watch lets go when nothing has moved for too long.
func (h *holding) watch() {
	tick := time.NewTicker(holdPatience / 10)
	defer tick.Stop()
	for {
		select {
		case <-h.end:
			return
		case <-tick.C:
		}
		h.mu.Lock()
		stands := time.Since(h.moved) > holdPatience
		h.letGo = stands
		h.mu.Unlock()
		if stands {
			h.onLoss()
			h.release()
			return
		}
	}
}

// move says that the point gets on.
func (h *holding) move() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.moved = time.Now()
}

// lost is an error once it has let go.
func (h *holding) lost() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.letGo {
		return nil
	}
	return mail.Errorf(mail.Unavailable, "the target stood still for %v, and what was to be copied may have gone meanwhile: it begins again", holdPatience)
}

// done ends it.
func (h *holding) done() {
	close(h.end)
	h.waiter.Wait()
	h.release()
}
