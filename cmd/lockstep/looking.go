package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"lockstep/internal/admin"
	"lockstep/internal/backup"
	"lockstep/internal/blob"
	"lockstep/internal/mail"
	"lockstep/internal/store/sqlstore"
	"lockstep/internal/vfs"
)

// lookingDir is where the database of a backup lies while it is looked into. One is at
// a time: what lies there is of a process that was killed.
const (
	lookingDir  = "looking"
	lookingLock = "looking.lock"
)

// lookInto opens the database of a backup beside our own; messages come as they are
// asked for.
func (h *house) lookInto(ctx context.Context, spec string, secret backup.Secret, at time.Time, stage func(string)) (_ *admin.Looking, err error) {
	closers := closers{}
	defer func() {
		if err != nil {
			err = errors.Join(err, closers.close())
		}
	}()
	repo, err := h.openRepo(ctx, spec, secret)
	if err != nil {
		return nil, err
	}
	point, err := repo.Around(ctx, at)
	if err != nil {
		return nil, err
	}
	lock, err := vfs.OS{}.Lock(h.path(lookingLock))
	if err != nil {
		return nil, mail.Errorf(mail.Unavailable, "another backup is being looked into: wait until that has ended")
	}
	closers.add(lock.Close)
	dir := h.path(lookingDir)
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	closers.add(func() error { return os.RemoveAll(dir) })
	looking, err := repo.Look(ctx, point, vfs.OS{}, dir, func(p backup.RestoreProgress) {
		stage(fmt.Sprintf("reading the backup of %s: %s of %s", localTime(point.Time), bytesText(p.Done), bytesText(p.Total)))
	})
	if err != nil {
		return nil, err
	}
	db, err := sqlstore.Open(ctx, looking.Database, sqlstore.Options{Log: slog.New(slog.DiscardHandler), Program: version})
	if err != nil {
		return nil, err
	}
	closers.add(db.Close)
	key := filepath.Join(dir, keyFile)
	if err := os.WriteFile(key, looking.Keys, 0o600); err != nil {
		return nil, err
	}
	keys, _, err := blob.OpenKeyring(vfs.OS{}, key, looking.Packs)
	if err != nil {
		return nil, err
	}
	blobs, err := blob.Open(looking.Packs, keys, db.Blobs(), blob.Options{})
	if err != nil {
		return nil, err
	}
	closers.add(blobs.Close)
	open := func(ctx context.Context, b mail.Blob) (io.ReadCloser, error) {
		if err := fetchWhole(ctx, looking, blobs, b.Name, 0); err != nil {
			return nil, err
		}
		r, err := blobs.Open(ctx, b)
		if err != nil {
			return nil, err // and not a nil *blob.Reader
		}
		return r, nil
	}
	return &admin.Looking{Store: db, Directory: db, Open: open, Close: closers.close}, nil
}

// openRepo opens a backup; without a secret, with our own key file.
func (h *house) openRepo(ctx context.Context, spec string, secret backup.Secret) (*backup.Repo, error) {
	target, err := openTarget(ctx, h.cfg.Backup, spec)
	if err != nil {
		return nil, err
	}
	if len(secret.KeyFile) == 0 && secret.Recovery == "" {
		if secret.KeyFile, err = os.ReadFile(h.path(keyFile)); err != nil {
			return nil, err
		}
	}
	return backup.Unlock(ctx, target, secret)
}

// maxPartDepth is how deep parts of messages lie in parts; see package blob.
const maxPartDepth = 100

// fetchWhole brings a message and what it is put together from.
func fetchWhole(ctx context.Context, l *backup.Looking, blobs *blob.Store, name mail.BlobName, depth int) error {
	row, found, err := blobs.Find(ctx, name)
	if err == nil && (!found || depth > maxPartDepth) {
		err = mail.Errorf(mail.NotFound, "the backup does not have all of it")
	}
	if err == nil {
		err = l.Fetch(ctx, row)
	}
	for _, part := range row.Parts {
		if err == nil {
			err = fetchWhole(ctx, l, blobs, part, depth+1)
		}
	}
	return err
}

// closers are closed the last first.
type closers []func() error

func (c *closers) add(fn func() error) { *c = append(*c, fn) }

func (c *closers) close() (err error) {
	for len(*c) > 0 {
		last := len(*c) - 1
		err = errors.Join(err, (*c)[last]())
		*c = (*c)[:last]
	}
	return err
}
