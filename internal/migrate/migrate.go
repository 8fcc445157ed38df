// Package migrate moves all accounts from one database to another, whatever their
// engines, while the one is in use: pass by pass, each of what changed during the one
// before, and the last with nobody writing. Nothing is served twice, and nothing that
// is half there.
package migrate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store/sqlstore"
)

// A Job is a migration.
type Job struct {
	From, To         *sqlstore.Side
	FromName, ToName string // as people know them
	Workers          int    // 0 is DefaultWorkers
	// Freeze has nobody write at the source, until thaw: with moved, for ever. It is nil
	// where nobody does.
	Freeze func(ctx context.Context) (Frozen, error)
	Tell   func(Progress) // may be nil; one call at a time
	Now    func() time.Time

	proven map[mail.AccountID]bool
	mu     sync.Mutex // guards what follows, and proven
	told   Progress
	report Report
}

// A Frozen is a source at which nobody writes.
type Frozen interface {
	// Moved makes that last, durably, and says where the accounts are.
	Moved(ctx context.Context, m sqlstore.Moving) error
	// Thaw lets the source go on, unless Moved was called.
	Thaw() error
}

// DefaultWorkers is how many accounts are carried at once.
const DefaultWorkers = 4

// Bounds of the passes while the source is in use.
const (
	maxPasses  = 8
	shortPass  = 5 * time.Second // after one, it is time for the last
	frozenTime = 6 * time.Hour   // of the last pass, after which the source goes on
)

// Progress is how far a migration is.
type Progress struct {
	Pass     int // from 1
	Frozen   bool
	Accounts int // of this pass, done
	Of       int
	Messages int64 // of these accounts, done
	OfMsgs   int64
	Rows     int64 // written so far, in all passes
	Bytes    int64
	Took     time.Duration // of this pass, so far
}

// Left is about how long the pass goes on; 0 is not known.
func (p Progress) Left() time.Duration {
	done, all := float64(p.Messages+int64(p.Accounts)*messagesPerAccount), float64(p.OfMsgs+int64(p.Of)*messagesPerAccount)
	if done == 0 {
		return 0
	}
	return time.Duration(float64(p.Took) * (all - done) / done)
}

// messagesPerAccount is what an account costs that has none.
const messagesPerAccount = 20

// A Report is what was moved, and proven.
type Report struct {
	Accounts int
	Passes   int
	Carried  sqlstore.Carried
	Proven   int           // accounts of which each row is the same on both sides
	Frozen   time.Duration // for how long nobody could write
	Took     time.Duration
}

// Run moves everything. Cut short anywhere, the source serves on, the target is refused
// to be served, and Run goes on where it was.
func (j *Job) Run(ctx context.Context) (Report, error) {
	j.defaults()
	began := time.Now()
	if err := sqlstore.Pair(j.From, j.To); err != nil {
		return j.report, err
	}
	finished, err := j.begin(ctx)
	if err != nil {
		return j.report, err
	}
	if finished { // but for the target's word of it
		return j.report, j.open(ctx)
	}
	err = j.online(ctx)
	if err == nil {
		err = j.last(ctx)
	}
	j.report.Took = time.Since(began)
	return j.report, err
}

func (j *Job) defaults() {
	if j.Workers <= 0 {
		j.Workers = DefaultWorkers
	}
	if !j.To.Concurrent() {
		j.Workers = 1
	}
	if j.Now == nil {
		j.Now = time.Now
	}
	if j.Tell == nil {
		j.Tell = func(Progress) {}
	}
	j.proven = map[mail.AccountID]bool{}
}

// begin looks whether this can be done, and has the target say that rows arrive.
// finished: all was done and proven before, and only the target does not know.
func (j *Job) begin(ctx context.Context) (finished bool, err error) {
	origin, err := j.From.Origin(ctx)
	if err != nil {
		return false, err
	}
	own, err := j.To.Origin(ctx)
	if err != nil {
		return false, err
	}
	if own == origin {
		return false, mail.Errorf(mail.Invalid, "%s and %s are the same database", j.FromName, j.ToName)
	}
	source, err := j.From.Moving(ctx)
	if err != nil {
		return false, err
	}
	target, err := j.To.Moving(ctx)
	if err != nil {
		return false, err
	}
	arriving := target.State == sqlstore.Arriving && target.Origin == origin
	switch {
	case source.State == sqlstore.Arriving:
		return false, mail.Errorf(mail.Invalid, "%s is half filled itself, from %s: finish that first", j.FromName, source.Peer)
	case source.State == sqlstore.Gone && source.Origin == own && arriving:
		return true, nil
	case source.State == sqlstore.Gone:
		return false, mail.Errorf(mail.Invalid, "the accounts of %s have moved to %s: move them from there", j.FromName, source.Peer)
	case arriving:
		return false, nil
	case target.State == sqlstore.Arriving:
		return false, mail.Errorf(mail.Invalid, "%s is half filled from %s: go on with that, or begin with an empty one", j.ToName, target.Peer)
	case target.State == sqlstore.Gone && target.Origin != origin:
		return false, mail.Errorf(mail.Exists, "the accounts of %s have moved to %s, and this is not it: begin with an empty database", j.ToName, target.Peer)
	case target.State == "":
		there, err := j.To.Accounts(ctx, 0, 1)
		if err != nil {
			return false, err
		}
		if len(there) > 0 {
			return false, mail.Errorf(mail.Exists, "%s has accounts already: nothing is moved on top of them", j.ToName)
		}
	}
	return false, j.To.Begin(ctx, origin, j.FromName, j.Now().UnixMicro())
}

// online makes passes while the source is in use, until little is left.
func (j *Job) online(ctx context.Context) error {
	if j.Freeze == nil {
		return nil
	}
	for n := 1; n <= maxPasses; n++ {
		began := time.Now()
		accounts, err := j.pass(ctx, false)
		if err != nil || accounts == 0 || n > 1 && time.Since(began) < shortPass {
			return err
		}
	}
	return nil
}

// last is the pass with nobody writing, and what makes it last.
func (j *Job) last(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, frozenTime)
	defer cancel()
	began := time.Now()
	var frozen Frozen = atRest{j.From, j.Now}
	if j.Freeze != nil {
		if frozen, err = j.Freeze(ctx); err != nil {
			return err
		}
	}
	defer func() { err = errors.Join(err, frozen.Thaw()) }()
	if _, err := j.pass(ctx, true); err != nil {
		return err
	}
	if err := j.prove(ctx); err != nil {
		return err
	}
	if err := j.To.Settle(ctx); err != nil {
		return err
	}
	own, err := j.To.Origin(ctx)
	if err != nil {
		return err
	}
	if err := frozen.Moved(ctx, sqlstore.Moving{State: sqlstore.Gone, Origin: own, Peer: j.ToName}); err != nil {
		return err
	}
	j.report.Frozen = time.Since(began)
	return j.open(ctx)
}

// open has the target be served.
func (j *Job) open(ctx context.Context) error { return j.To.SetMoving(ctx, sqlstore.Moving{}, 0) }

// atRest is a source that nobody has open.
type atRest struct {
	from *sqlstore.Side
	now  func() time.Time
}

func (a atRest) Moved(ctx context.Context, m sqlstore.Moving) error {
	return a.from.SetMoving(ctx, m, a.now().UnixMicro())
}

func (a atRest) Thaw() error { return nil }

// pass brings over what changed since the last, and returns of how many accounts.
func (j *Job) pass(ctx context.Context, frozen bool) (accounts int, err error) {
	j.report.Passes++
	changed, gone, err := sqlstore.Changed(ctx, j.From, j.To)
	if err != nil {
		return 0, err
	}
	weights, err := j.From.Weights(ctx)
	if err != nil {
		return 0, err
	}
	changed = append(changed, j.unproven(weights, frozen)...)
	slices.Sort(changed)
	changed = slices.Compact(changed)
	j.report.Accounts = len(weights)
	j.told = Progress{Pass: j.report.Passes, Frozen: frozen, Of: len(changed), Rows: j.report.Carried.Written, Bytes: j.report.Carried.Bytes}
	for _, id := range changed {
		j.told.OfMsgs += weights[id]
	}
	began := time.Now()
	err = j.each(ctx, changed, func(ctx context.Context, k *sqlstore.Carrier, id mail.AccountID) error {
		done, same, err := j.account(ctx, k, id, frozen)
		if mail.KindOf(err) == mail.NotFound { // it went meanwhile
			return nil
		}
		if err != nil {
			return err
		}
		j.tellOf(id, same, done, weights[id], time.Since(began))
		return nil
	})
	if err != nil {
		return 0, err
	}
	return len(changed), j.rest(ctx, gone)
}

// account brings one account over, and says whether it is the same then. While it is in
// use it may not be; else what a position did not tell is looked for row by row.
func (j *Job) account(ctx context.Context, k *sqlstore.Carrier, id mail.AccountID, frozen bool) (done sqlstore.Carried, same bool, err error) {
	if done, err = k.Account(ctx, id, false); err != nil {
		return done, false, err
	}
	if same, err = j.sameAccount(ctx, id); err != nil || same || !frozen {
		return done, same, err
	}
	again, err := k.Account(ctx, id, true)
	done.Add(again)
	if err == nil {
		same, err = j.sameAccount(ctx, id)
	}
	return done, same, err
}

func (j *Job) tellOf(id mail.AccountID, same bool, done sqlstore.Carried, weight int64, took time.Duration) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.proven[id] = same
	j.report.Carried.Add(done)
	j.told.Accounts++
	j.told.Messages += weight
	j.told.Rows, j.told.Bytes, j.told.Took = j.report.Carried.Written, j.report.Carried.Bytes, took
	j.Tell(j.told)
}

// rest brings over what belongs to no account, and takes away what is gone.
func (j *Job) rest(ctx context.Context, gone []mail.AccountID) error {
	k, err := sqlstore.NewCarrier(j.From, j.To)
	if err != nil {
		return err
	}
	defer k.Close()
	for _, id := range gone {
		if _, err := k.Drop(ctx, id); err != nil {
			return err
		}
	}
	done, err := k.Globals(ctx)
	j.report.Carried.Add(done)
	return err
}

// unproven are the accounts of the source that nobody compared yet, which a command
// before this one has brought over: they are compared while the source is in use. With
// nobody writing it is also those that were not the same while they changed; so what
// is done then is about what changed since the pass before.
func (j *Job) unproven(weights map[mail.AccountID]int64, frozen bool) (all []mail.AccountID) {
	for id := range weights {
		if same, compared := j.proven[id]; !compared || frozen && !same {
			all = append(all, id)
		}
	}
	return all
}

// sameAccount reads an account on both sides.
func (j *Job) sameAccount(ctx context.Context, id mail.AccountID) (bool, error) {
	a, b, err := both(ctx, j.From, j.To, id)
	return err == nil && maps.Equal(a, b), err
}

// both reads an account on both sides at once.
func both(ctx context.Context, from, to *sqlstore.Side, id mail.AccountID) (a, b sqlstore.Proof, err error) {
	var there sync.WaitGroup
	var failed error
	there.Go(func() { b, failed = to.ProveAccount(ctx, id) })
	a, err = from.ProveAccount(ctx, id)
	there.Wait()
	return a, b, errors.Join(err, failed)
}

// each runs fn for all, several at once.
func (j *Job) each(ctx context.Context, all []mail.AccountID, fn func(context.Context, *sqlstore.Carrier, mail.AccountID) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ids := make(chan mail.AccountID)
	var workers sync.WaitGroup
	for range min(j.Workers, len(all)) {
		workers.Go(func() {
			k, err := sqlstore.NewCarrier(j.From, j.To)
			if err == nil {
				for id := range ids {
					if err = fn(ctx, k, id); err != nil {
						break
					}
				}
				err = errors.Join(err, k.Close())
			}
			if err != nil {
				cancel(err)
			}
		})
	}
feed:
	for _, id := range all {
		select {
		case ids <- id:
		case <-ctx.Done():
			break feed
		}
	}
	close(ids)
	workers.Wait()
	return context.Cause(ctx)
}

// prove makes sure, with nobody writing, that all is the same on both sides.
func (j *Job) prove(ctx context.Context) error {
	for id, same := range j.proven {
		if !same {
			return fmt.Errorf("account %d is not the same on both sides after the last pass: nothing was changed at %s, which serves on; see lockstep migrate --verify", id, j.FromName)
		}
	}
	weights, err := j.From.Weights(ctx)
	if err != nil {
		return err
	}
	for id := range weights {
		if !j.proven[id] {
			return fmt.Errorf("account %d was not proven", id)
		}
		j.report.Proven++
	}
	a, err := j.From.ProveGlobals(ctx)
	if err != nil {
		return err
	}
	b, err := j.To.ProveGlobals(ctx)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(a)) {
		if a[name] != b[name] {
			return fmt.Errorf("table %s is not the same on both sides after the last pass (%d rows, and %d): nothing was changed at %s, which serves on", name, a[name].Rows, b[name].Rows, j.FromName)
		}
	}
	return nil
}
