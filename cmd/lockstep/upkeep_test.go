package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lockstep/internal/admin"
	"lockstep/internal/backup"
	"lockstep/internal/mail"
	"lockstep/internal/upkeep"
)

// backedUpHouse is a house with an account whose backups need no recovery code to be
// shown.
func backedUpHouse(t *testing.T) *house {
	t.Helper()
	cfg := testConfig(t)
	_, recipient, err := backup.NewRecovery()
	if err != nil {
		t.Fatal(err)
	}
	cfg.Backup.To, cfg.Backup.Recipient = filepath.Join(t.TempDir(), "backup"), recipient
	h := openTestHouse(t, cfg)
	c := admin.Here(h.ops, func() error { return nil })
	t.Cleanup(func() { c.Close() })
	if _, err := admin.AccountAdd.One(t.Context(), c, admin.NewAccount{Login: "alice@example.test", Password: "a good password"}); err != nil {
		t.Fatal(err)
	}
	return h
}

func TestTheClockBacksUpAndDrills(t *testing.T) {
	h := backedUpHouse(t)
	if err := h.drillJob.Now(t.Context()); !errors.Is(err, upkeep.ErrNotYet) || h.drillJob.Status().Times != 0 {
		t.Errorf("a drill of nothing: %v", err)
	}
	for range 2 {
		if err := h.backupJob.Now(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.drillJob.Now(t.Context()); err != nil {
		t.Fatal(err)
	}
	if st := h.drillJob.Status(); st.Times != 0 || !strings.Contains(st.Said, "1 account and 0 messages of the point of") {
		t.Errorf("%+v", st)
	}
	if st := h.backupJob.Status(); !strings.Contains(st.Said, "bytes in") || strings.Contains(st.Said, "damaged") {
		t.Errorf("%+v", st)
	}
}

// What is not mounted is no place for a new backup.
func TestTheClockBeginsNoOtherBackup(t *testing.T) {
	h := backedUpHouse(t)
	if err := h.backupJob.Now(t.Context()); err != nil {
		t.Fatal(err)
	}
	to := h.cfg.Backup.To
	if err := os.Rename(to, to+"-elsewhere"); err != nil {
		t.Fatal(err)
	}
	err := h.backupJob.Now(t.Context())
	if mail.KindOf(err) != mail.Unavailable || !strings.Contains(err.Error(), "is everything mounted?") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(filepath.Join(to, "lockstep-backup")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("another backup was begun: %v", err)
	}
	c := admin.Here(h.ops, func() error { return nil })
	defer c.Close()
	if _, err := admin.BackupMake.All(t.Context(), c, admin.BackupOf{}); mail.KindOf(err) != mail.NotFound || !strings.Contains(err.Error(), "lockstep backup --anew") {
		t.Errorf("by hand: %v", err)
	}
	if st := h.backupJob.Status(); st.Times != 1 || st.Began.IsZero() {
		t.Errorf("%+v", st)
	}
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(to+"-elsewhere", to); err != nil {
		t.Fatal(err)
	}
	if err := h.backupJob.Now(t.Context()); err != nil || h.backupJob.Status().Times != 0 {
		t.Errorf("mounted again: %v", err)
	}
}

func TestADrillHasADirectoryOfItsOwn(t *testing.T) {
	h := backedUpHouse(t)
	shared := t.TempDir()
	other := filepath.Join(shared, "of somebody else")
	if err := os.WriteFile(other, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.cfg.Backup.Scratch = shared
	h.ops.Drill = h.drillOptions()
	if err := h.backupJob.Now(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.drillJob.Now(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(other); err != nil {
		t.Error(err)
	}
	if dir := h.scratch(); filepath.Dir(dir) != shared || dir == shared {
		t.Errorf("it is %s", dir)
	}
}

func TestWithoutABackupNothingRunsByTheClock(t *testing.T) {
	h := openTestHouse(t, testConfig(t))
	if h.backupJob.Every != 0 || h.drillJob.Every != 0 || h.scrub.Spare != nil {
		t.Errorf("%v, %v", h.backupJob.Every, h.drillJob.Every)
	}
}
