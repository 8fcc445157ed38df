package search

import (
	"context"
	"errors"
	"time"

	"lockstep/internal/mail"
)

// CatchUp brings an account's index up to all that was committed before the call.
func (x *Index) CatchUp(ctx context.Context, a mail.AccountID) error {
	x.need(a)
	l := x.lock(a)
	l.Lock()
	defer l.Unlock()
	defer x.heard(a, 0) // what came meanwhile
	return x.catchUpWith(ctx, a, func() {})
}

// catchUpWith is catchUp for as long as it takes, whoever does it.
func (x *Index) catchUpWith(ctx context.Context, a mail.AccountID, between func()) error {
	for {
		_, err := x.catchUp(ctx, a, forever, between)
		if !errors.As(err, new(*heldError)) {
			return err
		}
		if !sleep(ctx, heldPause) {
			return ctx.Err()
		}
	}
}

// heldPause is how long somebody who waits for an index waits before he looks again at
// how far another node got.
const heldPause = 50 * time.Millisecond

const forever = 1<<63 - 1

// lockPause is how long CatchUpWithin waits before it asks again whether somebody else
// has finished with the index.
const lockPause = 5 * time.Millisecond

// CatchUpWithin is CatchUp for somebody who waits for an answer: when the time is over
// the index may lag, and whoever searches finds what is there. It reports whether the
// index got to where it was to.
func (x *Index) CatchUpWithin(ctx context.Context, a mail.AccountID, d time.Duration) (bool, error) {
	x.need(a)
	deadline := time.Now().Add(d)
	l := x.lock(a)
	for !l.TryLock() {
		if !time.Now().Before(deadline) {
			return false, nil
		}
		sleep(ctx, lockPause)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
	}
	defer l.Unlock()
	defer x.heard(a, 0) // what came meanwhile
	for {
		more, err := x.catchUp(ctx, a, max(time.Until(deadline), lockPause), func() {})
		switch {
		case !errors.As(err, new(*heldError)):
			return !more && err == nil, err
		case time.Until(deadline) < heldPause:
			return false, nil
		case !sleep(ctx, heldPause):
			return false, ctx.Err()
		}
	}
}

// Rebuild makes an account's index anew, and tells now and then how many messages
// it holds. Exact searches meanwhile read; people's find what is there already.
func (x *Index) Rebuild(ctx context.Context, a mail.AccountID, tell func(messages int64) error) error {
	x.need(a)
	l := x.lock(a)
	l.Lock()
	defer l.Unlock()
	defer x.heard(a, 0) // what came meanwhile, and the rest if this is broken off
	if err := x.discard(ctx, a); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var told time.Time
	var failed error
	err := x.catchUpWith(ctx, a, func() {
		if time.Since(told) < time.Second {
			return
		}
		told = time.Now()
		s, err := x.Status(ctx, a)
		if err == nil {
			err = tell(s.Messages)
		}
		if err != nil {
			failed = err
			cancel()
		}
	})
	if failed != nil {
		return failed
	}
	return err
}

// Status is how an account's index stands.
type Status struct {
	Messages int64 // in it
	Unread   int64 // of those, the ones that could not be read; their searches read, and say so
	Partly   int64 // and those of which an attachment could not be read
	Bytes    int64 // on disk
	Filling  bool  // it has not seen all the mail yet
}

// Status looks at an account's index. It is NotFound when there is none.
func (x *Index) Status(ctx context.Context, a mail.AccountID) (Status, error) {
	var s Status
	err := x.read(ctx, a, func(r *reader) error {
		st, err := stateOf(r)
		if err != nil {
			return err
		}
		n, err := r.count()
		s = Status{Messages: n.docs, Unread: n.unread, Partly: n.trouble - n.unread, Filling: st.isFilling()}
		return err
	})
	if err != nil {
		return s, err
	}
	s.Bytes, err = x.storage.size(ctx, a)
	return s, err
}

// Check looks at the whole of an account's index and returns what is wrong with it;
// repair throws a damaged one away, and Run makes it again.
func (x *Index) Check(ctx context.Context, a mail.AccountID, repair bool) (problems []string, err error) {
	found, err := x.storage.check(ctx, a)
	for _, what := range found {
		problems = append(problems, "the search index is damaged: "+what)
	}
	switch {
	case err != nil && mail.KindOf(err) == mail.Corrupt:
		problems, err = append(problems, "the search index is damaged"), nil
	case err != nil && mail.KindOf(err) == mail.NotFound:
		return nil, nil
	}
	if err == nil && len(problems) > 0 && repair {
		err = x.Rebuild(ctx, a, func(int64) error { return nil })
	}
	return problems, err
}

// Lag is how far the indexes are behind the mail.
type Lag struct {
	Accounts int           // that wait
	Changes  int64         // committed since they were looked at last, as far as is known
	Time     time.Duration // since the oldest of these
}

// Lag says how far the indexes are behind.
func (x *Index) Lag() Lag {
	x.waiting.Lock()
	defer x.waiting.Unlock()
	var l Lag
	count := func(since time.Time, changes int64) {
		l.Accounts++
		l.Changes += changes
		l.Time = max(l.Time, time.Since(since))
	}
	for _, p := range x.pending {
		count(p.since, p.changes)
	}
	if w := x.stats.working.Load(); w != nil {
		count(w.since, w.changes)
	}
	return l
}

// Stats are counts since the start.
type Stats struct {
	Indexed int64 // messages taken in
	Unread  int64 // of those, the ones that could not be read
	Damaged int64 // indexes found damaged
	Failed  int64 // times an index could not be written
	Asked   int64 // exact questions
	Decided int64 // messages decided in them
}

// Stats returns the counts so far.
func (x *Index) Stats() Stats {
	s := &x.stats
	return Stats{s.indexed.Load(), s.unread.Load(), s.damaged.Load(), s.failed.Load(), s.asked.Load(), s.decided.Load()}
}

// Renew throws an account's index away, with all that it says of messages that are no
// more. Whoever follows its changes makes it again; meanwhile exact searches read.
func (x *Index) Renew(ctx context.Context, a mail.AccountID) error {
	l := x.lock(a)
	l.Lock()
	err := x.discard(ctx, a)
	l.Unlock()
	if err != nil {
		return err
	}
	if x.Has(a) {
		x.heard(a, 0)
	}
	x.tellRenewed(a)
	return nil
}
