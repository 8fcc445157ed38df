package notify

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"lockstep/internal/mail"
)

// How long things last among nodes.
const (
	// lookEvery is how often it is looked whether the accounts that somebody watches went
	// on unnoticed; about that, as each node draws its own. A round takes up to half of it.
	lookEvery = 5 * time.Minute
	// lookAlone is lookEvery while the bus is not connected.
	lookAlone = 15 * time.Second
	// lookAllEvery is how often who watches all accounts is told to look at all.
	lookAllEvery = time.Hour
	// lingering is how long a node goes on to hear of an account that nobody watches any
	// more: who left often comes again.
	lingering = 10 * time.Second
	// gapPause is the least time between two gaps that are looked after.
	gapPause = time.Second
)

// How many accounts are worked on at the same time.
const (
	takenAtOnce  = 16
	lookedAtOnce = 4
)

// others are the nodes that a hub is joined to.
type others struct {
	hub     *Hub
	bus     Bus
	head    func(context.Context, mail.AccountID) (mail.ModSeq, error)
	log     *slog.Logger
	ctx     context.Context
	running sync.WaitGroup
	slots   chan struct{} // taken by who works on an account
	wake    chan struct{} // there is something to take up
	gap     chan struct{} // words may have been lost

	mu      sync.Mutex
	wanted  []mail.AccountID // to be taken up
	unclear []mail.AccountID // of which words came that were not understood
	left    []left           // accounts that nobody watches any more, the first who was left first

	stopAll func() // ends hearing of all accounts; used by serve alone
}

// interest is what a node has in an account. Guarded by the hub's mu.
type interest struct {
	wanted bool      // it is taken up, or about to be
	stop   func()    // ends it; nil while it is not taken up
	since  time.Time // nobody watches; zero: somebody does
}

type left struct {
	account mail.AccountID
	since   time.Time
}

// Join has the hub tell the nodes on a bus of every Publish, and its watchers of what
// those tell, until leave. Head says where an account is; it is asked of accounts that
// are watched, when the first begins to watch, after a gap, and at long intervals. Who
// watches is told if it is further than was heard of.
func (h *Hub) Join(bus Bus, head func(context.Context, mail.AccountID) (mail.ModSeq, error), log *slog.Logger) (leave func(), err error) {
	ctx, cancel := context.WithCancel(context.Background())
	o := &others{hub: h, bus: bus, head: head, log: log, ctx: ctx, slots: make(chan struct{}, takenAtOnce), wake: make(chan struct{}, 1), gap: make(chan struct{}, 1)}
	h.mu.Lock()
	if !h.others.CompareAndSwap(nil, o) {
		h.mu.Unlock()
		cancel()
		return nil, errors.New("the hub is joined to a bus already")
	}
	for a, w := range h.accounts {
		o.want(a, w)
	}
	h.mu.Unlock()
	o.signal()
	stop := bus.OnGap(o.missed)
	o.running.Go(o.serve)
	o.running.Go(o.watchOver)
	return func() {
		cancel()
		stop()
		o.running.Wait()
		o.leave()
	}, nil
}

// leave gives up every interest.
func (o *others) leave() {
	o.hub.mu.Lock()
	defer o.hub.mu.Unlock()
	o.hub.others.Store(nil)
	for a, w := range o.hub.accounts {
		o.giveUp(w)
		if !w.since.IsZero() {
			delete(o.hub.accounts, a)
		}
		w.interest = interest{}
	}
	if o.stopAll != nil {
		o.stopAll()
	}
}

func (o *others) giveUp(w *watchers) {
	if w.stop != nil {
		w.stop()
		w.stop = nil
	}
}

// tell says what was committed here. It is in the path of a commit.
func (o *others) tell(a mail.AccountID, n mail.News) {
	if n.ModSeq == 0 {
		return
	}
	var room [64]byte
	o.bus.Send(topicOf(a), AppendNews(room[:0], n))
}

// want has an account taken up that is watched. The hub's mu is held.
func (o *others) want(a mail.AccountID, w *watchers) {
	w.since = time.Time{}
	if w.wanted {
		return
	}
	w.wanted = true
	o.mu.Lock()
	o.wanted = append(o.wanted, a)
	o.mu.Unlock()
	o.signal()
}

// linger notes that nobody watches an account any more. The hub's mu is held.
func (o *others) linger(a mail.AccountID, w *watchers) {
	w.since = time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.left = append(o.left, left{a, w.since})
}

func (o *others) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// missed is called when words may have been lost.
func (o *others) missed() {
	select {
	case o.gap <- struct{}{}:
	default:
	}
}

// heard is called with what other nodes say of an account.
func (o *others) heard(topic string, body []byte) {
	a, n, ok := o.understand(topic, body)
	if ok {
		o.hub.tell(a, n)
	}
}

// heardAll is called with what other nodes say of all accounts.
func (o *others) heardAll(topic string, body []byte) {
	a, n, ok := o.understand(topic, body)
	if ok {
		o.hub.tellAll(a, n)
	} else if a != 0 {
		o.hub.tellAll(a, mail.LookNews(0, time.Now()))
	}
}

// understand reads a word. An account is looked at of which one came that was not
// understood, such as a later version's.
func (o *others) understand(topic string, body []byte) (a mail.AccountID, n mail.News, ok bool) {
	a, ok = accountOf(topic)
	if !ok {
		return 0, n, false
	}
	if n, ok = ParseNews(body); ok {
		return a, n, true
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.unclear) < maxUnclear {
		o.unclear = append(o.unclear, a)
	} else {
		o.missed() // one more look at all is as good
	}
	o.signal()
	return a, n, false
}

// maxUnclear bounds the accounts that wait to be looked at by themselves.
const maxUnclear = 1000

// serve takes up what is watched, and gives up what was left.
func (o *others) serve() {
	tick := time.NewTicker(lingering / 2)
	defer tick.Stop()
	for {
		select {
		case <-o.ctx.Done():
			return
		case <-tick.C:
			o.forget(time.Now().Add(-lingering))
		case <-o.wake:
			o.hearAll()
			o.mu.Lock()
			wanted, unclear := o.wanted, o.unclear
			o.wanted, o.unclear = nil, nil
			o.mu.Unlock()
			o.begin(wanted, o.takeUp)
			o.begin(unclear, o.look)
		}
	}
}

// begin does something for accounts, a bounded number at the same time, and does not
// wait for the last of them.
func (o *others) begin(accounts []mail.AccountID, do func(mail.AccountID)) {
	for _, a := range accounts {
		select {
		case <-o.ctx.Done():
			return
		case o.slots <- struct{}{}:
		}
		o.running.Go(func() {
			defer func() { <-o.slots }()
			do(a)
		})
	}
}

// lookAfter looks at accounts, some at the same time.
func (o *others) lookAfter(accounts []mail.AccountID) {
	slots := make(chan struct{}, lookedAtOnce)
	var running sync.WaitGroup
	for _, a := range accounts {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			o.look(a)
		})
	}
	running.Wait()
}

// hearAll begins or ends to hear of all accounts.
func (o *others) hearAll() {
	o.hub.mu.RLock()
	wanted := len(o.hub.all) > 0
	o.hub.mu.RUnlock()
	if wanted == (o.stopAll != nil) {
		return
	}
	if !wanted {
		o.stopAll()
		o.stopAll = nil
		return
	}
	stop, err := o.bus.Receive(topicAccounts, o.heardAll)
	if err != nil {
		o.log.Error("accounts of other nodes are not heard of", "err", err)
		return
	}
	o.stopAll = stop
	o.lookAtAll()
}

// takeUp begins to hear of an account, and then looks: what was committed before that
// was told to nobody here.
func (o *others) takeUp(a mail.AccountID) {
	stop, err := o.bus.Receive(topicOf(a), o.heard)
	if err != nil {
		o.log.Error("an account is looked at in intervals only, as the bus does not tell of it", "account", int64(a), "err", err)
		return
	}
	o.hub.mu.Lock()
	if w := o.hub.accounts[a]; w != nil && w.stop == nil {
		w.stop, stop = stop, nil
	}
	o.hub.mu.Unlock()
	if stop != nil { // it was given up meanwhile, or taken up twice
		stop()
		return
	}
	o.look(a)
}

// forget gives up the accounts that were left before.
func (o *others) forget(before time.Time) {
	o.mu.Lock()
	n := 0
	for n < len(o.left) && o.left[n].since.Before(before) {
		n++
	}
	gone := o.left[:n]
	o.left = o.left[n:]
	o.mu.Unlock()
	for _, l := range gone {
		o.hub.mu.Lock()
		var stop func()
		if w := o.hub.accounts[l.account]; w != nil && w.since.Equal(l.since) {
			stop = w.stop
			delete(o.hub.accounts, l.account)
		}
		o.hub.mu.Unlock()
		if stop != nil {
			stop()
		}
	}
}

// look tells those who watch an account if it is further than they heard of.
func (o *others) look(a mail.AccountID) {
	head, err := o.head(o.ctx, a)
	if err != nil {
		if o.ctx.Err() == nil && mail.KindOf(err) != mail.NotFound {
			o.log.Warn("account not looked at for changes of other nodes", "account", int64(a), "err", err)
		}
		return // it is looked at again in a while
	}
	if head != 0 {
		o.hub.tell(a, mail.LookNews(head, time.Now()))
	}
}

// watchOver looks at all that is watched, after a gap and at long intervals.
func (o *others) watchOver() {
	last, lastAll := time.Now(), time.Now()
	every, everyAll := about(lookEvery), about(lookAllEvery)
	for {
		t := time.NewTimer(about(lookAlone))
		select {
		case <-o.ctx.Done():
			t.Stop()
			return
		case <-o.gap:
			t.Stop()
			o.lookAtAll()
			o.lookAfter(o.watched())
			last, lastAll = time.Now(), time.Now()
			o.sleep(gapPause)
		case <-t.C:
			if o.bus.Stats().Connected && time.Since(last) < every {
				continue
			}
			if time.Since(lastAll) > everyAll {
				o.lookAtAll()
				lastAll, everyAll = time.Now(), about(lookAllEvery)
			}
			o.lookAround(every / 2)
			last, every = time.Now(), about(lookEvery)
		}
	}
}

// lookAtAll tells who watches all accounts to look at all.
func (o *others) lookAtAll() { o.hub.tellAll(0, mail.LookNews(0, time.Now())) }

// lookAround looks at one account after the other, in no haste: nothing is known to be
// amiss. Without a connection it hurries more.
func (o *others) lookAround(within time.Duration) {
	if !o.bus.Stats().Connected {
		within = lookAlone / 2
	}
	accounts := o.watched()
	for _, a := range accounts {
		o.look(a)
		if len(o.gap) > 0 || !o.sleep(within/time.Duration(len(accounts))) {
			return
		}
	}
}

// watched are the accounts that somebody watches, or did a moment ago.
func (o *others) watched() []mail.AccountID {
	o.hub.mu.RLock()
	defer o.hub.mu.RUnlock()
	accounts := make([]mail.AccountID, 0, len(o.hub.accounts))
	for a := range o.hub.accounts {
		accounts = append(accounts, a)
	}
	return accounts
}

func (o *others) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-o.ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// about is a time by a fifth more or less.
func about(d time.Duration) time.Duration { return d - d/5 + rand.N(2*d/5) }
