package search

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/notify"
	"lockstep/internal/store"
)

// Among other nodes a node has the indexes of those accounts that are in use on it:
// somebody searches them there, or has a session there that waits for news. So an
// account is read once for each node that its devices are at, and not once for each
// node that there is. An index that nobody needed for keptFor goes.
const (
	keptFor     = 14 * 24 * time.Hour
	maxFollowed = 20_000 // accounts; of more, those that nobody needed for longest go

	usedEvery = time.Minute // how often it is looked who has sessions
	noteEvery = time.Hour   // how exactly the file says when an account was needed last
	lookEvery = time.Hour   // how often it is looked whether an index has to be made anew, if no word came
)

// What all nodes have to make anew is a shared file, so that also those learn of it
// that do not run. An index that was not needed for that long is gone.
const (
	renewedBelow = "search/renewed/"
	renewedFor   = 2 * keptFor
	renewedTopic = "search"
)

// Nodes are what an index needs where other nodes have the same mail.
type Nodes struct {
	Files store.Files
	Bus   notify.Bus // says at once what others have to make anew; may be nil
}

// followed is an account whose index this node has.
type followed struct {
	stop    func()
	needed  time.Time // last
	noted   time.Time // as the file says
	renewed int64     // when all nodes were last told to make it anew, by the store's clock
	looked  time.Time // for that
}

// isAlone reports whether there are no other nodes: then every account has an index.
func (x *Index) isAlone() bool { return x.Nodes == nil }

// IsAlone reports whether this is the only node that has indexes.
func (x *Index) IsAlone() bool { return x.isAlone() }

// Has reports whether this node keeps, or is about to make, an account's index.
func (x *Index) Has(a mail.AccountID) bool {
	if x.isAlone() {
		return true
	}
	x.following.Lock()
	defer x.following.Unlock()
	return x.follows[a] != nil
}

// Follow has this node keep an account's index from now on, also when it ends before it
// has begun with it.
func (x *Index) Follow(a mail.AccountID) error {
	if x.isAlone() {
		return nil
	}
	x.need(a)
	return x.note(a)
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

// leave gives an account up; Run then removes its index. x.following is held.
func (x *Index) leave(a mail.AccountID) {
	x.follows[a].stop()
	delete(x.follows, a)
	x.heard(a, 0)
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
func (x *Index) listen() (stop func(), err error) {
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
	ticker, done := time.NewTicker(usedEvery), make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			x.lookAround()
			select {
			case <-done:
				return
			case <-ticker.C:
			}
		}
	}()
	return func() {
		unhear()
		ticker.Stop()
		close(done)
		<-ended
	}, nil
}

// lookAround takes up the accounts that have sessions here, gives up those that nobody
// needed for long, and has those looked at again that were not for lookEvery.
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
	if json.Unmarshal(body, &a) != nil {
		return
	}
	x.following.Lock()
	f := x.follows[a]
	if f != nil {
		f.looked = time.Time{}
	}
	x.following.Unlock()
	if f != nil {
		x.heard(a, 0)
	}
}

func renewedName(a mail.AccountID) string { return renewedBelow + strconv.FormatInt(int64(a), 10) }

// tellRenewed has all nodes make an account's index anew.
func (x *Index) tellRenewed(ctx context.Context, a mail.AccountID) error {
	if x.isAlone() {
		return nil
	}
	if err := x.Nodes.Files.PutFile(ctx, store.File{Name: renewedName(a), Until: time.Now().Add(renewedFor)}); err != nil {
		return err
	}
	if body, err := json.Marshal(a); err == nil && x.Nodes.Bus != nil {
		x.Nodes.Bus.Send(renewedTopic, body)
	}
	return nil
}

// settleFollowed does what comes before an account's index is brought up: one that this
// node does not keep goes, and so does one that all nodes have to make anew. The
// account's lock is held.
func (x *Index) settleFollowed(ctx context.Context, a mail.AccountID) (keep bool, err error) {
	if x.isAlone() {
		return true, nil
	}
	x.following.Lock()
	f := x.follows[a]
	look := f != nil && time.Since(f.looked) > lookEvery
	x.following.Unlock()
	if f == nil {
		return false, errors.Join(x.discard(ctx, a), x.unnote(a))
	}
	if look {
		if err := x.lookRenewed(ctx, a, f); err != nil {
			return false, err
		}
	}
	return true, x.note(a)
}

// lookRenewed throws an index away that is older than what all nodes were told.
func (x *Index) lookRenewed(ctx context.Context, a mail.AccountID, f *followed) error {
	began := time.Now()
	file, err := x.Nodes.Files.FileNamed(ctx, renewedName(a))
	if err != nil && mail.KindOf(err) != mail.NotFound {
		return err
	}
	renewed := int64(0)
	if err == nil {
		renewed = file.Changed.UnixMicro()
	}
	x.following.Lock()
	old := renewed > f.renewed
	x.following.Unlock()
	if old {
		if err := x.discard(ctx, a); err != nil {
			return err
		}
	}
	x.following.Lock()
	defer x.following.Unlock()
	if old {
		f.renewed, f.noted = renewed, time.Time{}
	}
	f.looked = began
	return nil
}

// What the file beside an account's index says: that this node keeps it, by when it was
// changed since when nobody needed it, and in it of which making anew the index is.
func (x *Index) notePath(a mail.AccountID) string {
	return filepath.Join(x.dir, strconv.FormatInt(int64(a), 10)+noteSuffix)
}

const noteSuffix = ".needed"

// note writes down what is not on disk yet.
func (x *Index) note(a mail.AccountID) error {
	x.following.Lock()
	defer x.following.Unlock()
	f := x.follows[a]
	if f == nil || f.needed.Sub(f.noted) <= noteEvery {
		return nil
	}
	path := x.notePath(a)
	err := os.WriteFile(path, strconv.AppendInt(nil, f.renewed, 10), 0o600)
	if err == nil {
		err = os.Chtimes(path, f.needed, f.needed)
	}
	if err == nil {
		f.noted = f.needed
	}
	return err
}

func (x *Index) unnote(a mail.AccountID) error {
	if err := os.Remove(x.notePath(a)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// beginFollowed takes up the accounts whose indexes lie here and were needed not too
// long ago, and removes the others.
func (x *Index) beginFollowed() error {
	files, err := os.ReadDir(x.dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		name, ok := strings.CutSuffix(f.Name(), noteSuffix)
		id, bad := strconv.ParseInt(name, 10, 64)
		if !ok || bad != nil {
			continue
		}
		if err := x.takeUp(mail.AccountID(id), f); err != nil {
			return err
		}
	}
	for _, f := range files {
		name, _, _ := strings.Cut(f.Name(), ".")
		if id, err := strconv.ParseInt(name, 10, 64); err == nil {
			x.heard(mail.AccountID(id), 0) // which removes those that are not followed
		}
	}
	return nil
}

// takeUp follows an account that was followed before the start. What its file says may
// be damaged: then the index is made anew if that was ever asked for.
func (x *Index) takeUp(a mail.AccountID, file fs.DirEntry) error {
	info, err := file.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if time.Since(info.ModTime()) > keptFor {
		return nil
	}
	text, err := os.ReadFile(x.notePath(a))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	renewed, _ := strconv.ParseInt(string(text), 10, 64)
	x.needAt(a, info.ModTime())
	x.following.Lock()
	defer x.following.Unlock()
	if f := x.follows[a]; f != nil && f.looked.IsZero() {
		f.renewed, f.noted = renewed, info.ModTime()
	}
	return nil
}
