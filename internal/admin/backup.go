package admin

import (
	"context"
	"errors"
	"sync"
	"time"

	"lockstep/internal/backup"
	"lockstep/internal/mail"
)

// BackupOf asks for a point.
type BackupOf struct {
	To    string // the target; "" is the configured one
	Fresh bool   // begin a new set, and store the packs again
	// NewCode makes another recovery code, and shuts those before out.
	NewCode bool
	// Anew begins a backup where there was one that is gone.
	Anew bool
	// TakeOver goes on in a backup that another server was promoted to.
	TakeOver bool
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
		Digests: true, Fresh: q.Fresh, Again: q.Fresh, NewCode: q.NewCode, Anew: q.Anew, TakeOver: q.TakeOver, Doing: "a backup by hand",
		Recovery: func(code string) error { return emit(BackupStep{Recovery: code}) },
		Progress: func(p backup.Progress) {
			if now := time.Now(); now.Sub(last) >= progressEvery {
				last = now
				_ = emit(BackupStep{Progress: &p}) // who asked may be gone: then ctx ends
			}
		},
	})
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

// FollowStep is how far a server is followed, or what to write down.
type FollowStep struct {
	Recovery string `json:",omitempty"`
	Points   int64
	As       time.Time // of the newest point; zero: there is none yet
	Lag      time.Duration
	Commits  int64
	Bytes    int64
	Why      string `json:",omitempty"` // the target is not reached
}

// followStep is how often somebody is told how far it is.
const followStep = time.Second

// BackupFollow ships what changes until whoever asked hangs up.
var BackupFollow = Verb[BackupOf, FollowStep]{"backup/follow", func(o *Ops, ctx context.Context, q BackupOf, emit func(FollowStep) error) error {
	if o.Backups == nil {
		return mail.Errorf(mail.Unimplemented, "this server makes no backups")
	}
	if !o.Serving {
		return mail.Errorf(mail.Conflict, "no server runs here, so nothing changes that could be followed: start it with lockstep serve, or make one point with lockstep backup --to")
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var one sync.Mutex // tells at a time
	tell := func(s FollowStep) error {
		one.Lock()
		defer one.Unlock()
		return emit(s)
	}
	f := o.Backups.Follower(q.To, func(code string) error { return tell(FollowStep{Recovery: code}) })
	f.Prune = o.PruneFollowed
	var telling sync.WaitGroup
	defer telling.Wait()
	defer stop()
	telling.Go(func() {
		for wait := time.NewTicker(followStep); ; {
			select {
			case <-ctx.Done():
				wait.Stop()
				return
			case <-wait.C:
			}
			if tell(followed(f.Status())) != nil { // nobody listens
				stop()
			}
		}
	})
	return o.Backups.Follow(ctx, q.To, f)
}}

func followed(s backup.FollowStatus) FollowStep {
	step := FollowStep{Points: s.Points, As: s.Point.Time, Lag: s.Lag, Commits: s.Commits, Bytes: s.Sent.Bytes}
	if s.Err != nil {
		step.Why = s.Err.Error()
	}
	return step
}

// PruneFollowed removes what a target that is followed to does not need any more.
func (o *Ops) PruneFollowed(ctx context.Context, run *backup.Run) error {
	done, err := run.Prune(ctx, backup.PruneOptions{Keep: o.BackupKeep, Grace: backup.DefaultGrace, Unasked: true})
	o.SayJumps(ctx, done)
	return err
}

// SayJumps logs that a clock was set ahead lately, or may have been.
func (o *Ops) SayJumps(ctx context.Context, done backup.Pruned) {
	for _, j := range done.Jumps {
		if j.Recent {
			o.Log.WarnContext(ctx, "backup: time that does not count in how long points are kept", "why", j.String())
		}
	}
}

// PruneOf asks for old points to be removed.
type PruneOf struct {
	To       string
	Keep     time.Duration // 0: as configured
	LookOnly bool
	ByClock  bool // count also time that the clock may only have been set ahead by
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
	done, err := run.Prune(ctx, backup.PruneOptions{Keep: keep, Grace: backup.DefaultGrace, LookOnly: q.LookOnly, ByClock: q.ByClock})
	if err := errors.Join(err, run.Close(ctx)); err != nil {
		return err
	}
	return emit(done)
}}
