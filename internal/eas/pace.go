package eas

import (
	"slices"
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
	now   []*watch  // that wait, the newest last
	taken time.Time // since when …
	turns int       // … newer ones took the place of older so often
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
	now := time.Now()
	p.sweep(now)
	d := p.all[key]
	if d == nil {
		d = &pace{}
		p.all[key] = d
	}
	for _, old := range d.leave(now) {
		old.End()
	}
	d.now = append(d.now, k)
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		d.now = slices.DeleteFunc(d.now, func(w *watch) bool { return w == k })
	}
}

// leave says who has to make room for a newer one: all. But phones that share a
// DeviceId, one made from the other's backup, would send each other away without end:
// when that is what it looks like, a few may wait side by side.
func (d *pace) leave(now time.Time) []*watch {
	if len(d.now) == 0 {
		return nil
	}
	if now.Sub(d.taken) > vainTime && d.turns < vainWakes {
		d.taken, d.turns = now, 0
	}
	if d.turns++; d.turns < vainWakes {
		return d.now
	}
	return d.now[:max(len(d.now)-maxRelationships+1, 0)]
}

// sweep forgets devices that have been quiet, when there are many more than after it
// did so last.
func (p *paces) sweep(now time.Time) {
	if len(p.all) < p.sweepAt {
		return
	}
	for key, d := range p.all {
		if len(d.now) == 0 && now.Sub(d.woken) > 2*maxWakePause {
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
