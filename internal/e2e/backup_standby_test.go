package e2e

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep/internal/backup/s3/s3test"
	"lockstep/internal/steady"
)

// busy delivers mail until it is told to end; that the server dies meanwhile is no
// matter.
func busy(s *server, seed uint64) (end func()) {
	done := make(chan struct{})
	var all sync.WaitGroup
	rng := rand.New(rand.NewPCG(seed, 9))
	all.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-done:
				return
			case <-time.After(time.Duration(rng.IntN(20)) * time.Millisecond):
			}
			_ = s.tryLMTP(alice, fmt.Sprintf("Subject: busy %d\r\nMessage-ID: <%d@busy.example>\r\n\r\n%s\r\n", n, n, noise(n, rng.IntN(30_000))))
		}
	})
	return func() {
		close(done)
		all.Wait()
	}
}

// A standby, the server that it follows and the promotion are killed at random moments,
// under load. Each goes on; in the end the standby is the server, with all its mail,
// and the old one writes no more to the backup that was its.
func TestKilledStandbyGoesOn(t *testing.T) {
	t.Parallel()
	seed := steady.Seed(t)
	rng := rand.New(rand.NewPCG(seed, 0))
	to := filepath.Join(t.TempDir(), "backup")
	s := newServer(t, fmt.Sprintf("[backup]\nto = %q\nfollow = true\n", to))
	s.addAccount(alice)
	s.backup() // shows the recovery code, which nobody would see of a server
	key := s.keyOf()
	s.start()
	sb := newServer(t, "")
	standby := []string{"standby", "--from", to, "--key", key, "--config", sb.config}
	for r := newRounds(t, 2, 6); r.more(); {
		end := busy(s, seed+uint64(r.n))
		for range 4 {
			cut(time.Duration(50+rng.IntN(600))*time.Millisecond, standby...)
		}
		s.kill()
		end()
		s.start()
		if out, err := runFor(long, "", append(standby, "--once")...); err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, out)
		}
	}
	want := s.photo()
	s.stop() // ships what is left
	promote := []string{"promote", "--key", key, "--force", "--config", sb.config}
	for range 4 {
		cut(time.Duration(rng.IntN(200))*time.Millisecond, promote...)
	}
	if out, err := runFor(long, "", promote...); err != nil && !strings.Contains(out, "a server's already") {
		t.Fatalf("seed %d: %v\n%s", seed, err, out)
	}
	sb.wantWell(want)
	if out, err := runFor(long, "", "backup", "--config", s.config); err == nil {
		t.Errorf("the old server still writes to the backup:\n%s", out)
	}
	s.wantWell(want)
}

// A server whose network to the bucket is cut goes on serving, and ships what waits when
// the network is back; a standby sees all of it.
func TestFollowingOverANetworkThatIsCut(t *testing.T) {
	t.Parallel()
	srv := s3test.Start(t)
	proxy := s3test.NewProxy(t, srv.Address, steady.Seed(t))
	s := newServer(t, strings.Replace(toBucket(srv, proxy.Endpoint()), "[backup]\n", "[backup]\nfollow = true\n", 1))
	s.addAccount(alice)
	s.backup()
	s.start()
	proxy.Harm(1, 1<<20, s3test.CutRequest, s3test.CutAnswer, s3test.ResetAnswer, s3test.SlowDown, s3test.Broken)
	s.letters(0, 40, 40_000)
	proxy.Harm(0, 0)
	s.letters(40, 5, 1000)
	want := s.photo()
	s.stop()
	r := newServer(t, toBucket(srv, srv.Endpoint()))
	if out, err := runFor(long, "", "standby", "--once", "--key", s.keyOf(), "--config", r.config); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := runFor(long, "", "promote", "--force", "--config", r.config); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	r.wantWell(want)
	if proxy.Harmed()["none"] == 0 {
		t.Error("the network never was well")
	}
}
