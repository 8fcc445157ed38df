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
)

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
