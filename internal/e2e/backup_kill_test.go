package e2e

import (
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"lockstep/internal/steady"
)

// A backup that is killed at random moments, its command or the server that makes it,
// under load, harms nothing of the live mail; the next one goes on, and what it made
// comes back as it was.
func TestKilledBackupHarmsNothing(t *testing.T) {
	t.Parallel()
	r := newRounds(t, 3, 8)
	s := newCrowd(t, 4)
	rng := s.rng
	to := filepath.Join(t.TempDir(), "backup")
	whole, cut := 0, 0
	for r.more() {
		running := s.work()
		for range 5 {
			if killed(t, time.Duration(20+rng.IntN(400))*time.Millisecond, "backup", "--to", to, "--config", s.config) {
				whole++
			} else {
				cut++
			}
		}
		dying := begin(t, nil, "backup", "--to", to, "--config", s.config) // while the server is killed
		time.Sleep(time.Duration(rng.IntN(300)) * time.Millisecond)        // the moment is the point
		s.kill()
		running.Wait()
		dying.wait()
		s.start()
		s.wantAll(r.n)
	}
	s.backup("--to", to)
	want := s.photo()
	s.stop()
	for range 6 { // and without a server
		killed(t, time.Duration(rng.IntN(300))*time.Millisecond, "backup", "--to", to, "--config", s.config)
	}
	s.backup("--to", to)
	s.wantWell(want)
	restored(t, "", "--from", to, "--key", s.keyOf()).wantWell(want)
	t.Logf("%d commands ended, %d were killed; %d messages", whole, cut, len(want))
}

// A restore that is killed at random moments is run again and goes on, and brings
// back what was there; nobody serves half of it, and the backup is only read.
func TestKilledRestoreGoesOn(t *testing.T) {
	t.Parallel()
	r := newRounds(t, 2, 5)
	rng := rand.New(rand.NewPCG(steady.Seed(t), 0))
	s := newServer(t, "")
	s.addAccount(alice)
	s.start()
	s.letters(0, 60, 100_000)
	to := filepath.Join(t.TempDir(), "backup")
	s.backup("--to", to)
	s.letters(60, 5, 1000)
	s.backup("--to", to)
	want := s.photo()
	s.stop()
	key, before := s.keyOf(), sums(t, to)
	for r.more() {
		n := newServer(t, "")
		restore := []string{"restore", "--from", to, "--key", key, "--config", n.config}
		cut := 0
		for cut < 4 && half(n) && !killed(t, time.Duration(20+rng.IntN(250))*time.Millisecond, restore...) {
			cut++
			if out, err := lockstep("", "account", "list", "--config", n.config); err == nil && half(n) {
				t.Fatalf("half a restore was served:\n%s", out)
			}
		}
		if half(n) {
			if out, err := runFor(long, "", restore...); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		}
		t.Logf("killed %d times", cut)
		n.wantWell(want)
	}
	if !maps.Equal(before, sums(t, to)) {
		t.Error("the backup is not as it was")
	}
}

// half tells whether a restore into the server's directory has not ended.
func half(s *server) bool {
	_, marked := os.Stat(filepath.Join(s.dir, "restoring"))
	_, there := os.Stat(filepath.Join(s.dir, "lockstep.db"))
	return marked == nil || there != nil
}
