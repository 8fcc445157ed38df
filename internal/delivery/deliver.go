package delivery

import (
	"context"
	"io"
	"sync"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// maxAtOnce is how many recipients of one message are committed at the same
// time: enough to share one sync, not enough to crowd others out.
const maxAtOnce = 16

// Deliver takes a message in and commits it for each recipient, all of them
// ours. What became of each is in the order of the recipients; a recipient
// without an error has it durably. The other error is of the message as a whole:
// then nobody got it.
func (s *Service) Deliver(ctx context.Context, env *Envelope, body io.Reader) ([]error, error) {
	in, err := s.arrive(env, body)
	if err != nil {
		return nil, err
	}
	defer in.close()
	in.prefix = append(returnPath(env.ReversePath), env.Hop.received(s.Hostname)...)
	a, err := s.put(ctx, in)
	if err != nil {
		return nil, err
	}
	errs := s.commitAll(ctx, env, in, a)
	s.logDelivery(ctx, env, in, errs)
	return errs, nil
}

// arrive spools a message and refuses one that goes in circles.
func (s *Service) arrive(env *Envelope, body io.Reader) (*spool, error) {
	in, err := s.receive(body)
	if err != nil {
		return nil, err
	}
	n, err := in.countReceived()
	if err == nil && n > MaxReceived {
		err = ErrLoop
	}
	if err != nil {
		in.close()
		return nil, err
	}
	return in, nil
}

// commitAll commits the message for each of ours among the recipients. Several
// addresses of one account get one copy.
func (s *Service) commitAll(ctx context.Context, env *Envelope, in *spool, a mail.Arrival) []error {
	errs := make([]error, len(env.Recipients))
	if len(errs) == 1 && env.Recipients[0].Account != 0 {
		errs[0] = s.commit(ctx, env, in, a, &env.Recipients[0])
		return errs
	}
	first := map[mail.AccountID]int{}
	slots := make(chan struct{}, maxAtOnce)
	var running sync.WaitGroup
	for i := range env.Recipients {
		r := &env.Recipients[i]
		if _, again := first[r.Account]; again || r.Account == 0 {
			continue
		}
		first[r.Account] = i
		slots <- struct{}{}
		running.Go(func() {
			errs[i] = s.commit(ctx, env, in, a, r)
			<-slots
		})
	}
	running.Wait()
	for i, r := range env.Recipients {
		if r.Account != 0 {
			errs[i] = errs[first[r.Account]]
		}
	}
	return errs
}

// commit appends the message to one inbox. What did not become durable is put once
// more, as is what expired while others were slow.
func (s *Service) commit(ctx context.Context, env *Envelope, in *spool, a mail.Arrival, r *Recipient) error {
	a.Once, a.OnceFor = env.onceKey(in.sum.Sum(nil), r), env.onceFor()
	asked, err := s.standings.of(ctx, s.Store, r.Account, s.Several)
	if err != nil {
		asked = standing{} // the append says what is wrong, if it still is
	}
	reply := s.answerTo(ctx, env, in, r, asked.vacation, a.Once)
	err = s.append(ctx, env.origin(), r, a, asked.follows, reply)
	if err != nil && (mail.KindOf(err) == mail.Expired || a.Blob.Pending.Wait() != nil) {
		again, failed := s.putNow(ctx, in)
		if failed != nil {
			return failed
		}
		a.Blob, a.Parts = again.Blob, again.Parts
		err = s.append(ctx, env.origin(), r, a, asked.follows, reply)
	}
	if err == nil {
		s.give(ctx, reply)
	}
	return err
}

// append commits the message, where its conversation goes, and with it that an answer
// is owed.
func (s *Service) append(ctx context.Context, by mail.Origin, r *Recipient, a mail.Arrival, follow mail.Follows, reply *answer) error {
	ctx = store.Foresee(ctx, store.Foresight{Mailbox: r.Inbox, Arrival: &a})
	_, err := s.Store.Update(ctx, r.Account, by, func(tx store.Tx) error {
		p, err := tx.Append(r.Inbox, a)
		if err == nil {
			err = file(tx, p, follow)
		}
		if err == nil && reply != nil {
			reply.owed, err = reply.memory.owe(tx)
		}
		return err
	})
	return err
}

func (s *Service) logDelivery(ctx context.Context, env *Envelope, in *spool, errs []error) {
	if len(errs) == 0 {
		return
	}
	failed := 0
	for _, err := range errs {
		if err == nil {
			continue
		}
		failed++
		if mail.KindOf(err) == mail.Internal {
			s.Log.ErrorContext(ctx, "delivery failed", "proto", env.Hop.Protocol, "session", env.Hop.ID, "err", err)
		}
	}
	s.counts.failed.Add(int64(failed))
	s.counts.delivered.Add(int64(len(errs) - failed))
	s.Log.InfoContext(ctx, "delivered", "proto", env.Hop.Protocol, "session", env.Hop.ID, "size", in.whole(), "rcpts", len(errs), "failed", failed)
}
