package admin

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/notify"
	"lockstep/internal/store"
)

// Followed is one change that went round.
type Followed struct {
	Event
	Login   string
	Written []time.Duration // from the commit to each device it was written to, shortest first
}

// Round says how far the change went.
func (f Followed) Round() string {
	switch n := len(f.Written); n {
	case 0:
		return "no device was waiting"
	case 1:
		return fmt.Sprintf("written to 1 device in %d µs", f.Written[0].Microseconds())
	default:
		return fmt.Sprintf("written to %d devices in %d to %d µs", n, f.Written[0].Microseconds(), f.Written[n-1].Microseconds())
	}
}

// Follower watches accounts and tells each change with the devices it was written
// to. Its Wrote goes to notify.Hub.OnWritten.
type Follower struct {
	Ops  *Ops
	Wait time.Duration // for the devices, after a commit
	Tell func(Followed)

	mu      sync.Mutex
	commits map[mail.AccountID][]commit // that were not told yet, in order
}

// commit is a commit and who it was written to so far.
type commit struct {
	news    mail.News
	written map[target]time.Duration
}

// target is who something was written to.
type target struct {
	device  mail.DeviceID
	session string
}

// maxUntold bounds the commits of one account that wait to be told; beyond it the
// oldest are told by the journal alone.
const maxUntold = 10_000

// Wrote hears that a device was sent everything up to a ModSeq.
func (f *Follower) Wrote(w notify.Written) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.commits[w.Account] {
		if c.news.ModSeq > w.ModSeq {
			break
		}
		t := target{w.Device, w.Session}
		if _, ok := c.written[t]; !ok {
			c.written[t] = max(0, w.At.Sub(c.news.At))
		}
	}
}

func (f *Follower) committed(a mail.AccountID, n mail.News) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.commits == nil {
		f.commits = map[mail.AccountID][]commit{}
	}
	list := append(f.commits[a], commit{n, map[target]time.Duration{}})
	if len(list) > maxUntold {
		list = slices.Delete(list, 0, len(list)-maxUntold)
	}
	f.commits[a] = list
}

// take returns the commits up to n and forgets them.
func (f *Follower) take(a mail.AccountID, n mail.ModSeq) map[mail.ModSeq]commit {
	f.mu.Lock()
	defer f.mu.Unlock()
	taken := map[mail.ModSeq]commit{}
	list := f.commits[a]
	for len(list) > 0 && list[0].news.ModSeq <= n {
		taken[list[0].news.ModSeq] = list[0]
		list = list[1:]
	}
	f.commits[a] = list
	return taken
}

// Follow tells the changes of one account from now on, until ctx ends.
func (f *Follower) Follow(ctx context.Context, login string) error {
	p, err := f.Ops.principal(ctx, login)
	if err != nil {
		return err
	}
	told, err := f.head(ctx, p)
	if err != nil {
		return err
	}
	stop := f.Ops.Store.Watch(p.Account, func(n mail.News) { f.committed(p.Account, n) })
	defer stop()
	for news := range notify.Chan(ctx, f.Ops.Store, p.Account) {
		select {
		case <-time.After(min(f.Wait, f.Wait-time.Since(news.At))): // another node's clock may be ahead
		case <-ctx.Done():
			return nil
		}
		if err := f.tell(ctx, p, told, news.ModSeq); err != nil {
			return err
		}
		told = news.ModSeq
	}
	return nil
}

func (f *Follower) head(ctx context.Context, p store.Principal) (mail.ModSeq, error) {
	var n mail.ModSeq
	err := f.Ops.Store.View(ctx, p.Account, func(r store.Reader) error {
		a, err := r.Account()
		n = a.Head
		return err
	})
	return n, err
}

// tell reads the records after one ModSeq up to another and tells each.
func (f *Follower) tell(ctx context.Context, p store.Principal, after, upTo mail.ModSeq) error {
	commits := f.take(p.Account, upTo)
	events, err := f.Ops.events(ctx, p, "", store.JournalQuery{After: after, Before: upTo + 1}, maxUntold)
	if err != nil {
		return err
	}
	for _, e := range slices.Backward(events) {
		f.Tell(Followed{Event: e, Login: p.Login, Written: commits[e.ModSeq].others(e.Session)})
	}
	return nil
}

// others is how long it took to each device but the session that made the change:
// it was answered, not told.
func (c commit) others(session string) []time.Duration {
	first := map[mail.DeviceID]time.Duration{}
	for t, took := range c.written {
		if before, ok := first[t.device]; t.session != session && (!ok || took < before) {
			first[t.device] = took
		}
	}
	return slices.Sorted(maps.Values(first))
}
