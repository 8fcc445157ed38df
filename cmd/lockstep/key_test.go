package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep/internal/admin"
	"lockstep/internal/backup"
	"lockstep/internal/config"
	"lockstep/internal/mail"
	"lockstep/internal/store/sqlstore"
)

// TestAKeyIsNotRetiredThatTheWayBackNeeds keeps a copy of the database from before an
// upgrade readable.
func TestAKeyIsNotRetiredThatTheWayBackNeeds(t *testing.T) {
	w := &town{t: t, cfg: testConfig(t)}
	w.open()
	defer func() { w.close() }()
	w.ann = w.account("ann@example.test")
	w.append(w.ann, letterWith("kept"))
	if _, err := w.blobs.Keys().Rotate(time.Now()); err != nil {
		t.Fatal(err)
	}
	w.close()
	w.open() // nothing is on its way in any more
	dir := filepath.Join(w.cfg.Data, sqlstore.SnapshotDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "lockstep-schema-20.db"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c := w.client()
	defer c.Close()
	_, err := admin.KeyRetire.All(t.Context(), c, admin.OfKey{Number: 1})
	if mail.KindOf(err) != mail.Conflict || !strings.Contains(err.Error(), "upgrade forget") {
		t.Errorf("beside a copy from before an upgrade: %v", err)
	}
	if keys := w.blobs.Keys().Keys(); !keys[0].Retired.IsZero() {
		t.Error("the key is retired")
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.KeyRetire.All(t.Context(), c, admin.OfKey{Number: 1}); err != nil {
		t.Errorf("without one: %v", err)
	}
}

func TestALostKeyIsRecoveredFromTheBackup(t *testing.T) {
	w := &town{t: t, cfg: testConfig(t)}
	w.cfg.Backup.To = filepath.Join(t.TempDir(), "backup")
	w.open()
	w.ann = w.account("ann@example.test")
	text := letterWith("kept")
	w.append(w.ann, text)
	if _, err := w.blobs.Keys().Rotate(time.Now()); err != nil {
		t.Fatal(err)
	}
	code := ""
	run, err := w.ops.Backups.Begin(t.Context(), "", backup.Options{Recovery: func(c string) error { code = c; return nil }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := run.Point(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := run.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := w.client()
	ring, err := admin.KeyShow.One(t.Context(), c, admin.Nothing{})
	if err != nil || len(ring.Keys) != 2 || !strings.Contains(ring.Copy, "sealed for its recovery code") || ring.Keys[0].Blobs == 0 {
		t.Errorf("%+v, %v", ring, err)
	}
	found := ""
	err = admin.Doctor.Each(t.Context(), c, admin.Examine{LookOnly: true, Fast: true}, func(f admin.Finding) error { found += f.Problem; return nil })
	if err != nil || !strings.Contains(found, "key rewrap") {
		t.Errorf("of what still needs the older key the doctor says %q, %v", found, err)
	}
	if _, err := admin.KeyRotate.All(t.Context(), c, admin.Nothing{}); err != nil {
		t.Error(err)
	}
	if ring, err = admin.KeyShow.One(t.Context(), c, admin.Nothing{}); err != nil || !strings.Contains(ring.Copy, "as it was before") || ring.Keys[0].Blobs+ring.Keys[1].Blobs != 0 {
		t.Errorf("after a rotation: %+v, %v", ring, err)
	}
	c.Close()
	point := w.point()
	w.close()

	key := filepath.Join(w.cfg.Data, keyFile)
	was, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	g := &globals{Data: w.cfg.Data}
	file := filepath.Join(t.TempDir(), "code")
	if err := os.WriteFile(file, []byte(code), 0o600); err != nil {
		t.Fatal(err)
	}
	k := &keyRecover{From: w.cfg.Backup.To, Recovery: file}
	if err := k.Run(t.Context(), g); err == nil || !strings.Contains(err.Error(), "the same") {
		t.Errorf("over the key that is there: %v", err)
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	if _, err := openHouse(t.Context(), w.cfg, newLogger(config.Log{Level: "error", Format: "text"})); err == nil || !strings.Contains(err.Error(), "key recover --from") {
		t.Errorf("without the key: %v", err)
	}
	k = &keyRecover{From: w.cfg.Backup.To, Recovery: file}
	if err := k.Run(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	if now, err := os.ReadFile(key); err != nil || string(now) != string(was) {
		t.Errorf("what was recovered as of %v is not what was lost: %v", point, err)
	}
	w.open()
	defer w.close()
	if w.exported(w.ann, 1) != text {
		t.Error("the mail can't be read")
	}
}
