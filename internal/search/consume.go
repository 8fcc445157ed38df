package search

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// pending is an account whose changes wait to be taken in.
type pending struct {
	since   time.Time // when the first came
	changes int64     // heard of
	discard bool      // the index is damaged
}

// gatherFor is how long Run waits after the first change for more of them, as a
// commit for many costs little more than for one. What is not in the index yet is
// read, so nobody misses it meanwhile.
const gatherFor = 250 * time.Millisecond

// retryAfter is how long an account rests whose index could not be written.
const retryAfter = time.Minute

// Run keeps the indexes up with the mail until ctx ends, and then returns nil: what
// goes wrong is logged and tried again. It begins with all accounts, whatever was
// missed, and then sleeps until an account changes. Among other nodes these are the
// accounts that are in use here.
func (x *Index) Run(ctx context.Context) error {
	stop, err := x.listen(ctx)
	if err != nil {
		return err
	}
	defer stop()
	for err := x.begin(ctx); err != nil; err = x.begin(ctx) {
		if ctx.Err() != nil {
			return nil
		}
		x.Log.ErrorContext(ctx, "search index", "err", err)
		if !sleep(ctx, retryAfter) {
			return nil
		}
	}
	for {
		a, discard, ok := x.nextPending()
		if !ok {
			select {
			case <-ctx.Done():
				return nil
			case <-x.wake:
			}
			if !sleep(ctx, gatherFor) || !x.giveWay(ctx) {
				return nil
			}
			continue
		}
		began := time.Now()
		err := safely(func() error { return x.serve(ctx, a, discard) })
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			x.Log.ErrorContext(ctx, "search index", "account", int64(a), "err", err)
			x.stats.failed.Add(1)
			time.AfterFunc(retryAfter, func() { x.heard(a, 0) })
		}
		x.rest(ctx, min(time.Since(began), maxRest))
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// begin marks every account, and removes what is left of those that are gone.
func (x *Index) begin(ctx context.Context) error {
	if !x.isAlone() {
		return x.removeFiles()
	}
	known, err := x.markAll(ctx)
	if err != nil {
		return err
	}
	files, err := os.ReadDir(x.dir)
	for _, f := range files {
		name, _, _ := strings.Cut(f.Name(), ".")
		if id, err := strconv.ParseInt(name, 10, 64); err == nil && !known[mail.AccountID(id)] {
			if err := os.Remove(filepath.Join(x.dir, f.Name())); err != nil {
				return err
			}
		}
	}
	return err
}

// markAll marks every account, and returns them.
func (x *Index) markAll(ctx context.Context) (map[mail.AccountID]bool, error) {
	accounts, err := x.Directory.Accounts(ctx)
	known := map[mail.AccountID]bool{}
	for _, p := range accounts {
		known[p.Account] = true
		x.heard(p.Account, 0)
	}
	return known, err
}

// heard notes that an account has so many changes more.
func (x *Index) heard(a mail.AccountID, changes int64) {
	x.stats.heard.Add(changes)
	x.waiting.Lock()
	defer x.waiting.Unlock()
	x.behind(a, changes)
}

// behind notes that an account waits. x.waiting is held.
func (x *Index) behind(a mail.AccountID, changes int64) *pending {
	p := x.pending[a]
	if p == nil {
		p = &pending{since: time.Now()}
		x.pending[a] = p
	}
	p.changes += changes
	x.rouse()
	return p
}

// rouse has Run look for something to do.
func (x *Index) rouse() {
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// nextPending takes the account that has waited longest.
func (x *Index) nextPending() (a mail.AccountID, discard, ok bool) {
	x.waiting.Lock()
	defer x.waiting.Unlock()
	var oldest *pending
	for id, p := range x.pending {
		if oldest == nil || p.since.Before(oldest.since) {
			oldest, a = p, id
		}
	}
	if oldest == nil {
		return 0, false, false
	}
	x.stats.working.Store(&working{oldest.since, oldest.changes})
	delete(x.pending, a)
	return a, oldest.discard, true
}

// maxRest bounds what is rested at once.
const maxRest = 250 * time.Millisecond

// maxTurn bounds how long one account is worked for while others wait.
const maxTurn = 2 * time.Second

// serve works for an account, for a turn.
func (x *Index) serve(ctx context.Context, a mail.AccountID, throw bool) error {
	defer x.stats.working.Store(nil)
	l := x.lock(a)
	if !l.TryLock() { // a rebuild is under way, and will take in everything
		return nil
	}
	defer l.Unlock()
	if throw {
		if err := x.discard(ctx, a); err != nil {
			return err
		}
	}
	if x.isLeft(a) && !throw {
		return nil
	}
	if keep, err := x.settleFollowed(ctx, a); !keep || err != nil {
		return err
	}
	if only, err := x.onlyUpdates(ctx, a); only || err != nil {
		return err
	}
	began := time.Now()
	more, err := x.catchUp(ctx, a, maxTurn, func() {
		x.rest(ctx, time.Since(began))
		began = time.Now()
	})
	if held := (*heldError)(nil); errors.As(err, &held) {
		x.leaveFor(a, held.left)
		return nil
	}
	if more && err == nil {
		x.heard(a, 0)
	}
	return err
}

// place is a position that an account's index has reached, in memory: changes of
// flags move it and cost the index nothing.
type place struct {
	at, saved mail.Position
	savedAt   time.Time
}

// How far the position on disk may lie back.
const (
	maxUnsaved     = 1000 // ModSeqs
	maxUnsavedTime = 24 * time.Hour
)

// onlyUpdates moves an account's place over changes that add and remove nothing;
// false if there are others, or if the place has to be saved. The account's lock is
// held.
func (x *Index) onlyUpdates(ctx context.Context, a mail.AccountID) (bool, error) {
	x.mu.Lock()
	p, ok := x.places[a]
	x.mu.Unlock()
	if !ok || !x.storage.mine(a) || p.at.Since-p.saved.Since > maxUnsaved || time.Since(p.savedAt) > maxUnsavedTime {
		return false, nil
	}
	at, only, err := x.passOver(ctx, a, p.at)
	if err != nil {
		return false, ctx.Err() // the way over the index says what is wrong
	}
	if only {
		p.at = at
		x.mu.Lock()
		x.places[a] = p
		x.mu.Unlock()
	}
	return only, nil
}

// passOver goes over changes that add and remove nothing; only is false if there are
// others, or too many for a position that lies so far back.
func (x *Index) passOver(ctx context.Context, a mail.AccountID, from mail.Position) (at mail.Position, only bool, err error) {
	at, only = from, true
	err = x.Store.View(ctx, a, func(r store.Reader) error {
		for more := true; more && only; {
			page, err := r.Changes(store.ChangeQuery{Type: mail.TypeEmail, From: at, Limit: batchDocs})
			if err != nil {
				return err
			}
			only = !slices.ContainsFunc(page.Changes, func(c mail.Change) bool { return c.Op != mail.Updated })
			at, more = page.Next, page.More
		}
		return nil
	})
	return at, only && at.Since-from.Since <= maxUnsaved, err
}

// Run gives way. Beside a flood of changes, such as deliveries by the thousand, it
// does nothing for as long as patience, and then little; else it rests half as long
// as it works.
const (
	patience    = 20 * time.Second
	flood       = 100 // changes in a second
	floodWindow = 200 * time.Millisecond
)

// mark is where the count of changes stood. Used by Run alone.
type mark struct {
	heard int64
	at    time.Time
	flood bool
}

// flooded reports whether changes come in by the hundred.
func (x *Index) flooded() bool {
	now, m := time.Now(), &x.mark
	if d := now.Sub(m.at); d >= floodWindow {
		heard := x.stats.heard.Load()
		m.flood = float64(heard-m.heard) > flood*d.Seconds()
		m.heard, m.at = heard, now
	}
	return m.flood
}

// giveWay waits while there is a flood; false when ctx ended.
func (x *Index) giveWay(ctx context.Context) bool {
	for began := time.Now(); x.flooded() && time.Since(began) < patience; {
		if !sleep(ctx, floodWindow) {
			return false
		}
	}
	return ctx.Err() == nil
}

// rest is what Run does after it has worked.
func (x *Index) rest(ctx context.Context, worked time.Duration) {
	switch {
	case worked < time.Millisecond:
	case x.flooded():
		sleep(ctx, 4*worked)
	default:
		sleep(ctx, worked/2)
	}
}

// catchUp brings an account's index up to its head, or as far as it gets in a turn:
// then there is more. The account's lock is held. between is called after each
// commit.
func (x *Index) catchUp(ctx context.Context, a mail.AccountID, turn time.Duration, between func()) (more bool, err error) {
	began := time.Now()
	for again := false; ; again = true {
		more, err := x.follow(ctx, a, func() bool { return time.Since(began) < turn }, between)
		switch {
		case ctx.Err() != nil:
			return false, ctx.Err()
		case err == nil:
			return more, nil
		case mail.KindOf(err) == mail.NotFound && isGone(ctx, x.Store, a): // the account is
			x.giveUp(a)
			return false, x.discard(ctx, a)
		case again || !startsOver(err):
			return false, err
		}
		x.Log.InfoContext(ctx, "search index begins anew", "account", int64(a), "why", err.Error())
		if err := x.discard(ctx, a); err != nil {
			return false, err
		}
	}
}

// startsOver reports whether an error means that the index can't be brought up from
// where it is.
func startsOver(err error) bool {
	switch mail.KindOf(err) {
	case mail.Corrupt, mail.TooOld, mail.Invalid:
		return true
	}
	return false
}

func isGone(ctx context.Context, s store.Store, a mail.AccountID) bool {
	err := s.View(ctx, a, func(store.Reader) error { return nil })
	return err != nil && mail.KindOf(err) == mail.NotFound
}

// follow takes page after page of what there is to do.
func (x *Index) follow(ctx context.Context, a mail.AccountID, on func() bool, between func()) (more bool, err error) {
	if !x.isAlone() && !x.storage.mine(a) { // what another node follows it does
		if is, err := x.isCurrent(ctx, a); is || ctx.Err() != nil {
			return false, err
		}
	}
	p, err := x.storage.take(ctx, a)
	if err != nil {
		return false, err
	}
	defer p.putBack()
	s, err := newSealer(x.Secret, a)
	if err != nil {
		return false, err
	}
	w := &writer{pen: p, sealer: s, grams: gramSorters.Get().(*gramSorter), sorts: wordSorters.Get().(*wordSorter)}
	defer w.grams.release()
	defer w.sorts.release()
	f := &follower{x: x, account: a, w: w}
	if err := f.load(p); err != nil {
		return false, err
	}
	for more = true; more && on(); {
		more, err = f.step(ctx)
		if mail.KindOf(err) == mail.TooOld && err != nil {
			more, err = true, f.startOver(ctx)
		}
		if err != nil {
			return false, err
		}
		between()
	}
	if !more {
		x.mu.Lock()
		x.places[a] = place{f.at, f.at, time.Now()}
		x.mu.Unlock()
	}
	return more, nil
}

// follower brings one account's index up.
type follower struct {
	x       *Index
	account mail.AccountID
	w       *writer
	made    string // when the account was
	known   bool   // there is a position
	at      mail.Position
	fill    *fill            // nil when all that was there at the beginning has been read
	sift    *mail.MessageKey // up to here, what is no longer there was taken out; nil when nothing may be
}

// fill is how far the first reading got: a mailbox, and a UID in it.
type fill struct {
	mailbox mail.MailboxID
	uid     mail.UID
}

// state is how far an index got, as it is remembered.
type state struct {
	Position string // in the changes
	Fill     string `json:",omitempty"` // a mailbox, and a UID in it
	Sift     string `json:",omitempty"` // a message
	Account  string // when it was made: numbers of messages are of one account
}

func stateOf(s shelf) (st state, err error) {
	text, err := s.state()
	if err == nil && text != "" && json.Unmarshal([]byte(text), &st) != nil {
		err = errDamaged
	}
	return st, err
}

// isFilling reports whether the index has not seen all the mail yet.
func (s state) isFilling() bool { return s.Fill != "" || s.Position == "" }

func (f *follower) load(from shelf) error {
	s, err := stateOf(from)
	if err != nil || s.Position == "" {
		return err
	}
	f.made = s.Account
	if f.at, f.known = mail.ParsePosition(s.Position); !f.known {
		return errDamaged
	}
	if s.Fill != "" {
		f.fill = &fill{}
		if _, err := fmt.Sscanf(s.Fill, "%d %d", &f.fill.mailbox, &f.fill.uid); err != nil {
			return errDamaged
		}
	}
	if s.Sift != "" {
		n, err := strconv.ParseInt(s.Sift, 10, 64)
		if err != nil {
			return errDamaged
		}
		f.sift = new(mail.MessageKey(n))
	}
	return nil
}

// save remembers the position, in the transaction of what it stands for.
func (f *follower) save() error {
	s := state{Position: f.at.String(), Account: f.made}
	if f.fill != nil {
		s.Fill = fmt.Sprintf("%d %d", f.fill.mailbox, f.fill.uid)
	}
	if f.sift != nil {
		s.Sift = strconv.FormatInt(int64(*f.sift), 10)
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return f.w.setState(string(text))
}

// step does the next page of work.
func (f *follower) step(ctx context.Context) (more bool, err error) {
	switch {
	case !f.known:
		return true, f.start(ctx)
	case f.fill != nil:
		return true, f.fillPage(ctx)
	case f.sift != nil:
		return true, f.siftPage(ctx)
	}
	return f.changes(ctx)
}

// start notes where the changes go on after all that is there has been read.
func (f *follower) start(ctx context.Context) error {
	made, err := f.begin(ctx)
	if err != nil {
		return err
	}
	f.made = made
	return f.w.transact(f.save)
}

// begin puts the follower at the head, with everything still to be read, and returns
// when the account was made.
func (f *follower) begin(ctx context.Context) (made string, err error) {
	err = f.x.Store.View(ctx, f.account, func(r store.Reader) error {
		a, err := r.Account()
		f.at, made = a.Epoch.At(a.Head), strconv.FormatInt(a.Created.UnixMicro(), 10)
		return err
	})
	f.fill, f.sift, f.known = &fill{}, nil, true
	return made, err
}

// startOver begins anew with what is in the index, when the changes can't be told: the
// account came back from an older copy, or history was forgotten. What is there and is
// not in the index is added, and then what is in the index and no longer there is taken
// out; the bytes of what is in both are not read. An index of another account is of no
// use.
func (f *follower) startOver(ctx context.Context) error {
	made, err := f.begin(ctx)
	if err != nil {
		return err
	}
	if f.made != made {
		return mail.Errorf(mail.Corrupt, "the index is another account's")
	}
	f.x.Log.InfoContext(ctx, "search index starts over", "account", int64(f.account))
	f.sift = new(mail.MessageKey(0))
	return f.w.transact(f.save)
}

// siftPage takes out those of the next messages of the index that are not visible.
// What becomes so, or no longer is, after the position comes with the changes.
func (f *follower) siftPage(ctx context.Context) error {
	keys, err := f.w.after(*f.sift, batchDocs)
	if err != nil {
		return err
	}
	var next *mail.MessageKey
	visible := map[mail.MessageKey]bool{}
	if len(keys) > 0 {
		next = &keys[len(keys)-1]
		err := f.x.Store.View(ctx, f.account, func(r store.Reader) error {
			all, err := r.EmailsOf(keys)
			for i := range all {
				visible[all[i].Key] = true
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	gone := slices.DeleteFunc(slices.Clone(keys), func(k mail.MessageKey) bool { return visible[k] })
	return f.commit(ctx, nil, gone, func() { f.sift = next })
}

// fillPage reads some messages, mailbox by mailbox. Those without a visible placement
// are left out, as in the changes.
func (f *follower) fillPage(ctx context.Context) error {
	var keys []mail.MessageKey
	var next *fill
	err := f.x.Store.View(ctx, f.account, func(r store.Reader) (err error) {
		keys, next, err = f.gather(r)
		return err
	})
	if err != nil {
		return err
	}
	return f.commit(ctx, keys, nil, func() { f.fill = next })
}

// gather returns the next messages, and where to go on; nil if that was all.
func (f *follower) gather(r store.Reader) (keys []mail.MessageKey, next *fill, err error) {
	a, err := r.Account()
	if err != nil {
		return nil, nil, err
	}
	if a.Epoch != f.at.Epoch {
		return nil, nil, mail.Errorf(mail.TooOld, "the account was restored")
	}
	mailboxes, err := r.Mailboxes()
	if err != nil {
		return nil, nil, err
	}
	slices.SortFunc(mailboxes, func(a, b mail.Mailbox) int { return cmp.Compare(a.ID, b.ID) })
	at := *f.fill
	for _, mb := range mailboxes {
		if mb.ID < at.mailbox {
			continue
		}
		if mb.ID != at.mailbox {
			at = fill{mailbox: mb.ID}
		}
		n, limit := 0, batchDocs-len(keys)
		q := store.PlacementQuery{Mailbox: mb.ID, UIDs: mail.UIDSet{{First: at.uid + 1, Last: 1<<32 - 1}}, Limit: limit}
		err := r.Placements(q, func(p *mail.Placement) error {
			n++
			at.uid = p.UID
			if !p.Flags.Has(mail.Deleted) {
				keys = append(keys, p.Message)
			}
			return nil
		})
		if err != nil || n == limit {
			return keys, &at, err
		}
	}
	return keys, nil, nil
}

// changes takes the next page of the delta.
func (f *follower) changes(ctx context.Context) (more bool, err error) {
	var page mail.ChangePage
	err = f.x.Store.View(ctx, f.account, func(r store.Reader) (err error) {
		page, err = r.Changes(store.ChangeQuery{Type: mail.TypeEmail, From: f.at, Limit: batchDocs})
		return err
	})
	if err != nil {
		return false, err
	}
	if len(page.Changes) == 0 && page.Next == f.at {
		return false, nil
	}
	var there, gone []mail.MessageKey
	for _, c := range page.Changes {
		if c.Op == mail.Destroyed {
			gone = append(gone, mail.MessageKey(c.ID))
		} else {
			there = append(there, mail.MessageKey(c.ID))
		}
	}
	return page.More, f.commit(ctx, there, gone, func() { f.at = page.Next })
}

// commit adds messages that are there, takes out those that are gone, and moves the
// position. What is too much for one transaction is several, the position in the
// last.
func (f *follower) commit(ctx context.Context, there, gone []mail.MessageKey, move func()) error {
	there, err := f.missing(there)
	if err != nil {
		return err
	}
	for {
		docs, rest, err := f.read(ctx, there)
		if err != nil {
			return err
		}
		last := len(rest) == 0
		err = f.w.transact(func() error {
			if err := f.w.add(docs); err != nil || !last {
				return err
			}
			if err := f.w.removeDocs(gone); err != nil {
				return err
			}
			move()
			return f.save()
		})
		if err != nil {
			return err
		}
		f.x.stats.indexed.Add(int64(len(docs)))
		if last {
			return f.w.merge(ctx)
		}
		there = rest
	}
}

// missing are those of keys that are not in the index, each once.
func (f *follower) missing(keys []mail.MessageKey) (out []mail.MessageKey, err error) {
	slices.Sort(keys)
	keys = slices.Compact(keys)
	found := map[mail.MessageKey]bool{}
	if len(keys) > 0 {
		err = f.w.docs(keys, func(d docRow) error {
			found[d.key] = true
			return nil
		})
	}
	return slices.DeleteFunc(keys, func(k mail.MessageKey) bool { return found[k] }), err
}

// viewDocs is how many messages' rows are read in one View.
const viewDocs = 50

// read makes documents of messages until there are enough for one transaction.
func (f *follower) read(ctx context.Context, keys []mail.MessageKey) (docs []*doc, rest []mail.MessageKey, err error) {
	for size := 0; len(keys) > 0 && size < batchBytes && len(docs) < batchDocs; {
		some := keys[:min(len(keys), viewDocs)]
		rows, err := f.rows(ctx, some)
		if err != nil {
			return nil, nil, err
		}
		keys = keys[len(some):]
		for i := range rows {
			d, err := f.x.makeDoc(ctx, &rows[i])
			if err != nil {
				return nil, nil, err
			}
			docs = append(docs, d)
			if size += d.size(); size >= batchBytes {
				for _, m := range rows[i+1:] {
					rest = append(rest, m.Key)
				}
				break
			}
		}
	}
	return docs, append(rest, keys...), nil
}

// rows reads messages; those that have gone meanwhile are left out.
func (f *follower) rows(ctx context.Context, keys []mail.MessageKey) (rows []mail.Message, err error) {
	err = f.x.Store.View(ctx, f.account, func(r store.Reader) error {
		rows = rows[:0]
		for _, k := range keys {
			m, err := r.Message(k)
			if err != nil && mail.KindOf(err) == mail.NotFound {
				continue
			}
			if err != nil {
				return err
			}
			rows = append(rows, m)
		}
		return nil
	})
	return rows, err
}

// counters are counted always.
type counters struct {
	heard, indexed, unread, damaged, failed atomic.Int64
	asked, decided                          atomic.Int64
	working                                 atomic.Pointer[working]
}

// working is what Run is at.
type working struct {
	since   time.Time
	changes int64
}
