package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"lockstep/internal/backup"
	"lockstep/internal/mail"
)

// backups begins the configured backup anew and destroys the keys of what was before.
// What can't be reached now is written down, and tried again.
func (x *erasing) backups(ctx context.Context) error {
	o, p := x.o, &x.task.Proof
	p.Pending = nil
	if o.Backups == nil || o.Backups.To == "" {
		x.reached("backup", "none is configured", "")
		return nil
	}
	there, sets, err := x.beginAnew(ctx)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		p.Pending = []string{fmt.Sprintf("the backup in %s still has what was erased, up to the newest point of today: %s. It is tried again each hour", o.Backups.To, mail.DetailOf(err))}
		o.Log.WarnContext(ctx, "erasure: backup", "erasure", x.id, "err", err)
	case !there:
		x.reached("backup", "there is none in "+o.Backups.To+" yet", "")
	default:
		x.reached("backup", fmt.Sprintf("begun anew in %s; the keys of %s of points from before were destroyed", o.Backups.To, counted(sets, "set")), "the keys of no other set are there; the copies of packs that stay have no keys")
	}
	return nil
}

// beginAnew makes a point of a new set, looks whether it is whole, and destroys all older
// ones. Where that could not be ended it goes on with the set that is there: a bucket that
// keeps what is removed would get everything again each hour.
func (x *erasing) beginAnew(ctx context.Context) (there bool, destroyed int, err error) {
	run, err := x.o.Backups.Begin(ctx, "", backup.Options{Fresh: x.task.Anew == "" && x.task.Begun == "", Existing: true, Digests: true, Doing: "an erasure"})
	if mail.KindOf(err) == mail.NotFound {
		return false, 0, nil
	}
	if err != nil {
		return false, 0, err
	}
	defer func() { err = errors.Join(err, run.Close(ctx)) }()
	if x.task.Anew == "" {
		if err := x.pointAnew(ctx, run); err != nil {
			return true, 0, err
		}
	}
	destroyed, err = x.destroyOlder(ctx, run.Repo())
	return true, destroyed, err
}

// pointAnew makes a whole point of a set that was begun after the rows had gone. Which
// that is is remembered first: where the point fails, the next try goes on with it.
func (x *erasing) pointAnew(ctx context.Context, run *backup.Run) error {
	if run.Set() < x.task.Begun { // sets are named in the order of their beginning
		x.task.Begun = ""
		return mail.Errorf(mail.Unavailable, "what was begun anew there is gone")
	}
	x.task.Begun = run.Set()
	if err := x.remember(ctx, *x.task); err != nil {
		return err
	}
	done, err := run.Point(ctx)
	if err == nil {
		err = run.Check(ctx, done.Point)
	}
	if mail.KindOf(err) == mail.Corrupt && err != nil { // in that set it may stay so
		x.task.Begun = ""
	}
	if err != nil {
		return err
	}
	x.task.Anew = done.Point.Set
	return nil
}

// destroyOlder destroys the sets from before the backup was begun anew.
func (x *erasing) destroyOlder(ctx context.Context, repo *backup.Repo) (destroyed int, err error) {
	sets, err := repo.Sets(ctx)
	if err != nil {
		return 0, err
	}
	if !slices.Contains(sets, x.task.Anew) {
		x.task.Anew, x.task.Begun = "", ""
		return 0, mail.Errorf(mail.Unavailable, "what was begun anew there is gone")
	}
	for _, set := range sets {
		if set >= x.task.Anew {
			continue
		}
		if err := repo.DestroySet(ctx, set); err != nil {
			return destroyed, err
		}
		destroyed++
	}
	return destroyed, nil
}

// erasures says what is still being erased.
func (x *examination) erasures(ctx context.Context) error {
	if x.o.Erasures == nil {
		return nil
	}
	all, err := x.o.Erasures.Erasures(ctx, true)
	if err != nil {
		return err
	}
	for _, e := range all {
		if !e.Open {
			continue
		}
		why := "it was cut short"
		if p, _, err := openProof(x.o.ProofKey, e.Proof); err == nil && len(p.Pending) > 0 {
			why = p.Pending[0]
		}
		if err := x.found("", false, "erasure %d is not finished: %s. lockstep erase resume goes on with it", e.ID, why); err != nil {
			return err
		}
	}
	return nil
}
