package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"lockstep/internal/admin"
	"lockstep/internal/backup"
	"lockstep/internal/mail"
	"lockstep/internal/store/sqlstore"
	"lockstep/internal/upkeep"
	"lockstep/internal/vfs"
)

// memory is where a part of the upkeep remembers how it stands.
func (h *house) memory(name string) string { return h.path(filepath.Join(upkeepDir, name+".json")) }

// openScrub makes the pass over everything that is stored; the server runs it.
func (h *house) openScrub() {
	h.scrub = &upkeep.Scrub{
		Blobs: h.blobs, Rows: h.db, Store: h.db, Accounts: h.db.Accounts, Reindex: h.reindex, FS: vfs.OS{}, File: h.memory("scrub"),
		Rate: int64(h.cfg.Scrub.Rate), Every: time.Duration(h.cfg.Scrub.Every), Log: h.log,
	}
	if h.cfg.Backup.To != "" {
		h.scrub.Spare = h.spare
	}
	if h.isClustered() {
		h.scrub.Shared = h.db
	}
	h.scrub.Open()
}

// reindex makes the search index of an account anew; other nodes do so with theirs.
func (h *house) reindex(ctx context.Context, id mail.AccountID) error {
	if h.isClustered() {
		return h.search.Renew(ctx, id)
	}
	return h.search.Rebuild(ctx, id, func(int64) error { return nil })
}

// spare opens what the configured backup has of a damaged message or part.
func (h *house) spare(ctx context.Context, place string) (io.ReadCloser, error) {
	key, err := h.readKeyFile()
	if err != nil {
		return nil, err
	}
	target, err := h.backups.Target(ctx, "")
	if err != nil {
		return nil, err
	}
	repo, err := backup.Unlock(ctx, target, backup.Secret{KeyFile: key})
	if err != nil {
		return nil, err
	}
	r, err := repo.Record(ctx, place)
	if mail.KindOf(err) == mail.NotFound && err != nil {
		return nil, fs.ErrNotExist
	}
	return r, err
}

func (h *house) readKeyFile() ([]byte, error) { return os.ReadFile(h.path(keyFile)) }

// openJobs makes what is done by a timetable; the server runs it.
func (h *house) openJobs() {
	h.backupJob = h.job("backup", time.Duration(h.cfg.Backup.Every), h.backUp)
	h.drillJob = h.job("drill", time.Duration(h.cfg.Backup.Drill), func(ctx context.Context) (string, error) {
		said, err := h.ops.DrillOnce(ctx, admin.DrillOf{}, func(backup.DrillProgress) {}, nil)
		if mail.KindOf(err) == mail.NotFound && err != nil && h.backupJob.Status().Began.IsZero() {
			return "", upkeep.ErrNotYet // that there is no backup is told once, as that
		}
		return said, err
	})
	if err := backup.EmptyScratch(vfs.OS{}, h.scratch()); err != nil {
		h.log.Warn("what a drill left can't be removed", "dir", h.scratch(), "err", err)
	}
}

// job makes a job that needs a backup.
func (h *house) job(name string, every time.Duration, do func(context.Context) (string, error)) *upkeep.Job {
	if h.cfg.Backup.To == "" {
		every = 0
	}
	j := &upkeep.Job{Name: name, Every: every, Do: do, FS: vfs.OS{}, File: h.memory(name), Log: h.log}
	if h.isClustered() {
		j.Shared, j.Only = h.db, h.keeper.Alone
	}
	j.Open()
	return j
}

// backUp makes a point, then removes old ones. Once there was a backup none is begun
// anew by itself: the place may only not be mounted.
func (h *house) backUp(ctx context.Context) (string, error) {
	run, err := h.backups.Begin(ctx, "", backup.Options{Digests: true, Doing: "a backup by the clock", Existing: !h.backupJob.Status().Began.IsZero()})
	if err != nil {
		return "", err
	}
	result, err := run.Point(ctx)
	if err != nil {
		return "", errors.Join(err, run.Close(ctx))
	}
	said := admin.BackupText(result)
	pruned, err := run.Prune(ctx, backup.PruneOptions{Keep: time.Duration(h.cfg.Backup.Keep), Grace: backup.DefaultGrace, Unasked: true, LongGap: h.longGap()})
	h.ops.SayJumps(ctx, pruned)
	switch {
	case err != nil: // the point is there; the next one removes what this could not
		h.log.WarnContext(ctx, "backup: old points are not removed", "err", err)
	case len(pruned.Removed) > 0:
		said += fmt.Sprintf("; %d old points were removed", len(pruned.Removed))
	}
	return said, run.Close(ctx)
}

// longGap is how much time between two points counts where the clock may have been set
// ahead: it is as nothing that one backup by the clock was missed.
func (h *house) longGap() time.Duration {
	return max(backup.DefaultLongGap, 2*time.Duration(h.cfg.Backup.Every))
}

// scratch is a directory that is a drill's alone: what it finds there it removes.
func (h *house) scratch() string {
	if h.cfg.Backup.Scratch == "" {
		return h.path("drill")
	}
	data, err := filepath.Abs(h.cfg.Data)
	if err != nil {
		data = h.cfg.Data
	}
	sum := sha256.Sum256([]byte(data))
	return filepath.Join(h.cfg.Backup.Scratch, "lockstep-drill-"+hex.EncodeToString(sum[:4]))
}

func (h *house) drillOptions() backup.DrillOptions {
	return backup.DrillOptions{FS: vfs.OS{}, Dir: h.scratch(), Free: vfs.Free, Inspect: sqlstore.Inspect, Rows: sqlstore.EachBlob}
}
