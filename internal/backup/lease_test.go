package backup_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/internal/backup"
	"lockstep/internal/mail"
	"lockstep/internal/vfs/faulty"
)

// A writer that is busy with one thing for long says all the same that it is there, and
// one that is gone is known to be after a while.
func TestABusyWriterIsNotTakenForGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, 50)
		target := backup.NewDir(faulty.New(2), "/target")
		run, err := backup.Begin(t.Context(), target, h.server, h.options())
		if err != nil {
			t.Fatal(err)
		}
		silent := func() time.Duration {
			who, last, err := run.Repo().Writer(context.Background())
			if err != nil || who != h.server.Holder {
				t.Fatal(who, err)
			}
			return time.Since(last)
		}
		for range 50 { // longer than the lease holds
			time.Sleep(time.Minute)
			if d := silent(); d >= backup.WriterGone {
				t.Fatalf("silent for %v", d)
			}
		}
		other := h.server
		other.Holder = "other.example.test:/data"
		if _, err := backup.Begin(t.Context(), target, other, h.options()); mail.KindOf(err) != mail.Conflict {
			t.Errorf("another got in: %v", err)
		}
		time.Sleep(10 * time.Second) // between two of its signs: a directory can't put unless changed
		if err := run.Repo().TakeOver(t.Context(), other.Holder); err != nil {
			t.Fatal(err)
		}
		time.Sleep(backup.WriterGone)
		if who, last, err := run.Repo().Writer(t.Context()); who != other.Holder || time.Since(last) < backup.WriterGone || err != nil {
			t.Errorf("the lease that was taken over is %s's, who was there %v ago, %v", who, time.Since(last), err)
		}
		if err := run.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// Servers with the same host name and directory, as those in containers have, are told
// apart by their databases.
func TestServersOfOneNameAreToldApart(t *testing.T) {
	h := newHouse(t, 50)
	target := backup.NewDir(faulty.New(2), "/target")
	h.server.Database = "one"
	first, err := backup.Begin(t.Context(), target, h.server, h.options())
	if err != nil {
		t.Fatal(err)
	}
	other := h.server
	other.Database = "two"
	if _, err := backup.Begin(t.Context(), target, other, h.options()); mail.KindOf(err) != mail.Conflict {
		t.Errorf("another got in: %v", err)
	}
	again, err := backup.Begin(t.Context(), target, h.server, h.options()) // as after a kill
	if err != nil {
		t.Fatal(err)
	}
	for _, run := range []*backup.Run{first, again} {
		if err := run.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
