package delivery

import (
	"context"
	"hash/maphash"
	"sync"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// What was submitted under a name is remembered in the sender's account when it
// leaves the queue, recipient by recipient: the queue itself knows only what it
// still has. Remembering and leaving are under the lock of the name, as is adding
// what is not remembered; so of two who submit the same at once, or while it is
// being sent, one adds.

// nameLocks are locks by the name of a submission. Names share them.
type nameLocks struct {
	seed  maphash.Seed
	once  sync.Once
	locks [16]sync.Mutex
}

func (n *nameLocks) of(delivery string) *sync.Mutex {
	n.once.Do(func() { n.seed = maphash.MakeSeed() })
	return &n.locks[maphash.String(n.seed, delivery)%uint64(len(n.locks))]
}

// settledKey is under what it is remembered that a recipient of a submission was
// served, or given up.
func settledKey(o *store.Outgoing) string { return "settled:" + o.Delivery + ":" + o.Recipient }

// done takes a recipient out of the queue.
func (s *Service) done(ctx context.Context, p *parcel) error {
	if p.opts.OnceFor == 0 {
		return s.Queue.Done(ctx, p.ID)
	}
	lock := s.names.of(p.Delivery)
	lock.Lock()
	defer lock.Unlock()
	err := s.Store.Note(ctx, p.Account, func(n store.Notes) error {
		return n.Remember(settledKey(&p.Outgoing), 0, time.Now().Add(p.opts.OnceFor))
	})
	if err != nil { // it must leave all the same, or it would be sent again for certain
		s.Log.ErrorContext(ctx, "queue", "err", err)
	}
	return s.Queue.Done(ctx, p.ID)
}

// enqueueUnsettled adds to the queue, but for what left it under the same name.
func (s *Service) enqueueUnsettled(ctx context.Context, env *Envelope, out []store.Outgoing) error {
	if env.OnceFor == 0 || len(out) == 0 {
		return s.Queue.Enqueue(ctx, out)
	}
	lock := s.names.of(out[0].Delivery)
	lock.Lock()
	defer lock.Unlock()
	var left []store.Outgoing
	for _, o := range out {
		settled, err := s.settled(ctx, &o)
		if err != nil {
			return err
		}
		if !settled {
			left = append(left, o)
		}
	}
	if len(left) == 0 {
		return nil
	}
	return s.Queue.Enqueue(ctx, left)
}

func (s *Service) settled(ctx context.Context, o *store.Outgoing) (settled bool, err error) {
	err = s.Store.View(ctx, o.Account, func(r store.Reader) error {
		_, err := r.Remembered(settledKey(o))
		settled = err == nil
		if mail.KindOf(err) == mail.NotFound {
			return nil
		}
		return err
	})
	return settled, err
}
