package delivery

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Sender empties the queue. Its fields are set once, before Run.
type Sender struct {
	Service *Service
	// Relay takes everything that is not ours; nil sends straight to the mail
	// exchangers.
	Relay *Relay
	// Resolver finds mail exchangers; nil is the system's.
	Resolver Resolver
	// Dial connects; nil is a net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// MayConnect says which addresses of exchangers mail may be sent to; nil is
	// Elsewhere. It is not asked about the relay.
	MayConnect func(netip.Addr) bool
	// TLS is what connections to the relay begin from; nil is the system's roots.
	TLS *tls.Config
	// Schedule is how long to wait after each failed attempt; the last entry is for
	// all further ones. Nil is DefaultSchedule.
	Schedule []time.Duration
	// GiveUpAfter is how long to try; 0 is DefaultGiveUpAfter.
	GiveUpAfter time.Duration
	// Node is who sends, of those that empty the queue together: what it has in hand
	// nobody else takes. "" draws one, which nobody had before.
	Node string
	// Silence is how long a node that empties it too was not seen when it is taken for
	// gone; 0 is for who is alone. Then what others had in hand is of earlier lives.
	Silence time.Duration
	// Now is the clock of all that empty the queue; nil is time.Now.
	Now func() time.Time

	once sync.Once
	wake chan struct{}
}

// Relay is a server that takes all our outgoing mail.
type Relay struct {
	Host   string
	Port   int
	TLS    RelayTLS
	Login  string // "" signs nobody in
	Secret string
}

// RelayTLS is how the way to the relay is protected.
type RelayTLS string

// The ways. Without TLS, a login is refused.
const (
	RelayStartTLS RelayTLS = "starttls"
	RelayImplicit RelayTLS = "implicit"
	RelayPlain    RelayTLS = "none"
)

// Resolver is the part of net.Resolver that finds mail exchangers.
type Resolver interface {
	LookupMX(ctx context.Context, name string) ([]*net.MX, error)
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// DefaultSchedule tries soon at first, for greylisting, and then with patience.
var DefaultSchedule = []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour}

// DefaultGiveUpAfter is RFC 5321 §4.5.4.1's four to five days.
const DefaultGiveUpAfter = 5 * 24 * time.Hour

// delayAfter is the number of failed attempts, some four hours with the default
// schedule, after which a sender who asked for it hears of the delay.
const delayAfter = 7

// Bounds of the work under way.
const (
	maxConnections = 50               // to elsewhere, at the same time
	maxToOne       = 5                // of them, to one domain
	maxWaiting     = 1000             // messages that wait for others to the same domain
	maxBatch       = 100              // rows taken from the queue at once
	attemptTimeout = 10 * time.Minute // one message to one destination
	// A batch waits for those before it, then for its own first ones, and has a
	// connection: each for the time of an attempt, at the longest.
	leaseFor        = (2 + maxBatch/maxConnections) * attemptTimeout
	queueErrorPause = 10 * time.Second
	// How often who is not alone looks for what others left who are gone, at most.
	giveBackEvery = 10 * time.Second
)

func (q *Sender) init() {
	q.once.Do(func() {
		q.wake = make(chan struct{}, 1)
		if q.Node == "" {
			q.Node = rand.Text()
		}
		if q.Now == nil {
			q.Now = time.Now
		}
	})
}

// Wake makes Run look into the queue.
func (q *Sender) Wake() {
	q.init()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Run, of which there is one at a time in a process, sends what is due until ctx ends, and returns when no attempt is under way.
// An attempt that ctx cut short is due again at once, for who had not taken the
// message yet.
func (q *Sender) Run(ctx context.Context) error {
	q.init()
	var attempts sync.WaitGroup
	defer attempts.Wait()
	if q.Silence == 0 {
		q.takeBack(ctx)
	} else {
		attempts.Go(func() { q.lookOut(ctx) })
	}
	slots := make(chan struct{}, maxConnections)
	lanes := lanes{}
	for ctx.Err() == nil {
		if lanes.full() {
			q.sleep(ctx, leaseFor) // until an attempt ended
			continue
		}
		now := q.Now()
		due, err := q.Service.Queue.Due(ctx, q.Node, now, now.Add(leaseFor), maxBatch)
		if err != nil && ctx.Err() != nil {
			break
		}
		if err != nil {
			q.Service.Log.ErrorContext(ctx, "queue", "err", err)
			q.sleep(ctx, queueErrorPause)
			continue
		}
		for _, group := range groups(due, q.Relay != nil) {
			lane := q.laneOf(group)
			if !lanes.enter(lane, group, now.Add(leaseFor)) {
				continue
			}
			slots <- struct{}{} // soon free when ctx has ended, as every attempt then ends
			attempts.Go(func() {
				defer func() { <-slots }()
				q.follow(ctx, &lanes, lane, group)
			})
		}
		if len(due) < maxBatch {
			q.waitForDue(ctx)
		}
	}
	return nil
}

// takeBack makes due what a process that ended without warning had in hand.
func (q *Sender) takeBack(ctx context.Context) {
	n, err := q.Service.Queue.GiveBack(ctx, q.Node, q.Now(), q.Silence)
	switch {
	case err != nil && ctx.Err() == nil:
		q.Service.Log.ErrorContext(ctx, "queue", "err", err)
	case n > 0:
		q.Service.Log.InfoContext(ctx, "taken from who is gone", "messages", n)
		q.Wake()
	}
}

// waitForDue returns when something is due, was queued, or ctx ended.
func (q *Sender) waitForDue(ctx context.Context) {
	next, err := q.Service.Queue.NextDue(ctx)
	switch {
	case err != nil:
		q.sleep(ctx, queueErrorPause)
	case next.IsZero():
		q.sleep(ctx, leaseFor)
	default:
		q.sleep(ctx, next.Sub(q.Now()))
	}
}

// sleep returns after d, or when something is to be looked for.
func (q *Sender) sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-q.wake:
	case <-ctx.Done():
	}
}

// parcel is a row of the queue on its way, with what became of it.
type parcel struct {
	store.Outgoing
	opts   options
	domain string
	result result
}

// result is how an attempt ended for one recipient.
type result struct {
	err        error  // nil: it is there
	permanent  bool   // trying again is in vain
	status     string // enhanced code (RFC 3463)
	diagnostic string // the other side's words
	host       string // who said them; "" is this server
	local      bool   // it was ours
	relayedDSN bool   // the other side took over the duty to report
}

// groups puts together what can share a connection: one message, one destination.
func groups(due []store.Outgoing, relayed bool) [][]*parcel {
	var all [][]*parcel
	at := map[[2]string]int{}
	for _, o := range due {
		p := &parcel{Outgoing: o}
		if json.Unmarshal(o.Options, &p.opts) != nil {
			p.opts = options{}
		}
		if _, domain, err := SplitAddress(o.Recipient); err == nil {
			p.domain = domain
		}
		key := [2]string{o.Delivery, p.domain}
		if relayed {
			key[1] = ""
		}
		i, ok := at[key]
		if !ok {
			i = len(all)
			at[key], all = i, append(all, nil)
		}
		all[i] = append(all[i], p)
	}
	return all
}

// attempt tries to deliver a group and settles each of it.
func (q *Sender) attempt(ctx context.Context, group []*parcel) {
	attemptCtx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	if group = q.unsettled(ctx, q.inHand(ctx, group)); len(group) == 0 {
		return
	}
	var elsewhere []*parcel
	for _, p := range group {
		may, err := q.Service.takeAnswer(attemptCtx, p)
		var r Recipient
		if err == nil && may {
			r, err = q.Service.recipient(attemptCtx, p.Recipient, p.Blob.Size)
		}
		switch {
		case err == nil && !may:
			p.result = result{status: "2.0.0", local: true} // it has gone out as another row
		case errors.Is(err, errElsewhere) && !q.Service.CanSend:
			p.result = result{err: err, status: "4.4.4", diagnostic: "this server has no way to send mail to other domains now"}
		case errors.Is(err, errElsewhere):
			elsewhere = append(elsewhere, p)
		case err != nil:
			p.result = localResult(err)
		default:
			p.result = localResult(q.Service.deliverQueued(attemptCtx, p, r))
		}
	}
	if len(elsewhere) > 0 {
		q.send(attemptCtx, elsewhere)
	}
	if ctx.Err() != nil {
		var unknown []*parcel
		group, unknown = divideKnown(group)
		q.giveBack(ctx, unknown)
	}
	q.settle(context.WithoutCancel(ctx), group)
}

// divideKnown separates what is certain from what being cut short may have caused.
func divideKnown(group []*parcel) (known, unknown []*parcel) {
	for _, p := range group {
		r := &p.result
		if r.permanent || r.err == nil && r.status != "" {
			known = append(known, p)
		} else {
			unknown = append(unknown, p)
		}
	}
	return known, unknown
}

// logPanic keeps one message that shows a bug of ours from stopping all others: it
// is tried again when its lease is over.
func (q *Sender) logPanic(ctx context.Context) {
	if p := recover(); p != nil {
		q.Service.Log.ErrorContext(ctx, "panic", "err", p, "stack", string(debug.Stack()))
	}
}

// giveBack makes a group due for whoever empties the queue next.
func (q *Sender) giveBack(ctx context.Context, group []*parcel) {
	ctx = context.WithoutCancel(ctx)
	for _, p := range group {
		if err := q.Service.Queue.Retry(ctx, q.Node, p.ID, q.Now(), p.LastError); err != nil && mail.KindOf(err) != mail.NotFound {
			q.Service.Log.ErrorContext(ctx, "queue", "err", err)
		}
	}
}

// localResult is what became of a recipient of ours.
func localResult(err error) result {
	r := result{err: err, local: true, status: "2.0.0"}
	if err != nil {
		r.permanent, r.status, r.diagnostic = isPermanent(err), statusOfKind(mail.KindOf(err)), mail.DetailOf(err)
	}
	return r
}

func statusOfKind(k mail.Kind) string {
	switch k {
	case mail.NotFound:
		return "5.1.1"
	case mail.OverQuota:
		return "5.2.2"
	case mail.Denied:
		return "5.7.1"
	case mail.Invalid:
		return "5.1.3"
	case mail.Limit:
		return "5.3.4"
	}
	return "4.3.0"
}

// settle removes what is done, tells senders what they are to hear, and puts off
// the rest.
func (q *Sender) settle(ctx context.Context, group []*parcel) {
	group = q.ours(ctx, group)
	byAction := map[action][]*parcel{}
	for _, p := range group {
		if a := q.judge(p); a != "" {
			byAction[a] = append(byAction[a], p)
		}
	}
	for a, ps := range byAction {
		if q.Service.reportQueued(ctx, a, ps, q.giveUpAfter()) != nil && a == actionFailed {
			for _, p := range ps {
				p.result.permanent = false // tried again, and then reported
			}
		}
	}
	for _, p := range group {
		if err := q.close(ctx, p); err != nil {
			q.Service.Log.ErrorContext(ctx, "queue", "err", err)
		}
	}
	q.Wake() // when the next attempt of all is has changed
}

// judge decides what the sender is to hear, "" being nothing, and turns a failure
// that lasted too long into a permanent one.
func (q *Sender) judge(p *parcel) action {
	r := &p.result
	if r.err != nil && !r.permanent && time.Now().Add(q.pause(p)).After(p.Arrived.Add(q.giveUpAfter())) {
		r.permanent, r.status = true, "4.4.7"
	}
	asked := p.opts.Notify
	switch {
	case p.ReversePath == "" || asked == NotifyNever:
		return ""
	case r.err == nil && asked&NotifySuccess != 0 && r.local:
		return actionDelivered
	case r.err == nil && asked&NotifySuccess != 0 && !r.relayedDSN:
		return actionRelayed
	case r.err != nil && r.permanent && (asked == 0 || asked&NotifyFailure != 0):
		return actionFailed
	case r.err != nil && !r.permanent && asked&NotifyDelay != 0 && p.Attempts+1 == delayAfter:
		return actionDelayed
	}
	return ""
}

func (q *Sender) giveUpAfter() time.Duration {
	if q.GiveUpAfter == 0 {
		return DefaultGiveUpAfter
	}
	return q.GiveUpAfter
}

// pause is how long to wait after the attempt just made.
func (q *Sender) pause(p *parcel) time.Duration {
	s := q.Schedule
	if s == nil {
		s = DefaultSchedule
	}
	return s[min(p.Attempts, len(s)-1)]
}

func (q *Sender) close(ctx context.Context, p *parcel) error {
	r := &p.result
	q.Service.tellOutcome(ctx, p)
	log := q.Service.Log.With("session", p.opts.ID, "delivery", p.Delivery, "host", r.host, "attempts", p.Attempts+1)
	switch {
	case r.err == nil:
		q.Service.counts.sent.Add(1)
		log.InfoContext(ctx, "sent")
		return q.Service.done(ctx, p)
	case r.permanent:
		q.Service.counts.givenUp.Add(1)
		log.InfoContext(ctx, "not deliverable", "status", r.status, "err", r.err)
		return q.Service.done(ctx, p)
	}
	q.Service.counts.putOff.Add(1)
	log.InfoContext(ctx, "put off", "status", r.status, "err", r.err)
	err := q.Service.Queue.Retry(ctx, q.Node, p.ID, q.Now().Add(q.pause(p)), oneLine(r.err.Error()))
	if mail.KindOf(err) == mail.NotFound {
		return nil // somebody else has it, who took us for gone
	}
	return err
}

// deliverQueued commits a queued message for a recipient that is ours.
func (s *Service) deliverQueued(ctx context.Context, p *parcel, r Recipient) error {
	in, err := s.fetch(ctx, p.Blob)
	if err != nil {
		return err
	}
	defer in.close()
	a, err := s.put(ctx, in)
	if err != nil {
		return err
	}
	r.once = p.opts.Once
	env := &Envelope{ReversePath: p.ReversePath, Hop: Hop{Protocol: mail.Local, ID: p.opts.ID}, OnceFor: p.opts.OnceFor}
	return s.commit(ctx, env, in, a, &r)
}

// fetch spools a stored message again.
func (s *Service) fetch(ctx context.Context, b mail.Blob) (*spool, error) {
	r, err := s.Blobs.Open(ctx, b)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return s.receive(r)
}
