package crashtest

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"lockstep/internal/blob"
	"lockstep/internal/delivery"
	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore"
	"lockstep/internal/vfs"
)

// house is a data directory, opened as the server opens it.
type house struct {
	db       *sqlstore.DB
	blobs    *blob.Store
	delivery *delivery.Service
}

// What lies in the data directory.
const (
	keyFile      = "key"
	databaseFile = "lockstep.db"
	packDir      = "packs"
	spoolDir     = "spool"
	markFile     = "mark"
)

// sameFile is how the database's file is named: a replay makes each file anew, which
// is no copy that somebody put back.
func sameFile(string) string { return "the file" }

// packSize is small, so that packs come and go.
const packSize = 256 << 10

// logPages is small, so that the log is written back, whole or in parts, and begins
// anew.
const logPages = 60

// openHouse opens a directory. Packs go through fsys; st wraps the store that
// mail is delivered to.
func openHouse(ctx context.Context, dir string, fsys vfs.FS, now func() time.Time, st func(*sqlstore.DB) store.Store) (_ *house, err error) {
	if err := os.MkdirAll(filepath.Join(dir, spoolDir), 0o700); err != nil {
		return nil, err
	}
	h := &house{}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.close())
		}
	}()
	log := slog.New(slog.DiscardHandler)
	if h.db, err = sqlstore.Open(ctx, filepath.Join(dir, databaseFile), sqlstore.Options{Log: log, Now: now, Mark: filepath.Join(dir, markFile), Identity: sameFile, LogPages: logPages}); err != nil {
		return nil, err
	}
	packs := filepath.Join(dir, packDir)
	keys, _, err := blob.OpenKeyring(fsys, filepath.Join(dir, keyFile), packs)
	if err != nil {
		return nil, err
	}
	if h.blobs, err = blob.Open(packs, keys, h.db.Blobs(), blob.Options{FS: fsys, PackSize: packSize}); err != nil {
		return nil, err
	}
	h.delivery = &delivery.Service{
		Store: st(h.db), Directory: h.db, Queue: h.db, Blobs: h.blobs, Log: log,
		Hostname: "mx.example.test", SpoolDir: filepath.Join(dir, spoolDir),
	}
	return h, nil
}

func (h *house) close() error {
	var errs []error
	if h.blobs != nil {
		errs = append(errs, h.blobs.Close())
	}
	if h.db != nil {
		errs = append(errs, h.db.Close())
	}
	return errors.Join(errs...)
}
