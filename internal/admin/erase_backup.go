package admin

import (
	"context"
	"errors"
	"fmt"

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
	sets, err := o.beginAnew(ctx)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil && mail.KindOf(err) == mail.NotFound:
		x.reached("backup", "there is none in "+o.Backups.To+" yet", "")
	case err != nil:
		p.Pending = []string{fmt.Sprintf("the backup in %s still has what was erased, up to the newest point of today: %s. It is tried again each hour", o.Backups.To, mail.DetailOf(err))}
		o.Log.WarnContext(ctx, "erasure: backup", "erasure", x.id, "err", err)
	default:
		x.reached("backup", fmt.Sprintf("begun anew in %s; the keys of %s of points from before were destroyed", o.Backups.To, counted(sets, "set")), "the keys of no other set are there; the copies of packs that stay have no keys")
	}
	return nil
}

// beginAnew makes a point of a new set and destroys all older ones.
func (o *Ops) beginAnew(ctx context.Context) (destroyed int, err error) {
	run, err := o.Backups.Begin(ctx, "", backup.Options{Fresh: true, Existing: true, Digests: true, Doing: "an erasure"})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, run.Close(ctx)) }()
	done, err := run.Point(ctx)
	if err != nil {
		return 0, err
	}
	sets, err := run.Repo().Sets(ctx)
	for _, set := range sets {
		if err != nil || set == done.Point.Set {
			continue
		}
		if err = run.Repo().DestroySet(ctx, set); err == nil {
			destroyed++
		}
	}
	return destroyed, err
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
