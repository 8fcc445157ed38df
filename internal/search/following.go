package search

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"lockstep/internal/mail"
	"lockstep/internal/notify"
)

// Nodes share their indexes, and one node at a time follows an account's changes. A node
// hears of those accounts that are in use on it: somebody searches them there, or has a
// session there that waits for news. An index that nobody needed anywhere for keptFor
// goes.
const (
	keptFor     = 14 * 24 * time.Hour
	goneFor     = 24 * time.Hour // after so long it is looked whether there is such an account
	maxFollowed = 20_000         // accounts; of more, those that nobody needed for longest are left to other nodes

	usedEvery  = time.Minute   // how often it is looked who has sessions
	noteEvery  = time.Hour     // how exactly the index says when it was needed last
	lookEvery  = time.Hour     // how often it is looked whether an index has to be made anew, if no word came
	sweepEvery = 6 * time.Hour // how often it is looked which indexes nobody needs
)

const renewedTopic = "search"

// Nodes are what an index needs where other nodes have the same mail.
type Nodes struct {
	Dial     func(context.Context) (*pgconn.PgConn, error) // a connection of ours to the database that they share
	Readable func(error) error                             // gives errors of such connections a Kind
	Bus      notify.Bus                                    // says at once what has to be made anew; may be nil
}

// followed is an account whose changes this node hears of.
type followed struct {
	stop   func()
	needed time.Time // last
	noted  time.Time // as the index says
	looked time.Time // at the index
}

// isAlone reports whether there are no other nodes: then every account has an index.
func (x *Index) isAlone() bool { return x.Nodes == nil }

// IsAlone reports whether this is the only node that has indexes.
func (x *Index) IsAlone() bool { return x.isAlone() }

// Has reports whether this node follows an account's changes when no other does.
func (x *Index) Has(a mail.AccountID) bool {
	if x.isAlone() {
		return true
	}
	x.following.Lock()
	defer x.following.Unlock()
	return x.follows[a] != nil
}

// need is called when somebody here has use for an account's index.
func (x *Index) need(a mail.AccountID) {
	if x.isAlone() {
		return
	}
	if x.needAt(a, time.Now()) {
		x.heard(a, 0)
	}
}

// needAt reports whether there is something to do for it.
func (x *Index) needAt(a mail.AccountID, at time.Time) bool {
	x.following.Lock()
	defer x.following.Unlock()
	if f := x.follows[a]; f != nil {
		if at.After(f.needed) {
			f.needed = at
		}
		return f.needed.Sub(f.noted) > noteEvery
	}
	for len(x.follows) >= maxFollowed {
		x.leaveOldest()
	}
	f := &followed{needed: at}
	f.stop = x.Hub.Watch(a, func(n mail.News) {
		if n.Types.Has(mail.TypeEmail) {
			x.heard(a, 1)
		}
	})
	x.follows[a] = f
	return true
}

// leaveOldest gives up the account that nobody needed for longest. x.following is held.
func (x *Index) leaveOldest() {
	var oldest mail.AccountID
	for a, f := range x.follows {
		if oldest == 0 || f.needed.Before(x.follows[oldest].needed) {
			oldest = a
		}
	}
	x.leave(oldest)
}

// leave gives an account up. x.following is held.
func (x *Index) leave(a mail.AccountID) {
	x.follows[a].stop()
	delete(x.follows, a)
}

// giveUp is leave for an account that may not be followed.
func (x *Index) giveUp(a mail.AccountID) {
	x.following.Lock()
	defer x.following.Unlock()
	if x.follows[a] != nil {
		x.leave(a)
	}
}

// stopFollowing ends hearing of accounts.
func (x *Index) stopFollowing() {
	x.following.Lock()
	defer x.following.Unlock()
	for _, f := range x.follows {
		f.stop()
	}
	clear(x.follows)
}

// listen has what happens come to heard, until stop.
func (x *Index) listen(ctx context.Context) (stop func(), err error) {
	if x.isAlone() {
		return x.Hub.WatchAll(func(a mail.AccountID, n mail.News) {
			if n.Types.Has(mail.TypeEmail) {
				x.heard(a, 1)
			}
		}), nil
	}
	unhear := func() {}
	if x.Nodes.Bus != nil {
		if unhear, err = x.Nodes.Bus.Receive(renewedTopic, func(_ string, body []byte) { x.hearRenewed(body) }); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	var ended sync.WaitGroup
	ended.Go(func() {
		for {
			x.lookAround()
			if !sleep(ctx, usedEvery) {
				return
			}
		}
	})
	ended.Go(func() {
		for {
			if err := x.sweep(ctx); err != nil && ctx.Err() == nil {
				x.Log.WarnContext(ctx, "search indexes that nobody needs", "err", err)
			}
			if !sleep(ctx, sweepEvery) {
				return
			}
		}
	})
	return func() {
		unhear()
		cancel()
		ended.Wait()
	}, nil
}

// lookAround takes up the accounts that have sessions here, gives up those that nobody
// here needed for long, and has those looked at again that were not for lookEvery.
func (x *Index) lookAround() {
	var used []mail.AccountID
	x.Hub.EachWatched(func(a mail.AccountID, watchers int) {
		x.following.Lock()
		defer x.following.Unlock()
		if x.follows[a] == nil || watchers > 1 { // one is ours
			used = append(used, a)
		}
	})
	for _, a := range used {
		x.need(a)
	}
	now := time.Now()
	x.following.Lock()
	defer x.following.Unlock()
	for a, f := range x.follows {
		switch {
		case now.Sub(f.needed) > keptFor:
			x.leave(a)
		case now.Sub(f.looked) > lookEvery:
			x.heard(a, 0)
		}
	}
}

// hearRenewed is told by another node that an account's index is to be made anew.
func (x *Index) hearRenewed(body []byte) {
	var a mail.AccountID
	if json.Unmarshal(body, &a) == nil && x.Has(a) {
		x.unplace(a)
		x.heard(a, 0)
	}
}

// tellRenewed has a node that hears of an account make its index anew.
func (x *Index) tellRenewed(a mail.AccountID) {
	if x.isAlone() || x.Nodes.Bus == nil {
		return
	}
	if body, err := json.Marshal(a); err == nil {
		x.Nodes.Bus.Send(renewedTopic, body)
	}
}

// settleFollowed does what comes before an account's index is brought up, and reports
// whether it is to be.
func (x *Index) settleFollowed(ctx context.Context, a mail.AccountID) (keep bool, err error) {
	if x.isAlone() {
		return true, nil
	}
	now := time.Now()
	x.following.Lock()
	f := x.follows[a]
	note := f != nil && f.needed.Sub(f.noted) > noteEvery
	look := f != nil && now.Sub(f.looked) > lookEvery
	x.following.Unlock()
	if f == nil {
		return false, nil
	}
	if look {
		x.unplace(a)
	}
	if note {
		err = x.storage.(*tables).needed(ctx, a)
	}
	x.following.Lock()
	defer x.following.Unlock()
	if look {
		f.looked = now
	}
	if note && err == nil {
		f.noted = f.needed
	}
	return true, err
}

// leaveFor leaves an account to the node that follows its changes, until its claim would
// end. What is heard of it meanwhile is looked at then, at once.
func (x *Index) leaveFor(a mail.AccountID, d time.Duration) {
	x.following.Lock()
	defer x.following.Unlock()
	if x.left[a] {
		return
	}
	x.left[a] = true
	time.AfterFunc(d, func() {
		x.following.Lock()
		delete(x.left, a)
		x.following.Unlock()
		x.heard(a, 0)
	})
}

func (x *Index) isLeft(a mail.AccountID) bool {
	x.following.Lock()
	defer x.following.Unlock()
	return x.left[a]
}

// sweep removes indexes that nobody needed for long, and of accounts that are no more.
func (x *Index) sweep(ctx context.Context) error {
	return x.storage.(*tables).eachNeeded(ctx, func(a mail.AccountID, ago time.Duration) error {
		if ago < goneFor || ago < keptFor && !isGone(ctx, x.Store, a) {
			return nil
		}
		x.giveUp(a)
		return x.throwAway(ctx, a)
	})
}

// leftover are the names of files of which a node has none: from before it was one of
// several.
var leftover = regexp.MustCompile(`^[0-9]+\.(db|db-wal|db-shm|needed)$`)

// removeFiles removes what a server alone kept here: it holds words of mail.
func (x *Index) removeFiles() error {
	files, err := os.ReadDir(x.dir)
	for _, f := range files {
		if err == nil && leftover.MatchString(f.Name()) {
			err = os.Remove(filepath.Join(x.dir, f.Name()))
		}
	}
	return err
}

// isCurrent reports whether an account's index has seen all but changes of flags,
// whoever follows them, and remembers how far it got.
func (x *Index) isCurrent(ctx context.Context, a mail.AccountID) (bool, error) {
	f := &follower{x: x, account: a}
	err := x.storage.read(ctx, a, func(s shelf) error {
		return f.load(s)
	})
	if err != nil || !f.known || f.fill != nil || f.sift != nil {
		return false, err
	}
	_, only, err := x.passOver(ctx, a, f.at)
	return only, err
}
