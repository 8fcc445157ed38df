package delivery

import (
	"context"
	"errors"
	"sync"
	"time"
)

// lanes keep the mail for one domain, which may be dead and slow to say so, from
// taking every connection: each domain has maxToOne, and what is more waits for
// these.
type lanes struct {
	mu      sync.Mutex
	running map[string]int
	waiting map[string][]waiting
	held    int // groups in waiting
}

// waiting is a group whose rows nobody else takes until the lease ends.
type waiting struct {
	group []*parcel
	lease time.Time
}

// laneOf is the domain whose connections a group shares; "" has no bound of its
// own, since all mail goes to the relay.
func (q *Sender) laneOf(group []*parcel) string {
	if q.Relay != nil {
		return ""
	}
	return group[0].domain
}

// full reports whether no more may wait.
func (l *lanes) full() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held >= maxWaiting
}

// enter says whether the group may go now; if not, it waits for who goes.
func (l *lanes) enter(lane string, group []*parcel, lease time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running == nil {
		l.running, l.waiting = map[string]int{}, map[string][]waiting{}
	}
	if lane != "" && l.running[lane] >= maxToOne {
		l.waiting[lane] = append(l.waiting[lane], waiting{group, lease})
		l.held++
		return false
	}
	l.running[lane]++
	return true
}

// next returns the group that goes after one has; nil when none waits. One that
// waited so long that its lease might end on the way is left for when it has.
func (l *lanes) next(lane string, now time.Time) []*parcel {
	l.mu.Lock()
	defer l.mu.Unlock()
	for list := l.waiting[lane]; len(list) > 0; list = l.waiting[lane] {
		first := list[0]
		l.waiting[lane] = list[1:]
		l.held--
		if now.Add(attemptTimeout).Before(first.lease) {
			return first.group
		}
	}
	delete(l.waiting, lane)
	if l.running[lane]--; l.running[lane] == 0 {
		delete(l.running, lane)
	}
	return nil
}

// follow attempts a group and then those that wait for it. When nobody answers for
// the domain, the others hear so without asking again.
func (q *Sender) follow(ctx context.Context, l *lanes, lane string, group []*parcel) {
	var dead error
	for ; group != nil; group = l.next(lane, time.Now()) {
		if dead == nil {
			dead = q.try(ctx, group)
		} else {
			q.fail(ctx, group, dead)
		}
	}
}

// try attempts a group, and returns why nobody could be reached.
func (q *Sender) try(ctx context.Context, group []*parcel) (dead error) {
	defer q.logPanic(ctx)
	q.attempt(ctx, group)
	var e *routeError
	if err := group[0].result.err; ctx.Err() == nil && errors.As(err, &e) && e.status == noAnswer {
		return err
	}
	return nil
}

// fail settles a group as one just like it was.
func (q *Sender) fail(ctx context.Context, group []*parcel, err error) {
	defer q.logPanic(ctx)
	for _, p := range group {
		p.result = resultOf(err)
	}
	q.settle(context.WithoutCancel(ctx), group)
}
