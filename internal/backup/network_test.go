package backup_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"lockstep/internal/backup"
	"lockstep/internal/backup/s3"
	"lockstep/internal/backup/s3/s3test"
	"lockstep/internal/mail"
	"lockstep/internal/steady"
	"lockstep/internal/vfs"
	"lockstep/internal/vfs/faulty"
)

// bucket is a target at the end of a network.
func bucket(t *testing.T, srv *s3test.Server, endpoint, prefix string) backup.Target {
	t.Helper()
	to, err := s3.Open(t.Context(), s3.Config{
		Bucket: s3test.Bucket, Prefix: prefix, Endpoint: endpoint, Region: s3test.Region, AccessKey: s3test.AccessKey, SecretKeyFile: srv.SecretFile,
		PartSize: 5 << 20, Attempts: 2, MaxPause: 5 * time.Millisecond, Stall: 150 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// tries is how often a run may fail in a row, in a network as bad as this one.
const tries = 300

// again runs until it succeeds. What fails says that it may be tried again.
func again(t *testing.T, what string, run func() error) (failed int) {
	t.Helper()
	for range tries {
		err := run()
		if err == nil {
			return failed
		}
		failed++
		if mail.KindOf(err) != mail.Unavailable {
			t.Fatalf("%s: %v: %v", what, mail.KindOf(err), err)
		}
	}
	t.Fatalf("%s did not succeed in %d runs", what, tries)
	return failed
}

// TestBackupAndRestoreOverANetworkThatFails lets it cut, stall, reset and refuse at any
// byte: every error is told, each point that is there comes back as it was, also one
// whose maker heard of an error, and no time has two.
func TestBackupAndRestoreOverANetworkThatFails(t *testing.T) {
	srv := s3test.Start(t)
	for seed := range steady.Seeds(t, 1) {
		overFaultyNetwork(t, srv, seed)
		if t.Failed() {
			return
		}
	}
}

func overFaultyNetwork(t *testing.T, srv *s3test.Server, seed uint64) {
	defer func() {
		if t.Failed() {
			t.Log("seed ", seed)
		}
	}()
	prefix := fmt.Sprint("seed-", seed)
	proxy := s3test.NewProxy(t, srv.Address, seed)
	through, direct := bucket(t, srv, proxy.Endpoint(), prefix), bucket(t, srv, srv.Endpoint(), prefix)
	h := newHouse(t, 2000)
	h.rng = rand.New(rand.NewPCG(seed, 7))
	for range 50 {
		h.put(h.rng.IntN(200_000))
	}
	proxy.Harm(1, 8<<20)
	states := map[int64]state{} // by the time of their commit
	backups := 0
	for range 4 {
		for range 5 {
			h.put(h.rng.IntN(100_000))
			h.change(1 + h.rng.IntN(len(h.db.pages)))
		}
		backups += again(t, "a backup", func() error {
			before := h.db.commit
			_, err := h.backup(through)
			if h.db.commit == before {
				return err
			}
			states[began.Add(time.Duration(h.db.commit)*time.Second).Unix()] = h.state()
			return err
		})
	}
	points, err := h.unlock(direct).Points(t.Context())
	if err != nil || len(points) < 4 {
		t.Fatal(len(points), err)
	}
	seen := map[int64]bool{}
	for _, p := range points {
		want, ok := states[p.Time.Unix()]
		if !ok || seen[p.Time.Unix()] {
			t.Errorf("%s was never made, or twice", p)
			continue
		}
		seen[p.Time.Unix()] = true
		fs := faulty.New(3)
		if done, err := h.unlock(direct).Restore(t.Context(), p, "/new", h.restoreOptions(fs)); err != nil || done.LostCount > 0 {
			t.Fatalf("%s: %+v, %v", p, done, err)
		}
		h.agree(fs, "/new", want)
	}
	last := points[len(points)-1]
	fs := faulty.New(4)
	restores := again(t, "a restore", func() error {
		r, err := backup.Unlock(t.Context(), through, backup.Secret{KeyFile: h.file("/data/key")})
		if err != nil {
			return err
		}
		done, err := r.Restore(t.Context(), last, "/new", h.restoreOptions(fs))
		if err == nil && done.LostCount > 0 {
			err = errors.New("something was lost")
		}
		return err
	})
	h.agree(fs, "/new", states[last.Time.Unix()])
	t.Logf("seed %d: %d backups and %d restores failed before 4 and 1 succeeded; %d points; connections: %v", seed, backups, restores, len(points), proxy.Harmed())
}

func TestOneWriterBeginsOnABucket(t *testing.T) {
	srv := s3test.Start(t)
	oneWriterBegins(t, func(round int) backup.Target { return bucket(t, srv, srv.Endpoint(), fmt.Sprint("round-", round)) })
}

func TestOneWriterBeginsInADirectory(t *testing.T) {
	oneWriterBegins(t, func(int) backup.Target { return backup.NewDir(vfs.OS{}, t.TempDir()) })
}

// oneWriterBegins wants one of those who begin at once to do so, and the others to be
// told.
func oneWriterBegins(t *testing.T, open func(round int) backup.Target) {
	for round := range 10 {
		target := open(round)
		var all sync.WaitGroup
		runs := make([]*backup.Run, 6)
		for i := range runs {
			h := newHouse(t, 10)
			h.server.Holder = fmt.Sprintf("host-%d:/data", i)
			all.Go(func() {
				run, err := backup.Begin(t.Context(), target, h.server, h.options())
				if err != nil && mail.KindOf(err) != mail.Conflict {
					t.Error(err)
				}
				runs[i] = run
			})
		}
		all.Wait()
		began := 0
		for _, run := range runs {
			if run != nil {
				began++
				if err := run.Close(t.Context()); err != nil {
					t.Error(err)
				}
			}
		}
		if began != 1 {
			t.Errorf("%d began at once", began)
		}
	}
}
