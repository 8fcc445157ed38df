package auth

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/notify"
	"lockstep/internal/store"
)

// Nodes is what a node shares with the others that work on the same store.
type Nodes struct {
	Endings  store.Endings
	Failures store.Failures
	Bus      notify.Bus // nil is none: what others do is seen when the node looks by itself
}

// The topics of the bus. A word says that there is an ending, or a lock-out, to be read
// in the store: who forges one gains nothing.
const (
	signInTopic = "signin"
	limitTopic  = "limit"
)

// A node looks by itself for what the others did: at its store, in one statement for
// endings and one for lock-outs, however many sessions wait on it.
const (
	lookEach = 10 * time.Second
	// SeenWithin is when the sessions of who was signed out at another node have ended at
	// the latest, also if no word came through, from when the store can be reached.
	SeenWithin = 15 * time.Second
	lookAgain  = time.Second           // after the store could not be reached
	lookPause  = 50 * time.Millisecond // between two looks, however many words there are
	lookPage   = 1000                  // endings read at once
	lookBack   = time.Minute           // how much later than another's this node's clock may be
	pruneEach  = 10 * time.Minute
)

// others is what a node knows of the rest.
type others struct {
	Nodes
	wake   chan struct{}
	writes budget

	locks           atomic.Bool // somebody is locked out since it was looked
	learned, pruned time.Time   // used by Follow

	mu   sync.Mutex
	last int64 // the ending that was read last
	own  map[int64]bool
}

// Join makes the service one of several on its store. It is called before anybody
// signs in; whoever is told that sessions end has Follow run.
func (s *Service) Join(ctx context.Context, n Nodes) error {
	last, err := n.Endings.LastEnding(ctx)
	if err != nil {
		return err
	}
	s.others = &others{Nodes: n, wake: make(chan struct{}, 1), last: last, own: map[int64]bool{}, learned: time.Now(), pruned: time.Now()}
	return s.learnLocked(ctx, maxWait)
}

// Follow ends the sessions here of who is signed out at other nodes, until ctx ends.
func (s *Service) Follow(ctx context.Context) error {
	o := s.others
	if o == nil {
		<-ctx.Done()
		return nil
	}
	stop, err := s.listen()
	if err != nil {
		return err
	}
	defer stop()
	for ctx.Err() == nil {
		pause := lookEach*4/5 + rand.N(lookEach*2/5)
		if err := s.lookAround(ctx); err != nil && ctx.Err() == nil {
			pause = lookAgain
			s.log.WarnContext(ctx, "did not see who was signed out at other nodes", "err", err)
		}
		next := time.After(pause)
		select { // many words are one look
		case <-ctx.Done():
		case <-time.After(lookPause):
		}
		select {
		case <-ctx.Done():
		case <-o.wake:
		case <-next:
		}
	}
	return nil
}

// lookAround looks for endings, and as often as it would if nobody said a word, for
// lock-outs.
func (s *Service) lookAround(ctx context.Context) error {
	o, now := s.others, time.Now()
	if err := s.look(ctx); err != nil {
		return err
	}
	if o.locks.Swap(false) || now.Sub(o.learned) >= lookEach/2 {
		if err := s.learnLocked(ctx, now.Sub(o.learned)+lookBack); err != nil {
			return err
		}
		o.learned = now
	}
	if now.Sub(o.pruned) < pruneEach {
		return nil
	}
	o.pruned = now
	return o.Failures.PruneFailures(ctx, s.now().Add(-forgetAfter), store.MaxFailures)
}

// listen hears what the others say.
func (s *Service) listen() (stop func(), err error) {
	o := s.others
	if o.Bus == nil {
		return func() {}, nil
	}
	signs, err := o.Bus.Receive(signInTopic, func(string, []byte) { o.look() })
	if err != nil {
		return nil, err
	}
	locks, err := o.Bus.Receive(limitTopic, func(string, []byte) {
		o.locks.Store(true)
		o.look()
	})
	if err != nil {
		signs()
		return nil, err
	}
	gaps := o.Bus.OnGap(o.look)
	return func() {
		gaps()
		locks()
		signs()
	}, nil
}

// look has Follow look at once.
func (o *others) look() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// learnLocked learns who was locked out within the time before now.
func (s *Service) learnLocked(ctx context.Context, within time.Duration) error {
	now := s.now()
	locked, err := s.others.Failures.LockedOut(ctx, now.Add(-within), now, maxLimiterEntries/2)
	if err == nil {
		s.limits.learn(locked, now)
	}
	return err
}

// look reads the endings since the last that was read, and heeds them.
func (s *Service) look(ctx context.Context) error {
	o := s.others
	for {
		o.mu.Lock()
		last := o.last
		o.mu.Unlock()
		all, err := o.Endings.EndingsAfter(ctx, last, lookPage)
		if err != nil || len(all) == 0 {
			return err
		}
		if all[0].ID != last+1 {
			s.log.WarnContext(ctx, "more was signed out at other nodes than can be told: all sessions end")
			s.sessions.endAll("sign in again")
		} else if err := s.heed(ctx, all); err != nil {
			return err
		}
		o.mu.Lock()
		o.last = all[len(all)-1].ID
		for _, e := range all {
			delete(o.own, e.ID)
		}
		o.mu.Unlock()
		if len(all) < lookPage {
			return nil
		}
	}
}

// heed ends the sessions that endings mean. Each account is looked at once.
func (s *Service) heed(ctx context.Context, all []store.Ending) error {
	looked := map[mail.AccountID]bool{}
	for _, e := range all {
		switch {
		case e.Device != 0 && !s.others.isOwn(e.ID):
			s.sessions.end(e.Account, ofDevice(e.Device), "signed out")
		case e.Device == 0 && !looked[e.Account]:
			looked[e.Account] = true
			err := s.lookAt(ctx, e.Account)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil { // one account that can't be read must not keep others from being heeded
				s.log.WarnContext(ctx, "who may go on can't be read: all sessions of the account end", "account", int64(e.Account), "err", err)
				s.sessions.end(e.Account, func(*Session) bool { return true }, "sign in again")
			}
		}
	}
	return nil
}

func (o *others) isOwn(id int64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.own[id]
}

func ofDevice(id mail.DeviceID) func(*Session) bool {
	return func(sess *Session) bool { return sess.Device().ID == id }
}

// end ends sessions here, and has the other nodes look: what they go by stands in the
// store.
func (s *Service) end(account mail.AccountID, which func(*Session) bool, reason string) {
	s.sessions.end(account, which, reason)
	if s.others != nil && s.others.Bus != nil {
		s.others.Bus.Send(signInTopic, fmt.Appendf(nil, `{"account":%d}`, account))
	}
}

// endDevice ends the sessions of a device at all nodes, whatever the store says of it.
func (s *Service) endDevice(ctx context.Context, account mail.AccountID, id mail.DeviceID, reason string) error {
	var err error
	if o := s.others; o != nil {
		o.mu.Lock() // so that Follow does not read it before it is known to be ours
		var ending int64
		if ending, err = o.Endings.EndSessions(ctx, account, id); err == nil {
			o.own[ending] = true
		}
		o.mu.Unlock()
	}
	s.end(account, ofDevice(id), reason)
	return err
}

// lookAt ends the sessions of an account that could not be begun any more. It costs
// five reads by key if there are any here, whatever their number. Who is signing in
// right now, by what was read before, is ended as well.
func (s *Service) lookAt(ctx context.Context, account mail.AccountID) error {
	all := s.sessions.lookedAt(account)
	if len(all) == 0 {
		return nil
	}
	n, err := s.standingOf(ctx, account, all[0].Principal.ID)
	if err != nil {
		return err
	}
	for _, sess := range all {
		if reason := n.ends(sess); reason != "" {
			s.sessions.endOne(sess, reason)
		}
	}
	return nil
}

// standingNow is what the store has of an account's ways in.
type standingNow struct {
	gone, disabled bool
	factors        bool
	credentials    map[int64]bool
	signIns        map[int64]bool
	devices        map[mail.DeviceID]mail.Device
}

func (s *Service) standingOf(ctx context.Context, account mail.AccountID, id store.PrincipalID) (n standingNow, err error) {
	p, err := s.dir.PrincipalByID(ctx, id)
	if err != nil && mail.KindOf(err) == mail.NotFound {
		return standingNow{gone: true}, nil
	}
	if err != nil {
		return n, err
	}
	n = standingNow{disabled: p.Disabled, credentials: map[int64]bool{}, signIns: map[int64]bool{}, devices: map[mail.DeviceID]mail.Device{}}
	creds, err := s.dir.Credentials(ctx, id)
	for _, c := range creds {
		n.credentials[c.ID] = true
	}
	n.factors = factorsOf(creds).Any()
	rows, err2 := s.dir.SignIns(ctx, id)
	for _, row := range rows {
		n.signIns[row.ID] = true
	}
	err3 := s.store.View(ctx, account, func(r store.Reader) error {
		all, err := r.Devices()
		for _, d := range all {
			n.devices[d.ID] = d
		}
		return err
	})
	return n, errors.Join(err, err2, err3)
}

// ends is why a session may not go on; "" if it may.
func (n standingNow) ends(sess *Session) string {
	d, known := n.devices[sess.Device().ID]
	switch {
	case n.gone:
		return "account removed"
	case d.Wipe.Open() && sess.WipeOnly():
		return "" // it is let in whatever keeps it out
	case n.disabled:
		return "account disabled"
	case sess.Device().ID != 0 && !known:
		return "device removed"
	case d.Wipe.State != mail.WipeNone:
		return "device is to be wiped"
	case d.KeptOut():
		return "device " + d.Access.String()
	case sess.Credential != 0 && !n.credentials[sess.Credential] && sess.implicit:
		return "password changed"
	case sess.Credential != 0 && !n.credentials[sess.Credential], sess.stays != nil && !n.signIns[sess.stays.ID]:
		return "signed out"
	case sess.implicit && n.factors:
		return "this account has a second factor now: use an app password"
	}
	return ""
}
