package backup_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep/internal/backup"
	"lockstep/internal/mail"
	"lockstep/internal/vfs/faulty"
)

// prune removes what is older than keep by the clock, with no grace.
func (h *house) prune(t backup.Target, keep time.Duration) backup.Pruned {
	h.t.Helper()
	done, err := h.tryPrune(t, backup.PruneOptions{Keep: keep, ByClock: true})
	if err != nil {
		h.t.Fatal(err)
	}
	return done
}

func (h *house) tryPrune(t backup.Target, o backup.PruneOptions) (backup.Pruned, error) {
	ctx := context.Background()
	run, err := backup.Begin(ctx, t, h.server, h.options())
	if err != nil {
		return backup.Pruned{}, err
	}
	defer run.Close(ctx)
	return run.Prune(ctx, o)
}

func names(t testing.TB, target backup.Target) (all []string) {
	t.Helper()
	err := target.List(context.Background(), "", func(o backup.Object) error {
		all = append(all, o.Name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// What stays can be restored, and nothing is left of what went.
func TestPruneLeavesWhatPointsNeed(t *testing.T) {
	h := newHouse(t, 1000)
	target := backup.NewDir(faulty.New(2), "/target")
	states := map[string]state{}
	for range 30 {
		h.put(30_000)
		for range 20 {
			h.change(1 + h.rng.IntN(len(h.db.pages)))
		}
		states[h.mustBackup(target).Point.Name()] = h.state()
		h.db.commit += 86400 // a day
	}
	h.server.Now = func() time.Time { return began.Add(30 * 86401 * time.Second) }
	before := len(names(t, target))
	if done, err := h.tryPrune(target, backup.PruneOptions{Keep: 5 * 24 * time.Hour, LookOnly: true}); err != nil || done.Objects == 0 || len(names(t, target)) != before {
		t.Fatalf("looked only: %+v, %v; %d objects of %d are left", done, err, len(names(t, target)), before)
	}
	done := h.prune(target, 5*24*time.Hour)
	if len(done.Kept) < 4 || len(done.Kept) > 6 || len(done.Kept)+len(done.Removed) != 30 {
		t.Errorf("%d kept, %d removed", len(done.Kept), len(done.Removed))
	}
	if left := names(t, target); len(left) != before-done.Objects {
		t.Errorf("%d objects of %d are left, and %d were removed", len(left), before, done.Objects)
	}
	for _, p := range done.Kept {
		fs := faulty.New(3)
		if _, err := h.unlock(target).Restore(t.Context(), p, "/new", h.restoreOptions(fs)); err != nil {
			t.Fatal(err)
		}
		h.agree(fs, "/new", states[p.Name()])
	}
	if again := h.prune(target, 5*24*time.Hour); again.Objects != 0 {
		t.Errorf("a second time it removed %d", again.Objects)
	}
	// And the next run goes on from what is left.
	if r := h.mustBackup(target); r.Sent.Pages > 2 {
		t.Errorf("after it %d pages were sent", r.Sent.Pages)
	}
}

// days makes a point for each of n days.
func (h *house) days(t backup.Target, n int) {
	for range n {
		h.change(1 + h.rng.IntN(len(h.db.pages)))
		h.mustBackup(t)
		h.db.commit += 86400
	}
}

// A clock that jumps ahead, in a process or between two, removes nothing that would not
// have gone without; it is said, and who knows better can say so.
func TestAClockThatJumpsAheadRemovesNothing(t *testing.T) {
	day := 24 * time.Hour
	for what, jump := range map[string]struct {
		days uint64
		sure bool
	}{"years, at a start": {400, false}, "years, seen by the process": {400, true}, "some days, seen by the process": {5, true}} {
		t.Run(what, func(t *testing.T) {
			h := newHouse(t, 300)
			target := backup.NewDir(faulty.New(2), "/target")
			steady := time.Duration(0)
			if jump.sure {
				h.server.Clock = backup.Clock{Process: "one", Steady: func() time.Duration { return steady }}
			}
			for range 5 {
				h.days(target, 1)
				steady += day
			}
			h.db.commit += jump.days * 86400
			h.server.Now = func() time.Time { return began.Add(time.Duration(5+jump.days)*day + time.Hour) }
			h.mustBackup(target)
			steady += time.Hour
			before := len(names(t, target))
			o := backup.PruneOptions{Keep: 6 * day, Unasked: true}
			done, err := h.tryPrune(target, o)
			if err != nil || len(done.Removed) != 0 || len(names(t, target)) != before {
				t.Errorf("%+v, %v; %d objects of %d are left", done, err, len(names(t, target)), before)
			}
			if len(done.Jumps) != 1 || done.Jumps[0].Sure != jump.sure || !done.Jumps[0].Recent || done.Jumps[0].By < time.Duration(jump.days)*day {
				t.Errorf("it is not said: %v", done.Jumps)
			}
			// What would have gone without the jump goes.
			if done, err := h.tryPrune(target, backup.PruneOptions{Keep: 3*day + time.Hour, LookOnly: true}); err != nil || len(done.Removed) == 0 || len(done.Kept) < 3 {
				t.Errorf("of too old points: %d kept, %d removed, %v", len(done.Kept), len(done.Removed), err)
			}
			if done, err := h.tryPrune(target, backup.PruneOptions{Keep: 4 * day, ByClock: true, LookOnly: true}); err != nil || len(done.Kept) != 1 || len(done.Removed) != 5 || len(done.Jumps) != 0 {
				t.Errorf("by the clock: %+v, %v", done, err)
			}
		})
	}
}

// A clock that was set ahead, and back again, is as one that never was.
func TestAClockThatComesBackIsForgotten(t *testing.T) {
	h := newHouse(t, 300)
	target := backup.NewDir(faulty.New(2), "/target")
	h.days(target, 3)
	h.db.commit += 200 * 86400
	h.mustBackup(target)
	h.db.commit -= 200*86400 - 60
	h.change(7)
	h.mustBackup(target)
	h.server.Now = func() time.Time { return began.Add(73 * time.Hour) }
	if done, err := h.tryPrune(target, backup.PruneOptions{Keep: backup.DefaultKeep, Unasked: true}); err != nil || len(done.Removed) != 0 {
		t.Errorf("%+v, %v", done, err)
	}
}

// Where all would go for its age but what was made today, nothing does by itself.
func TestNotAllThatIsOldGoesByItself(t *testing.T) {
	h := newHouse(t, 300)
	target := backup.NewDir(faulty.New(2), "/target")
	h.days(target, 5)
	h.db.commit += 400 * 86400
	h.mustBackup(target)
	h.server.Now = func() time.Time { return began.Add(405 * 86401 * time.Second) }
	before := len(names(t, target))
	o := backup.PruneOptions{Keep: backup.DefaultKeep, Unasked: true, LongGap: 1000 * 24 * time.Hour}
	if done, err := h.tryPrune(target, o); mail.KindOf(err) != mail.Conflict || len(names(t, target)) != before {
		t.Errorf("%+v, %v; %d objects of %d are left", done, err, len(names(t, target)), before)
	}
	o.Unasked = false
	if done, err := h.tryPrune(target, o); err != nil || len(done.Kept) != 1 || len(done.Removed) != 5 {
		t.Errorf("by hand: %+v, %v", done, err)
	}
}

func TestPacksThatWereCompactedGo(t *testing.T) {
	h := newHouse(t, 10)
	target := backup.NewDir(faulty.New(2), "/target")
	h.put(50_000)
	h.mustBackup(target)
	extents := func() (n int) {
		for _, name := range names(t, target) {
			if strings.HasPrefix(name, "packs/") {
				n++
			}
		}
		return n
	}
	if extents() != 1 {
		t.Fatalf("%d extents", extents())
	}
	for _, row := range h.rows() {
		h.index.Lose(row.Name)
	}
	h.blobs.Close()
	h.open() // the pack is an earlier process's now
	if c, err := h.blobs.Compact(t.Context()); err != nil || c.Packs != 1 {
		t.Fatalf("%+v, %v", c, err)
	}
	h.db.commit += 86400 * 400
	h.server.Now = func() time.Time { return began.Add(time.Duration(h.db.commit+5) * time.Second) }
	h.mustBackup(target)
	h.prune(target, 24*time.Hour)
	if extents() != 0 {
		t.Errorf("%d extents are left", extents())
	}
}

// The newest whole point stays however old it is, and one that is damaged does not
// count.
func TestTheLastGoodPointStays(t *testing.T) {
	h := newHouse(t, 100)
	target := backup.NewDir(faulty.New(2), "/target")
	good := h.mustBackup(target).Point
	h.change(5)
	h.db.commit += 100 * 86400
	bad := h.mustBackup(target)
	for _, name := range names(t, target) { // what only the second needs
		if strings.Contains(name, "/indexes/") {
			if m, err := h.unlock(target).Manifest(t.Context(), good); err != nil || !slices.Contains(m.Layers[0].Indexes, name) {
				if err := target.Delete(t.Context(), name); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	h.server.Now = func() time.Time { return began.Add(101 * 86400 * time.Second) }
	done := h.prune(target, 24*time.Hour)
	if !slices.Contains(done.Kept, good) || !slices.Equal(done.Damaged, []backup.Point{bad.Point}) {
		t.Errorf("kept %v, damaged %v", done.Kept, done.Damaged)
	}
	fs := faulty.New(3)
	if _, err := h.unlock(target).Restore(t.Context(), good, "/new", h.restoreOptions(fs)); err != nil {
		t.Error(err)
	}
}

// Points of a set whose key was destroyed go, also when that was cut.
func TestPointsWithoutAKeyGo(t *testing.T) {
	h := newHouse(t, 100)
	target := backup.NewDir(faulty.New(2), "/target")
	old := h.mustBackup(target).Point
	run, err := backup.Begin(t.Context(), target, h.server, backup.Options{Fresh: true})
	if err != nil {
		t.Fatal(err)
	}
	_, err = run.Point(t.Context())
	if err := errors.Join(err, run.Close(t.Context()), target.Delete(t.Context(), "sets/"+old.Set+"/key")); err != nil {
		t.Fatal(err)
	}
	h.server.Now = func() time.Time { return time.Now().Add(time.Minute) }
	if done := h.prune(target, backup.DefaultKeep); len(done.Removed) != 1 || len(done.Kept) != 1 || len(done.Damaged) != 0 {
		t.Errorf("%+v", done)
	}
	for _, name := range names(t, target) {
		if strings.Contains(name, old.Set) {
			t.Errorf("%s is left", name)
		}
	}
}

func TestWhatACutRunLeftHasAGrace(t *testing.T) {
	h := newHouse(t, 100)
	target := backup.NewDir(faulty.New(2), "/target")
	h.mustBackup(target)
	name := "packs/00000000ffff/000000000000-10"
	if err := target.Put(t.Context(), name, strings.NewReader(strings.Repeat("x", 48)), 48); err != nil {
		t.Fatal(err)
	}
	h.server.Now = func() time.Time { return time.Now().Add(time.Hour) }
	if done, err := h.tryPrune(target, backup.PruneOptions{Keep: backup.DefaultKeep, Grace: 2 * time.Hour}); err != nil || done.Objects != 0 {
		t.Errorf("within the grace: %+v, %v", done, err)
	}
	if done, err := h.tryPrune(target, backup.PruneOptions{Keep: backup.DefaultKeep, Grace: time.Minute}); err != nil || done.Objects != 1 {
		t.Errorf("after it: %+v, %v", done, err)
	}
}

func TestPointsThinOutWithAge(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	var points []backup.Point
	n := 0
	for at := now.Add(-500 * 24 * time.Hour); !at.After(now); at = at.Add(5 * time.Minute) {
		n++
		points = append(points, backup.Point{Set: "s", Number: n, Time: at})
	}
	kept := backup.Choose(points, agesOf(points, now), backup.DefaultKeep)
	counts := map[string]int{}
	for _, p := range kept {
		switch age := now.Sub(p.Time); {
		case age <= time.Hour:
			counts["hour"]++
		case age <= 24*time.Hour:
			counts["day"]++
		case age <= 7*24*time.Hour:
			counts["week"]++
		case age <= 30*24*time.Hour:
			counts["month"]++
		case age <= backup.DefaultKeep:
			counts["year"]++
		default:
			t.Errorf("%v is too old", p)
		}
	}
	want := "map[day:138 hour:13 month:24 week:144 year:49]"
	if got := fmt.Sprint(counts); got != want {
		t.Errorf("kept %s, want %s", got, want)
	}
	if again := backup.Choose(kept, agesOf(kept, now), backup.DefaultKeep); !slices.Equal(again, kept) {
		t.Error("choosing again leaves fewer")
	}
	if old := backup.Choose(points[:1], agesOf(points[:1], now), time.Hour); len(old) != 1 {
		t.Error("the newest went, as it was old")
	}
}

// agesOf are the ages of points by the clock.
func agesOf(points []backup.Point, now time.Time) (ages []time.Duration) {
	for _, p := range points {
		ages = append(ages, now.Sub(p.Time))
	}
	return ages
}
