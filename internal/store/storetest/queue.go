package storetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

var queueChecks = []check{
	{"EnqueueIsIdempotent", enqueueOnce},
	{"DueLeasesWhatItGives", dueLeases},
	{"GiveBackMakesDueWhatTheGoneHadInHand", giveBack},
	{"OfManyNodesOneGetsAMessage", dueOnce},
	{"RetryMovesAndDoneRemoves", retryAndDone},
	{"WhatIsHeldCanBeWithdrawn", withdraw},
}

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func (s *subject) outgoing(delivery, to string, next time.Time) store.Outgoing {
	return store.Outgoing{Delivery: delivery, Account: s.account, Blob: arrival(1).Blob, ReversePath: login, Recipient: to, Options: []byte("o"), Arrived: noon, Next: next}
}

// pending is the queue in words.
func (s *subject) pending() string {
	var all []string
	for _, o := range must(s.Pending(ctx, 100)) {
		all = append(all, fmt.Sprintf("%s to %s at %s after %d %s", o.Delivery, o.Recipient, o.Next.UTC().Format("15:04"), o.Attempts, o.LastError))
	}
	return strings.Join(all, "; ")
}

func enqueueOnce(t *trial) {
	s := t.subject()
	at := must(s.NextDue(ctx))
	equal("an empty queue is due never", at.IsZero(), true)
	out := []store.Outgoing{s.outgoing("d1", "b@else.example", noon), s.outgoing("d1", "c@else.example", noon.Add(-time.Minute))}
	ok(s.Enqueue(ctx, out))
	ok(s.Enqueue(ctx, append(out, s.outgoing("d2", "b@else.example", noon.Add(time.Minute)))))
	equal("pending", s.pending(), "d1 to c@else.example at 11:59 after 0 ; d1 to b@else.example at 12:00 after 0 ; d2 to b@else.example at 12:01 after 0 ")
	equal("bounded", len(must(s.Pending(ctx, 2))), 2)
	equal("next due", must(s.NextDue(ctx)).Equal(noon.Add(-time.Minute)), true)
	o := must(s.Pending(ctx, 1))[0]
	if o.ReversePath != login || string(o.Options) != "o" || !o.Arrived.Equal(noon) || o.Blob.Name != arrival(1).Blob.Name || o.Account != s.account {
		fail("queued as %+v", o)
	}
	expired := s.outgoing("d3", "x@else.example", noon)
	expired.Blob.Until = time.Now().Add(-time.Second)
	before := s.pending()
	want(mail.Expired, s.Enqueue(ctx, []store.Outgoing{s.outgoing("d3", "y@else.example", noon), expired}))
	equal("all or none", s.pending(), before)
}

func dueLeases(t *trial) {
	s := t.subject()
	ok(s.Enqueue(ctx, []store.Outgoing{s.outgoing("d1", "b@else.example", noon), s.outgoing("d2", "b@else.example", noon.Add(-time.Hour)), s.outgoing("d3", "b@else.example", noon.Add(time.Second))}))
	lease := noon.Add(10 * time.Minute)
	due := must(s.Due(ctx, "node", noon, lease, 1))
	equal("one", len(due), 1)
	equal("the oldest", due[0].Delivery, "d2")
	due = must(s.Due(ctx, "node", noon, lease, 9))
	equal("the rest", len(due), 1)
	equal("which is", due[0].Delivery, "d1")
	equal("nothing twice", len(must(s.Due(ctx, "node", noon, lease, 9))), 0)
	equal("after the lease again", len(must(s.Due(ctx, "node", lease, lease.Add(time.Hour), 9))), 3)
}

func giveBack(t *trial) {
	s := t.subject()
	lease := noon.Add(10 * time.Minute)
	var all []store.Outgoing
	for i, to := range []string{"gone", "lives", "self", "put off"} {
		all = append(all, s.outgoing(fmt.Sprint("d", i), to, noon.Add(time.Duration(i)*time.Second)))
	}
	ok(s.Enqueue(ctx, all))
	ok(s.Announce(ctx, store.Node{ID: "lives"}))
	var ids []int64
	for i, node := range []string{"gone", "lives", "self", "gone"} {
		ids = append(ids, must(s.Due(ctx, node, noon.Add(time.Duration(i)*time.Second), lease, 1))[0].ID)
	}
	gone, lives, self := ids[0], ids[1], ids[2]
	ok(s.Retry(ctx, "gone", ids[3], lease, ""))
	later := noon.Add(time.Minute)
	equal("given back", must(s.GiveBack(ctx, "self", later, time.Hour)), 1)
	equal("pending", s.pending(), "d0 to gone at 12:01 after 0 ; d1 to lives at 12:10 after 0 ; d2 to self at 12:10 after 0 ; d3 to put off at 12:10 after 1 ")
	equal("in hand", fmt.Sprint(must(s.InHand(ctx, "lives", ids))), fmt.Sprint([]int64{lives}))
	equal("in the hand of the gone", len(must(s.InHand(ctx, "gone", []int64{gone}))), 0)
	want(mail.NotFound, s.Retry(ctx, "gone", gone, later, "woke up"))
	want(mail.NotFound, s.Retry(ctx, "self", lives, later, "not ours"))
	equal("in other hands now", len(must(s.Due(ctx, "self", later, lease, 9))), 1)
	want(mail.NotFound, s.Retry(ctx, "gone", gone, later, "woke up"))
	past(s, must(s.AllNodes(ctx, 0))[0].Seen)
	equal("after the silence", must(s.GiveBack(ctx, "self", later, time.Microsecond)), 1)
	ok(s.Retry(ctx, "self", self, later, "ours"))
	equal("pending", s.pending(), "d1 to lives at 12:01 after 0 ; d2 to self at 12:01 after 1 ours; d0 to gone at 12:10 after 0 ; d3 to put off at 12:10 after 1 ")
	ok(s.Done(ctx, lives)) // it was sent after all
	equal("twice is once", must(s.GiveBack(ctx, "self", later, 0)), 0)
}

// dueOnce has many nodes take what is due.
func dueOnce(t *trial) {
	const each = 10
	s := t.subject()
	var all []store.Outgoing
	for i := range writers * each {
		all = append(all, s.outgoing(fmt.Sprint("d", i), "b@else.example", noon))
	}
	ok(s.Enqueue(ctx, all))
	var mu sync.Mutex
	var errs []error
	got := map[int64]string{}
	var takers sync.WaitGroup
	for i := range writers {
		node := fmt.Sprint("node", i)
		takers.Go(func() {
			for misses := 0; misses < 3; {
				due, err := s.Due(ctx, node, noon, noon.Add(time.Hour), 7)
				mu.Lock()
				errs = append(errs, err)
				for _, o := range due {
					if by, twice := got[o.ID]; twice {
						errs = append(errs, fmt.Errorf("%s has what %s has", node, by))
					}
					got[o.ID] = node
				}
				mu.Unlock()
				if len(due) == 0 {
					misses++
				}
			}
		})
	}
	takers.Wait()
	ok(errors.Join(errs...))
	for _, o := range must(s.Due(ctx, "last", noon, noon.Add(time.Hour), writers*each)) { // what all missed at once
		got[o.ID] = "last"
	}
	equal("taken", len(got), writers*each)
}

func retryAndDone(t *trial) {
	s := t.subject()
	ok(s.Enqueue(ctx, []store.Outgoing{s.outgoing("d1", "b@else.example", noon)}))
	id := must(s.Due(ctx, "node", noon, noon.Add(time.Hour), 1))[0].ID
	ok(s.Retry(ctx, "node", id, noon.Add(5*time.Minute), "busy"))
	equal("pending", s.pending(), "d1 to b@else.example at 12:05 after 1 busy")
	ok(s.Done(ctx, id))
	equal("pending", s.pending(), "")
}

// What is held is not begun with, also by who starts, and can be taken back until
// somebody begins with it.
func withdraw(t *trial) {
	s := t.subject()
	until := noon.Add(10 * time.Minute)
	held := func(delivery, to string) store.Outgoing {
		o := s.outgoing(delivery, to, until)
		o.Arrived = until
		return o
	}
	ok(s.Enqueue(ctx, []store.Outgoing{held("d1", "b@else.example"), held("d1", "c@else.example"), held("d2", "b@else.example"), s.outgoing("d3", "b@else.example", noon.Add(time.Minute))}))
	equal("given back", must(s.GiveBack(ctx, "node", noon, 0)), 0)
	equal("due is what is not held", len(must(s.Due(ctx, "node", noon.Add(time.Minute), noon.Add(time.Hour), 9))), 1)
	left := must(s.Queued(ctx, s.account, "d1"))
	equal("left of d1", len(left), 2)
	equal("by recipient", left[0].Recipient+" "+left[1].Recipient, "b@else.example c@else.example")
	equal("of another account", len(must(s.Queued(ctx, s.account+1, "d1"))), 0)
	equal("by another account", must(s.Withdraw(ctx, s.account+1, "d1", noon)), 0)
	equal("one that is under way", must(s.Withdraw(ctx, s.account, "d3", noon)), 0)
	equal("one that is held", must(s.Withdraw(ctx, s.account, "d1", noon)), 2)
	equal("again", must(s.Withdraw(ctx, s.account, "d1", noon)), 0)
	equal("its time has come", must(s.Withdraw(ctx, s.account, "d2", until)), 0)
	must(s.Due(ctx, "node", until, until.Add(time.Hour), 9))
	equal("somebody has it in hand", must(s.Withdraw(ctx, s.account, "d2", noon)), 0)
	equal("it is still there", len(must(s.Queued(ctx, s.account, "d2"))), 1)
}
