package e2e

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/textproto"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// rounds is how often something is killed: some times, more in CI, and as long as a
// soak lasts.
type rounds struct {
	n, least int
	until    time.Time
}

func newRounds(t *testing.T, least, inCI int) *rounds {
	t.Helper()
	r := &rounds{least: least}
	if os.Getenv("CI") == "true" && !testing.Short() {
		r.least = inCI
	}
	if text := os.Getenv("LOCKSTEP_SOAK"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		r.until = time.Now().Add(d)
	}
	return r
}

// more tells whether there is another round.
func (r *rounds) more() bool {
	r.n++
	return r.n <= r.least || time.Now().Before(r.until)
}

// load lets people work until the server dies, or quits.
func load(t *testing.T, workers []*worker) *sync.WaitGroup {
	running := &sync.WaitGroup{}
	for i, w := range workers {
		running.Go(func() {
			work := w.act
			if i < len(workers)/2 {
				work = w.deliver
			}
			var no *refusal
			var never *textproto.Error
			if err := work(); errors.As(err, &no) || errors.As(err, &never) { // else the server died
				t.Error(err)
			}
		})
	}
	return running
}

// A backup that is killed at random moments, its command or the server that makes it,
// under load, harms nothing of the live mail; the next one goes on, and what it made
// comes back as it was.
func TestKilledBackupHarmsNothing(t *testing.T) {
	t.Parallel()
	r := newRounds(t, 3, 8)
	seed := rand.Uint64()
	t.Logf("seed %d", seed) // of the acts; the moment of death is nobody's to repeat
	rng := rand.New(rand.NewPCG(seed, 0))
	s := newServer(t, "")
	s.addAccount(alice)
	to := filepath.Join(t.TempDir(), "backup")
	l := &ledger{fates: map[string]*fate{}, uids: map[string]string{}, heads: map[string]map[string]int{}}
	mailboxes := []string{"INBOX", "Archive"}
	var workers []*worker
	for i := range 4 {
		w := &worker{s: s, l: l, name: fmt.Sprintf("W%d", i), rng: rand.New(rand.NewPCG(seed, uint64(i+1)))}
		workers = append(workers, w)
		if i >= 2 {
			mailboxes = append(mailboxes, w.name)
		}
	}
	s.start()
	c, err := s.dial(alice, password)
	if err != nil {
		t.Fatal(err)
	}
	for _, mb := range mailboxes[2:] {
		if _, err := c.do("CREATE %s", mb); err != nil {
			t.Fatal(err)
		}
	}
	c.close()
	whole, cut := 0, 0
	for r.more() {
		running := load(t, workers)
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
		l.hold(t, s, mailboxes)
		for _, w := range workers[2:] {
			w.mine = l.in(w.mine, w.name)
		}
		if t.Failed() {
			t.Fatalf("seed %d, round %d", seed, r.n)
		}
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

// in are those of the messages that are in a mailbox.
func (l *ledger) in(ids []string, mailbox string) []string {
	var there []string
	for _, id := range ids {
		if l.fates[id].in[0] == mailbox {
			there = append(there, id)
		}
	}
	return there
}

// A restore that is killed at random moments is run again and goes on, and brings
// back what was there; nobody serves half of it, and the backup is only read.
func TestKilledRestoreGoesOn(t *testing.T) {
	t.Parallel()
	r := newRounds(t, 2, 5)
	rng := rand.New(rand.NewPCG(rand.Uint64(), 0))
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
