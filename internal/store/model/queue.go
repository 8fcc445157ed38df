package model

import (
	"cmp"
	"context"
	"slices"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// queue is what is on its way out; guarded by the Store's mu.
type queue struct {
	last  int64
	rows  map[int64]store.Outgoing
	hands map[int64]string // which node has it in hand
}

// Enqueue adds messages; all or none.
func (st *Store) Enqueue(ctx context.Context, out []store.Outgoing) error {
	done, err := st.fenced(ctx)
	defer done()
	if err != nil {
		return err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, o := range out {
		if !o.Blob.Until.IsZero() && !st.Now().Before(o.Blob.Until) {
			return mail.Errorf(mail.Expired, "the message has to be sent again")
		}
		if err := o.Blob.Pending.Wait(); err != nil {
			return err
		}
	}
	for _, o := range out {
		if st.queue.has(o) {
			continue
		}
		if st.queue.rows == nil {
			st.queue.rows, st.queue.hands = map[int64]store.Outgoing{}, map[int64]string{}
		}
		st.queue.last++
		o.ID, o.Blob.Until, o.Blob.Fresh, o.Blob.Pending = st.queue.last, noTime, false, nil
		st.queue.rows[o.ID] = o
	}
	return nil
}

func (q *queue) has(o store.Outgoing) bool {
	for _, r := range q.rows {
		if r.Delivery == o.Delivery && r.Recipient == o.Recipient {
			return true
		}
	}
	return false
}

// ordered returns all rows in the order of their next attempt.
func (q *queue) ordered() []store.Outgoing {
	var all []store.Outgoing
	for _, o := range q.rows {
		all = append(all, o)
	}
	slices.SortFunc(all, func(a, b store.Outgoing) int { return cmp.Or(a.Next.Compare(b.Next), cmp.Compare(a.ID, b.ID)) })
	return all
}

// Due takes what is to be tried now.
func (st *Store) Due(ctx context.Context, node string, now, lease time.Time, limit int) ([]store.Outgoing, error) {
	done, err := st.fenced(ctx)
	defer done()
	if err != nil {
		return nil, err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	var due []store.Outgoing
	for _, o := range st.queue.ordered() {
		if o.Next.After(now) || len(due) == limit {
			break
		}
		if o.Restored {
			continue
		}
		o.Next = lease
		st.queue.rows[o.ID], st.queue.hands[o.ID] = o, node
		due = append(due, o)
	}
	return due, nil
}

// GiveBack makes due what nodes that are gone had in hand.
func (st *Store) GiveBack(ctx context.Context, node string, now time.Time, silent time.Duration) (n int, _ error) {
	done, err := st.fenced(ctx)
	defer done()
	if err != nil {
		return 0, err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	for id, who := range st.queue.hands {
		other, seen := st.cluster.nodes[who]
		if who == node || seen && st.Now().Sub(other.Seen) < silent {
			continue
		}
		delete(st.queue.hands, id)
		o, there := st.queue.rows[id]
		if !there {
			continue
		}
		if o.Next.After(now) {
			o.Next = now
			st.queue.rows[id] = o
		}
		n++
	}
	return n, nil
}

// InHand returns what a node still has in hand.
func (st *Store) InHand(_ context.Context, node string, ids []int64) (still []int64, _ error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, id := range ids {
		if st.queue.hands[id] == node {
			still = append(still, id)
		}
	}
	return still, nil
}

// Retry notes a failed attempt.
func (st *Store) Retry(ctx context.Context, node string, id int64, next time.Time, lastError string) error {
	done, err := st.fenced(ctx)
	defer done()
	if err != nil {
		return err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	o, ok := st.queue.rows[id]
	if !ok || st.queue.hands[id] != node {
		return mail.Errorf(mail.NotFound, "not in the queue")
	}
	o.Next, o.LastError = next, lastError
	o.Attempts++
	st.queue.rows[id] = o
	delete(st.queue.hands, id)
	return nil
}

// Done removes what is settled.
func (st *Store) Done(ctx context.Context, id int64) error {
	done, err := st.fenced(ctx)
	defer done()
	if err != nil {
		return err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if _, ok := st.queue.rows[id]; !ok {
		return mail.Errorf(mail.NotFound, "not in the queue")
	}
	delete(st.queue.rows, id)
	delete(st.queue.hands, id)
	return nil
}

// Queued returns what is left of one delivery.
func (st *Store) Queued(_ context.Context, id mail.AccountID, delivery string) ([]store.Outgoing, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	var left []store.Outgoing
	for _, o := range st.queue.rows {
		if o.Account == id && o.Delivery == delivery {
			left = append(left, o)
		}
	}
	slices.SortFunc(left, func(a, b store.Outgoing) int { return cmp.Compare(a.Recipient, b.Recipient) })
	return left, nil
}

// Withdraw removes a delivery that is held.
func (st *Store) Withdraw(ctx context.Context, id mail.AccountID, delivery string, now time.Time) (n int, _ error) {
	done, err := st.fenced(ctx)
	defer done()
	if err != nil {
		return 0, err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	for row, o := range st.queue.rows {
		if o.Account == id && o.Delivery == delivery && o.Arrived.After(now) && (o.Next.Equal(o.Arrived) || o.Restored) {
			delete(st.queue.rows, row)
			n++
		}
	}
	return n, nil
}

// Pending returns what waits.
func (st *Store) Pending(_ context.Context, limit int) ([]store.Outgoing, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	all := st.queue.ordered()
	return all[:min(limit, len(all))], nil
}

// NextDue is when the next attempt of all is.
func (st *Store) NextDue(context.Context) (time.Time, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, o := range st.queue.ordered() {
		if !o.Restored {
			return o.Next, nil
		}
	}
	return noTime, nil
}
