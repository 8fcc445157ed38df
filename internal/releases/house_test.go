package releases

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"lockstep/internal/blob"
	"lockstep/internal/delivery"
	"lockstep/internal/store/sqlstore"
	"lockstep/internal/vfs"
)

// What lies in a data directory.
const (
	databaseFile = "lockstep.db"
	keyFile      = "key"
	packDir      = "packs"
	spoolDir     = "spool"
)

// house is a data directory, opened.
type house struct {
	dir      string
	db       *sqlstore.DB
	blobs    *blob.Store // nil where there are no packs: the directory is a database alone
	delivery *delivery.Service
}

// openHouse opens a directory; without now it is the clock's time.
func openHouse(t *testing.T, dir string, now func() time.Time) *house {
	t.Helper()
	h := &house{dir: dir}
	log := slog.New(slog.DiscardHandler)
	var err error
	if h.db, err = sqlstore.Open(t.Context(), filepath.Join(dir, databaseFile), sqlstore.Options{Log: log, Now: now, Program: "test"}); err != nil {
		t.Fatal(err)
	}
	packs, key := filepath.Join(dir, packDir), filepath.Join(dir, keyFile)
	_, err = os.Stat(packs)
	if now == nil && errors.Is(err, os.ErrNotExist) {
		return h
	}
	keys, _, err := blob.OpenKeyring(vfs.OS{}, key, packs)
	if err == nil {
		h.blobs, err = blob.Open(packs, keys, h.db.Blobs(), blob.Options{})
	}
	if err == nil {
		err = os.MkdirAll(filepath.Join(dir, spoolDir), 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	h.delivery = &delivery.Service{Store: h.db, Directory: h.db, Queue: h.db, Blobs: h.blobs, Log: log,
		Hostname: "mx.example.test", SpoolDir: filepath.Join(dir, spoolDir), CanSend: true, Wake: func() {}}
	return h
}

func (h *house) close(t *testing.T) {
	t.Helper()
	var err error
	if h.blobs != nil {
		err = h.blobs.Close()
	}
	if err := errors.Join(err, h.db.Close()); err != nil {
		t.Fatal(err)
	}
}
