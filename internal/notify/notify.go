// Package notify tells who waits that an account has changed: "account a is at n,
// and it touched these", also when that happened on another node. It also carries back
// what the views wrote to their devices, for whoever wants to watch a change go round.
package notify

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"lockstep/internal/mail"
)

// Hub connects the committers of one process, and of the nodes that it joined, with
// its watchers. The zero Hub is ready.
type Hub struct {
	mu       sync.RWMutex
	accounts map[mail.AccountID]*watchers
	all      map[*everywhere]struct{} // replaced, never changed
	written  func(Written)
	others   atomic.Pointer[others] // nil: there are no other nodes
}

type watchers struct {
	mu  sync.Mutex
	fns map[*watcher]struct{}

	telling sync.Mutex  // held while they are told, so that they hear all in one order
	newest  mail.ModSeq // among other nodes: all up to here was told; guarded by telling

	interest // of this node in what others say of the account
}

type watcher struct{ fn func(mail.News) }

type everywhere struct {
	fn func(mail.AccountID, mail.News)
}

// Written is a view's word that a device was sent everything up to ModSeq.
type Written struct {
	Account mail.AccountID
	Device  mail.DeviceID
	Session string
	ModSeq  mail.ModSeq
	At      time.Time
}

// Publish calls everyone who watches the account, or all accounts, and tells other
// nodes. It is called after the commit.
func (h *Hub) Publish(a mail.AccountID, n mail.News) {
	if o := h.others.Load(); o != nil {
		o.tell(a, n)
	}
	h.tellAll(a, n)
	h.tell(a, n)
}

func (h *Hub) tellAll(a mail.AccountID, n mail.News) {
	h.mu.RLock()
	all := h.all
	h.mu.RUnlock()
	for e := range all {
		e.fn(a, n)
	}
}

func (h *Hub) tell(a mail.AccountID, n mail.News) {
	h.mu.RLock()
	w := h.accounts[a]
	h.mu.RUnlock()
	if w != nil {
		w.tell(n, h.others.Load() != nil)
	}
}

// tell calls the watchers. Among other nodes news are lost, late, doubled and in
// another order than the commits. Watchers hear them in order, none twice; and when one
// is missing before others, they hear that they have to look. So they need not care.
func (w *watchers) tell(n mail.News, amongOthers bool) {
	w.telling.Lock()
	defer w.telling.Unlock()
	if amongOthers && n.ModSeq != 0 {
		if n.ModSeq <= w.newest {
			return
		}
		if n.ModSeq != w.newest+1 {
			n = n.Widen()
		}
		w.newest = n.ModSeq
	}
	w.mu.Lock()
	fns := make([]*watcher, 0, len(w.fns))
	for f := range w.fns {
		fns = append(fns, f)
	}
	w.mu.Unlock()
	for _, f := range fns {
		f.fn(n)
	}
}

// Watch calls fn at each Publish until stop is called, and when other nodes publish.
// Who watches first, and then reads the account, misses nothing: what was committed
// elsewhere before this node was told of it is told afterwards. News come in the order
// of their ModSeqs; where some are missing, News.Look is set. fn must not block.
func (h *Hub) Watch(a mail.AccountID, fn func(mail.News)) (stop func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w := h.watchersOf(a)
	f := &watcher{fn: fn}
	w.mu.Lock()
	w.fns[f] = struct{}{}
	w.mu.Unlock()
	if o := h.others.Load(); o != nil {
		o.want(a, w)
	}
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		w.mu.Lock()
		defer w.mu.Unlock()
		if _, there := w.fns[f]; !there {
			return
		}
		delete(w.fns, f)
		if len(w.fns) > 0 || h.accounts[a] != w {
			return
		}
		if o := h.others.Load(); o != nil {
			o.linger(a, w)
		} else {
			delete(h.accounts, a)
		}
	}
}

// watchersOf returns those of an account, none if there were none. mu is held.
func (h *Hub) watchersOf(a mail.AccountID) *watchers {
	if h.accounts == nil {
		h.accounts = map[mail.AccountID]*watchers{}
	}
	w := h.accounts[a]
	if w == nil {
		w = &watchers{fns: map[*watcher]struct{}{}}
		h.accounts[a] = w
	}
	return w
}

// EachWatched calls fn with each account that somebody watches on this node, and how
// many do.
func (h *Hub) EachWatched(fn func(a mail.AccountID, watchers int)) {
	counts := map[mail.AccountID]int{}
	h.mu.RLock()
	for a, w := range h.accounts {
		w.mu.Lock()
		if n := len(w.fns); n > 0 {
			counts[a] = n
		}
		w.mu.Unlock()
	}
	h.mu.RUnlock()
	for a, n := range counts {
		fn(a, n)
	}
}

// WatchAll calls fn at each Publish to whatever account, on whatever node, until stop is
// called. Account 0 is any: news of other nodes may have been lost. fn must not block.
func (h *Hub) WatchAll(fn func(mail.AccountID, mail.News)) (stop func()) {
	e := &everywhere{fn}
	h.changeAll(func(all map[*everywhere]struct{}) { all[e] = struct{}{} })
	return func() { h.changeAll(func(all map[*everywhere]struct{}) { delete(all, e) }) }
}

func (h *Hub) changeAll(change func(map[*everywhere]struct{})) {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make(map[*everywhere]struct{}, len(h.all)+1)
	for e := range h.all {
		all[e] = struct{}{}
	}
	change(all)
	h.all = all
	if o := h.others.Load(); o != nil {
		o.signal()
	}
}

// OnWritten sets who hears of Wrote; set it before anything runs.
func (h *Hub) OnWritten(fn func(Written)) { h.written = fn }

// Wrote is called by a view right after it wrote changes to a device.
func (h *Hub) Wrote(w Written) {
	if h.written != nil {
		h.written(w)
	}
}

// Watcher is the part of store.Store that Chan needs.
type Watcher interface {
	Watch(mail.AccountID, func(mail.News)) (stop func())
}

// Chan returns a channel that holds the newest News of the account: what came
// since the receiver last took, merged. A slow receiver delays nobody. The
// channel closes when ctx ends.
func Chan(ctx context.Context, w Watcher, a mail.AccountID) <-chan mail.News {
	ch := make(chan mail.News, 1)
	var mu sync.Mutex
	closed := false
	stop := w.Watch(a, func(n mail.News) {
		mu.Lock()
		defer mu.Unlock()
		if closed {
			return
		}
		select {
		case old := <-ch:
			n = old.Merge(n)
		default:
		}
		ch <- n
	})
	context.AfterFunc(ctx, func() {
		stop()
		mu.Lock()
		defer mu.Unlock()
		closed = true
		close(ch)
	})
	return ch
}
