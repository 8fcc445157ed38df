package jmap

import (
	"sync"
	"time"

	"lockstep/internal/store"
)

// outcomes are those that were heard before the submission was noted that they are of:
// the queue can be quicker than that.
type outcomes struct {
	mu    sync.Mutex
	early map[string]map[string]status // of what is about to be noted, by delivery and recipient
}

// expect has what is heard of a delivery remembered until it is forgotten.
func (o *outcomes) expect(delivery string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.early == nil {
		o.early = map[string]map[string]status{}
	}
	o.early[delivery] = map[string]status{}
}

func (o *outcomes) forget(delivery string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.early, delivery)
}

// A pace counts to how many recipients principals sent in this hour.
type pace struct {
	mu   sync.Mutex
	hour int64
	sent map[store.PrincipalID]int
}

// take reports whether somebody may send to n more.
func (p *pace) take(who store.PrincipalID, n, most int, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h := hourOf(now); p.hour != h || p.sent == nil {
		p.hour, p.sent = h, map[store.PrincipalID]int{}
	}
	if p.sent[who]+n > most {
		return false
	}
	p.sent[who] += n
	return true
}
