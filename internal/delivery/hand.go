package delivery

import (
	"context"
	"slices"
	"time"

	"lockstep/internal/mail"
)

// Where several nodes empty the queue, one that stood still for so long that it was
// taken for gone wakes with messages in hand that another has by now. So it looks
// before each attempt, and before it says that one failed. What it has sent has been
// sent: that it leaves the queue is right whoever has it in hand.

// lookEvery is how often it looks for what others left.
func (q *Sender) lookEvery() time.Duration { return min(giveBackEvery, q.Silence/3) }

// lookOut takes back what who is gone had in hand, until ctx ends. Silence says that a
// node is gone only to who could have heard it: when the database was out of reach, or
// this machine stood still, so it was for the others, who are in the middle of sending.
// So the queue has to have answered without a gap for as long as that.
func (q *Sender) lookOut(ctx context.Context) {
	every := q.lookEvery()
	turn := time.NewTicker(every)
	defer turn.Stop()
	for since, last := time.Now(), time.Now(); ; {
		_, err := q.Service.Queue.NextDue(ctx)
		now := time.Now()
		if err != nil || now.Sub(last) > 2*every {
			since = now
		}
		last = now
		if now.Sub(since) >= q.Silence {
			q.takeBack(ctx)
		}
		select {
		case <-turn.C:
		case <-ctx.Done():
			return
		}
	}
}

// inHand leaves out of a group what somebody else has in hand.
func (q *Sender) inHand(ctx context.Context, group []*parcel) []*parcel {
	if q.Silence == 0 || len(group) == 0 {
		return group
	}
	ids := make([]int64, len(group))
	for i, p := range group {
		ids[i] = p.ID
	}
	still, err := q.Service.Queue.InHand(ctx, q.Node, ids)
	if err != nil { // whoever has them: they stay in the queue
		q.Service.Log.ErrorContext(ctx, "queue", "err", err)
		return nil
	}
	return slices.DeleteFunc(slices.Clone(group), func(p *parcel) bool { return !slices.Contains(still, p.ID) })
}

// ours leaves out of a group what was not sent and somebody else has in hand: what
// becomes of that is theirs to say.
func (q *Sender) ours(ctx context.Context, group []*parcel) []*parcel {
	var failed []*parcel
	for _, p := range group {
		if p.result.err != nil {
			failed = append(failed, p)
		}
	}
	still := q.inHand(ctx, failed)
	return slices.DeleteFunc(slices.Clone(group), func(p *parcel) bool { return p.result.err != nil && !slices.Contains(still, p) })
}

// unsettled takes out of the queue, and leaves out of a group, what was sent or given
// up under its name: it was added again by a node that did not know yet, or a node
// died before it could take it out.
func (q *Sender) unsettled(ctx context.Context, group []*parcel) []*parcel {
	return slices.DeleteFunc(slices.Clone(group), func(p *parcel) bool {
		if p.opts.OnceFor == 0 {
			return false
		}
		settled, err := q.Service.settled(ctx, &p.Outgoing)
		if err != nil || !settled {
			return false // an error comes up again
		}
		if err := q.Service.Queue.Done(ctx, p.ID); err != nil && mail.KindOf(err) != mail.NotFound {
			q.Service.Log.ErrorContext(ctx, "queue", "err", err)
		}
		return true
	})
}
