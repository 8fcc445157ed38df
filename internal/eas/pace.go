package eas

import (
	"sync"
	"time"

	"lockstep/internal/eas/wbxml"
)

// paces know of each device what waits for it and when it was woken last. A device
// that goes in circles, told of changes that its Sync does not bring, is slowed down:
// each round costs its battery.
type paces struct {
	mu      sync.Mutex
	all     map[deviceKey]*pace
	sweepAt int // devices
}

type pace struct {
	now   *watch // that waits; nil if none does
	woken time.Time
	first time.Time // of the wakes that were in vain
	vain  int       // wakes in a row since a Sync brought something
}

// begin makes k what waits for the device, in place of what did, until forget is
// called.
func (p *paces) begin(key deviceKey, k *watch) (forget func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil {
		p.all = map[deviceKey]*pace{}
	}
	p.sweep(time.Now())
	d := p.all[key]
	if d == nil {
		d = &pace{}
		p.all[key] = d
	}
	if d.now != nil {
		d.now.End()
	}
	d.now = k
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if d.now == k {
			d.now = nil
		}
	}
}

// sweep forgets devices that have been quiet, when there are many more than after it
// did so last.
func (p *paces) sweep(now time.Time) {
	if len(p.all) < p.sweepAt {
		return
	}
	for key, d := range p.all {
		if d.now == nil && now.Sub(d.woken) > 2*maxWakePause {
			delete(p.all, key)
		}
	}
	p.sweepAt = max(1000, 2*len(p.all))
}

// wake says how long to wait until a device is woken, and whether it was in vain
// before.
func (p *paces) wake(key deviceKey, now time.Time) (late time.Duration, vain bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := p.all[key]
	if d == nil {
		return 0, false
	}
	if d.vain < vainWakes && now.Sub(d.first) > vainTime {
		d.first, d.vain = now, 0
	}
	pause := wakePause
	if vain = d.vain >= vainWakes; vain {
		pause = min(time.Second<<min(d.vain-vainWakes, 10), maxWakePause)
	}
	d.vain++
	late = max(pause-now.Sub(d.woken), 0)
	if yet := d.woken.Sub(now); yet > 0 && !vain {
		late = yet // it shares the wake that is to come: who asked for that one may have gone
	}
	d.woken = now.Add(late)
	return late, vain
}

// unheard takes back the last wake of a device that had hung up by then: it does not
// go in circles, its owner did something.
func (p *paces) unheard(key deviceKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d := p.all[key]; d != nil {
		d.vain = max(d.vain-1, 0)
	}
}

// brought notes that a device was told something by the command that it asks after it
// was woken.
func (p *paces) brought(key deviceKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d := p.all[key]; d != nil {
		d.vain = 0
	}
}

// brings reports whether an answer tells a device something new.
func brings(root *wbxml.Element) bool {
	if root == nil {
		return false
	}
	for c := range root.Child(wbxml.AirSyncCollections).All(wbxml.AirSyncCollection) {
		if c.Has(wbxml.AirSyncCommands) || c.Has(wbxml.AirSyncMoreAvailable) {
			return true
		}
	}
	count := root.Child(wbxml.FolderChanges).Get(wbxml.FolderCount)
	return count != "" && count != "0"
}
