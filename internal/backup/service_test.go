package backup_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"lockstep/internal/backup"
	"lockstep/internal/mail"
	"lockstep/internal/vfs/faulty"
)

// service makes backups of a house on disks that are mounted by name.
func (h *house) service(disks map[string]*faulty.FS) *backup.Service {
	return &backup.Service{Server: h.server, Data: h.t.TempDir(), Open: func(_ context.Context, spec string) (backup.Target, error) {
		fs := disks[spec]
		if fs == nil {
			fs = faulty.New(9) // nothing is mounted there
		}
		return backup.NewDir(fs, "/mnt/"+spec), nil
	}}
}

func (h *house) try(s *backup.Service, to string, o backup.Options) error {
	h.t.Helper()
	run, err := s.Begin(h.t.Context(), to, o)
	if err != nil {
		return err
	}
	_, err = run.Point(h.t.Context())
	return errors.Join(err, run.Close(h.t.Context()))
}

// A disk that is not mounted is no place for a new backup.
func TestABackupThatIsGoneIsNotBegunAnew(t *testing.T) {
	h := newHouse(t, 10)
	disks := map[string]*faulty.FS{"one": faulty.New(1), "two": faulty.New(2)}
	s := h.service(disks)
	for _, to := range []string{"one", "two", "one"} {
		if err := h.try(s, to, h.options()); err != nil {
			t.Fatalf("%s: %v", to, err)
		}
	}
	delete(disks, "one")
	if err := h.try(s, "one", h.options()); mail.KindOf(err) != mail.NotFound || !strings.Contains(err.Error(), "--anew") {
		t.Errorf("not mounted: %v", err)
	}
	if err := h.try(s, "two", h.options()); err != nil {
		t.Errorf("the other: %v", err)
	}
	o := h.options()
	o.Anew = true
	disks["one"] = faulty.New(3)
	if err := h.try(s, "one", o); err != nil {
		t.Errorf("asked for: %v", err)
	}
	if err := h.try(s, "one", h.options()); err != nil {
		t.Errorf("after that: %v", err)
	}
	if err := os.WriteFile(s.Data+"/"+backup.KnownFile, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := h.try(s, "two", h.options()); err != nil {
		t.Errorf("forgotten: %v", err)
	}
}

func TestOneRunToATargetAtATime(t *testing.T) {
	h := newHouse(t, 10)
	s := h.service(map[string]*faulty.FS{"one": faulty.New(1), "two": faulty.New(2)})
	run, err := s.Begin(t.Context(), "one", h.options())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Begin(t.Context(), "one", h.options()); mail.KindOf(err) != mail.Conflict {
		t.Errorf("a second: %v", err)
	}
	if err := h.try(s, "two", h.options()); err != nil {
		t.Errorf("elsewhere: %v", err)
	}
	if err := run.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.try(s, "one", h.options()); err != nil {
		t.Errorf("after the first: %v", err)
	}
}

func TestABackupInTheDataDirectoryIsRefused(t *testing.T) {
	h := newHouse(t, 10)
	s := h.service(nil)
	s.Open = func(_ context.Context, spec string) (backup.Target, error) {
		return backup.NewDir(faulty.New(1), spec), nil
	}
	for _, to := range []string{s.Data, s.Data + "/backup", s.Data + "/..", "/"} {
		if _, err := s.Target(t.Context(), to); mail.KindOf(err) != mail.Invalid {
			t.Errorf("%s: %v", to, err)
		}
	}
	if _, err := s.Target(t.Context(), s.Data+"-backup"); err != nil {
		t.Error(err)
	}
	if _, err := s.Target(t.Context(), ""); mail.KindOf(err) != mail.Invalid {
		t.Errorf("nowhere: %v", err)
	}
}
