package backup_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/internal/backup"
	"lockstep/internal/mail"
	"lockstep/internal/vfs/faulty"
)

// stuck is a target that can stand still as a file system over a network does: it does not
// even hear that nobody waits any more.
type stuck struct {
	backup.Target
	still atomic.Bool
	goOn  chan struct{}
}

func (s *stuck) Put(ctx context.Context, name string, r io.ReadSeeker, size int64) error {
	if s.still.Load() && strings.HasPrefix(name, "packs/") {
		<-s.goOn
	}
	return s.Target.Put(ctx, name, r, size)
}

// A target that stands still keeps packs from being compacted for a while, and no longer;
// what was begun is no point then, and the next is whole.
func TestATargetThatStandsStillHoldsNoPacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, 30)
		target := &stuck{Target: backup.NewDir(faulty.New(2), "/target"), goOn: make(chan struct{})}
		h.put(50_000)
		for _, row := range h.rows() {
			h.index.Lose(row.Name)
		}
		h.blobs.Close()
		h.open() // the pack is an earlier process's now
		h.put(1000)
		target.still.Store(true)
		run, err := backup.Begin(t.Context(), target, h.server, h.options())
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() {
			_, err := run.Point(context.Background())
			ended <- err
		}()
		compacted := func() int {
			c, err := h.blobs.Compact(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			return c.Packs
		}
		time.Sleep(backup.HoldPatience / 2)
		if compacted() != 0 {
			t.Fatal("nothing holds the packs: the test is not about what it says")
		}
		time.Sleep(backup.HoldPatience)
		if compacted() == 0 {
			t.Error("the packs are held yet")
		}
		target.still.Store(false)
		close(target.goOn)
		if err := <-ended; mail.KindOf(err) != mail.Unavailable || err == nil {
			t.Errorf("the point that was cut: %v", err)
		}
		done, err := run.Point(t.Context())
		if err == nil {
			err = run.Check(t.Context(), done.Point)
		}
		if err != nil {
			t.Error(err)
		}
		if points, err := run.Repo().Points(t.Context()); len(points) != 1 || err != nil {
			t.Errorf("%v, %v", points, err)
		}
		if err := run.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// Who was replaced by a standby that was promoted does not write there again, however long
// the new one rests.
func TestAPromotedServersClaimDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, 30)
		target := backup.NewDir(faulty.New(2), "/target")
		h.mustBackup(target)
		begin := func(s backup.Server, takeOver bool) error {
			o := h.options()
			o.TakeOver = takeOver
			run, err := backup.Begin(t.Context(), target, s, o)
			if err != nil {
				return err
			}
			return run.Close(t.Context())
		}
		promoted := h.server
		promoted.Holder = "other.example.test:/standby"
		if err := h.unlock(target).TakeOver(t.Context(), promoted.Holder); err != nil {
			t.Fatal(err)
		}
		for _, rest := range []time.Duration{time.Minute, time.Hour, 300 * 24 * time.Hour} {
			time.Sleep(rest)
			if err := begin(h.server, false); mail.KindOf(err) != mail.Conflict || err == nil || !strings.Contains(err.Error(), "--take-over") {
				t.Errorf("after %v the old one gets in: %v", rest, err)
			}
			if err := begin(promoted, false); err != nil { // and ends
				t.Errorf("after %v the new one: %v", rest, err)
			}
		}
		if err := begin(h.server, true); err != nil {
			t.Errorf("asked for: %v", err)
		}
		if err := begin(promoted, false); mail.KindOf(err) != mail.Conflict {
			t.Errorf("then the other: %v", err)
		}
		h.prune(target, backup.DefaultKeep)
		if !strings.Contains(fmt.Sprint(names(t, target)), "claim") {
			t.Error("prune removed the claim")
		}
	})
}

// A target that somebody filled with names does not fill our memory.
func TestListsOfATargetAreBounded(t *testing.T) {
	target := backup.NewDir(faulty.New(2), "/target")
	for i := range 11 {
		if err := target.Put(t.Context(), fmt.Sprintf("sets/x/%d", i), strings.NewReader("x"), 1); err != nil {
			t.Fatal(err)
		}
	}
	for most, want := range map[int]bool{11: false, 10: true} {
		n := 0
		err := backup.EachUpTo(t.Context(), target, "sets/", most, func(backup.Object) error { n++; return nil })
		if (err != nil) != want || err != nil && mail.KindOf(err) != mail.Limit || n != most {
			t.Errorf("up to %d: %d, %v", most, n, err)
		}
	}
}
