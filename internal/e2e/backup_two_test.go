package e2e

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"lockstep/internal/backup/s3/s3test"
	"lockstep/internal/steady"
)

// promptly is how long a command may take to end when it is asked to.
const promptly = steady.Patience

// wantInterrupted interrupts a command and wants it to say so.
func wantInterrupted(t *testing.T, p *process) {
	t.Helper()
	began := time.Now()
	p.signal(syscall.SIGINT)
	if status := p.wait(); status != 130 || !strings.Contains(p.out.String(), "Interrupted. What was") {
		t.Errorf("exit status %d\n%s", status, p.out)
	}
	if took := time.Since(began); took > promptly {
		t.Errorf("it took %v to end", took)
	}
}

// Ctrl-C ends a backup and a restore promptly, they say so, also by their exit status,
// and the next run goes on.
func TestInterruptedBackupAndRestoreGoOn(t *testing.T) {
	t.Parallel()
	srv := s3test.Start(t)
	proxy := s3test.NewProxy(t, srv.Address, 1)
	s := newServer(t, toBucket(srv, proxy.Endpoint()))
	s.addAccount(alice)
	s.start()
	s.letters(0, 30, 50_000)
	want := s.photo()
	for _, running := range []bool{true, false} {
		if !running {
			s.stop()
		}
		hold := proxy.HoldAfter(10_000)
		p := begin(t, nil, "backup", "--fresh", "--config", s.config)
		hold.Wait(t)
		wantInterrupted(t, p)
		hold.Release()
		s.backup()
	}
	r := newServer(t, toBucket(srv, proxy.Endpoint()))
	restore := []string{"restore", "--key", s.keyOf(), "--config", r.config}
	hold := proxy.HoldAfter(1_000_000)
	p := begin(t, nil, restore...)
	hold.Wait(t)
	wantInterrupted(t, p)
	hold.Release()
	if out, err := runFor(long, "", restore...); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	r.wantWell(want)
	s.wantWell(want)
}

// Of two backups at once to the same place, of one server or of two, the second is
// told, and the first is not harmed.
func TestTwoBackupsAtOnce(t *testing.T) {
	t.Parallel()
	srv := s3test.Start(t)
	proxy := s3test.NewProxy(t, srv.Address, 1)
	s := newServer(t, toBucket(srv, proxy.Endpoint()))
	s.addAccount(alice)
	s.start()
	s.letters(0, 30, 50_000)
	want := s.photo()
	other := newServer(t, toBucket(srv, srv.Endpoint()))
	other.addAccount(alice)
	hold := proxy.HoldAfter(500_000)
	first := begin(t, nil, "backup", "--config", s.config)
	hold.Wait(t)
	for _, second := range []*server{s, other} {
		if out, err := runFor(promptly, "", "backup", "--config", second.config); err == nil || !strings.Contains(out, "writing to the backup") {
			t.Errorf("the second: %v\n%s", err, out)
		}
	}
	hold.Release()
	if status := first.wait(); status != 0 {
		t.Errorf("the first: %d\n%s", status, first.out)
	}
	// Nor may another server add to it once it is free.
	if out, err := runFor(promptly, "", "backup", "--config", other.config); err == nil {
		t.Errorf("a server wrote into the backup of another:\n%s", out)
	}
	s.backup()
	s.stop()
	restored(t, toBucket(srv, srv.Endpoint()), "--key", s.keyOf()).wantWell(want)
}
