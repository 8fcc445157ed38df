package admin

import (
	"context"
	"errors"
	"time"

	"lockstep/internal/backup"
	"lockstep/internal/mail"
)

// BackupOf asks for a point.
type BackupOf struct {
	To    string // the target; "" is the configured one
	Fresh bool   // begin a new set
	// NewCode makes another recovery code, and shuts those before out.
	NewCode bool
}

// BackupStep is one thing to know of a backup on its way: which it is, what to write
// down, how far it is, or what became of it.
type BackupStep struct {
	Target   string           `json:",omitempty"` // comes first
	Recovery string           `json:",omitempty"` // the recovery code of a backup that begins
	Progress *backup.Progress `json:",omitempty"`
	Result   *backup.Result   `json:",omitempty"` // comes last
}

// progressEvery is how often somebody is told how far it is.
const progressEvery = 200 * time.Millisecond

// BackupMake makes a point.
var BackupMake = Verb[BackupOf, BackupStep]{"backup/make", func(o *Ops, ctx context.Context, q BackupOf, emit func(BackupStep) error) error {
	if o.Backups == nil {
		return mail.Errorf(mail.Unimplemented, "this server makes no backups")
	}
	var last time.Time
	began := time.Now()
	run, err := o.Backups.Begin(ctx, q.To, backup.Options{
		Digests: true, Fresh: q.Fresh, NewCode: q.NewCode, Doing: "a backup by hand", Existing: o.wasBackedUp(q.To),
		Recovery: func(code string) error { return emit(BackupStep{Recovery: code}) },
		Progress: func(p backup.Progress) {
			if now := time.Now(); now.Sub(last) >= progressEvery {
				last = now
				_ = emit(BackupStep{Progress: &p}) // who asked may be gone: then ctx ends
			}
		},
	})
	if err != nil && mail.KindOf(err) == mail.NotFound && o.wasBackedUp(q.To) {
		return mail.Errorf(mail.NotFound, "%s A backup was made there %s. To begin another one there all the same: lockstep backup --to %[3]s", mail.DetailOf(err), Ago(time.Since(o.BackupJob.Status().Ended)), o.Backups.To)
	}
	if err != nil {
		return err
	}
	if err := emit(BackupStep{Target: run.Repo().Target.String()}); err != nil {
		return errors.Join(err, run.Close(ctx))
	}
	result, err := run.Point(ctx)
	if err := errors.Join(err, run.Close(ctx)); err != nil {
		return err
	}
	o.noteBackup(q.To, began, result)
	return emit(BackupStep{Result: &result})
}}

// wasBackedUp reports whether there should be a backup where nobody names a place: one
// that is gone is not mounted, as a rule, and is not begun anew without being asked.
func (o *Ops) wasBackedUp(to string) bool {
	return to == "" && o.BackupJob != nil && !o.BackupJob.Status().Began.IsZero()
}

// PruneOf asks for old points to be removed.
type PruneOf struct {
	To       string
	Keep     time.Duration // 0: as configured
	LookOnly bool
}

// BackupPrune removes old points, and what nobody needs any more.
var BackupPrune = Verb[PruneOf, backup.Pruned]{"backup/prune", func(o *Ops, ctx context.Context, q PruneOf, emit func(backup.Pruned) error) error {
	if o.Backups == nil {
		return mail.Errorf(mail.Unimplemented, "this server makes no backups")
	}
	keep := q.Keep
	if keep == 0 {
		keep = o.BackupKeep
	}
	run, err := o.Backups.Begin(ctx, q.To, backup.Options{Doing: "a prune by hand", Existing: true})
	if err != nil {
		return err
	}
	done, err := run.Prune(ctx, backup.PruneOptions{Keep: keep, Grace: backup.DefaultGrace, LookOnly: q.LookOnly})
	if err := errors.Join(err, run.Close(ctx)); err != nil {
		return err
	}
	return emit(done)
}}
