package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/textproto"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lockstep/internal/backup"
	"lockstep/internal/steady"
)

// followedBy is the part of a configuration that ships everything to a backup.
func followedBy(t *testing.T, to string) string {
	t.Helper()
	_, recipient, err := backup.NewRecovery()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("[backup]\nto = %q\nfollow = true\nrecipient = %q\n", to, recipient)
}

// deliveries are messages that were acknowledged, and when.
type deliveries struct {
	mu sync.Mutex
	at map[string]time.Time
}

// deliver delivers mail until the server dies.
func (d *deliveries) deliver(s *server, who string) {
	for i := 0; ; i++ {
		id := fmt.Sprintf("%s-%d@load.example", who, i)
		err := s.tryLMTP(alice, fmt.Sprintf("Subject: %s\r\nMessage-ID: <%s>\r\n\r\nText.\r\n", id, id))
		var never *textproto.Error
		if errors.As(err, &never) {
			s.t.Error(err)
		}
		if err != nil {
			return
		}
		d.mu.Lock()
		d.at[id] = time.Now()
		d.mu.Unlock()
	}
}

// meanings are the messages that devices saw, by mailbox, UIDVALIDITY and UID.
type meanings map[string]string

// see notes what a device sees now, and wants no number to mean another message than
// before.
func (m meanings) see(s *server, mailbox string) (ids map[string]bool) {
	s.t.Helper()
	c, err := s.dial(alice, password)
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.close()
	all, numbers, err := c.list(mailbox)
	if err != nil {
		s.t.Fatal(err)
	}
	ids = map[string]bool{}
	for _, msg := range all {
		key := fmt.Sprintf("%s %d %s", mailbox, numbers["UIDVALIDITY"], msg.uid)
		if before, known := m[key]; known && before != msg.id {
			s.t.Errorf("%s was %s and is %s", key, before, msg.id)
		}
		if ids[msg.id] {
			s.t.Errorf("%s is there twice", msg.id)
		}
		m[key], ids[msg.id] = msg.id, true
	}
	return ids
}

// A server that is followed is killed under load, and its standby, which is killed now
// and then, takes its place: what was lost are seconds, and no number means two messages.
func TestAStandbyTakesTheServersPlace(t *testing.T) {
	t.Parallel()
	to := filepath.Join(t.TempDir(), "backup")
	s := newServer(t, followedBy(t, to))
	s.addAccount(alice)
	s.start()
	s.letters(0, 30, 20_000)
	key := s.keyOf()
	s2 := newServer(t, followedBy(t, to))
	standby := []string{"standby", "--from", to, "--key", key, "--every", "200ms", "--config", s2.config}
	first := "" // the backup begins with the server
	if !eventually(func() bool {
		var err error
		first, err = lockstep("", append(standby, "--once")...)
		return err == nil
	}) {
		t.Fatalf("standby: %s\n%s", first, s.log)
	}
	if out, err := lockstep("", "serve", "--config", s2.config); err == nil || !strings.Contains(out, "is a standby") {
		t.Fatalf("a standby is served: %v\n%s", err, out)
	}

	d := &deliveries{at: map[string]time.Time{}}
	var load sync.WaitGroup
	for i := range 3 {
		load.Go(func() { d.deliver(s, fmt.Sprint("w", i)) })
	}
	seen := meanings{}
	rng := rand.New(rand.NewPCG(steady.Seed(t), 1))
	for range 6 {
		p := begin(t, nil, standby...)
		time.Sleep(time.Duration(100+rng.IntN(900)) * time.Millisecond) // the moment of death is the point
		_ = p.cmd.Process.Kill()
		p.wait()
		seen.see(s, "INBOX")
	}
	p := begin(t, nil, standby...)
	time.Sleep(2 * time.Second)
	before := time.Now()
	s.kill()
	died := time.Now()
	load.Wait()
	_ = p.cmd.Process.Kill()
	p.wait()

	if out, err := lockstep("", "promote", "--config", s2.config); err == nil || !strings.Contains(out, "seems to run") {
		t.Errorf("promoted beside a server that wrote just now: %v\n%s", err, out)
	}
	out := s2.lockstep("", "promote", "--force")
	if !strings.Contains(out, "Promoted, as of") {
		t.Errorf("promote says\n%s", out)
	}
	if out, err := lockstep("", append(standby, "--once")...); err == nil {
		t.Errorf("a server becomes a standby:\n%s", out)
	}
	s2.start()
	there := seen.see(s2, "INBOX")
	lost, oldest := 0, died
	for id, at := range d.at {
		if !there[id] {
			lost++
			if at.Before(oldest) {
				oldest = at
			}
		}
	}
	if loss := died.Sub(oldest); before.Sub(oldest) > time.Minute {
		t.Errorf("what was acknowledged %v before the end is lost, with %d messages of %d", loss, lost, len(d.at))
	} else {
		t.Logf("%d messages, of these %d of the last %v are lost", len(d.at), lost, loss.Round(time.Millisecond))
	}
	// It goes on: with numbers that nobody has seen, and into the same backup.
	s2.letters(100, 20, 1000)
	seen.see(s2, "INBOX")
	if !eventually(func() bool {
		return s2.metric("backup_lag_commits", "") == 0 && s2.metric("backup_points_total", "") > 0
	}) {
		t.Errorf("the new server does not ship:\n%s", s2.log)
	}
	s2.stop()
	if out, err := runFor(long, "", "doctor", "--config", s2.config); err != nil || !strings.Contains(out, "All is well.") {
		t.Errorf("doctor: %v\n%s", err, out)
	}
	// The old one comes back, and may not write there.
	s.start()
	s.lmtp(alice, "Subject: to the old server\r\n\r\n")
	if !eventually(func() bool { return s.metric("backup_failed_total", "") > 0 || s.metric("backup_lag_commits", "") == 0 }) {
		t.Error("the old server does neither ship nor fail")
	}
	s.stop()
}

// What is committed is in the backup when the server has stopped, and a backup by hand is
// a point of the one that follows.
func TestAFollowedServerShipsItsLastChange(t *testing.T) {
	t.Parallel()
	to := filepath.Join(t.TempDir(), "backup")
	s := newServer(t, followedBy(t, to))
	s.addAccount(alice)
	s.start()
	s.letters(0, 5, 1000)
	s.lockstep("", "backup")
	want := s.photo()
	s.wantRestored(to, want)
	s.letters(5, 1, 1000)
	want = s.photo()
	s.stop()
	s.wantRestored(to, want)
}

func (s *server) wantRestored(from string, want []string) {
	s.t.Helper()
	back := restored(s.t, "", "--from", from, "--key", s.keyOf())
	back.start()
	wantPhoto(s.t, back.photo(), want)
	back.stop()
}

// By hand a server is followed for as long as the command runs.
func TestAServerIsFollowedByHand(t *testing.T) {
	t.Parallel()
	to := filepath.Join(t.TempDir(), "backup")
	s := newServer(t, "")
	s.addAccount(alice)
	if out, err := lockstep("", "backup", "--to", to, "--follow", "--config", s.config); err == nil || !strings.Contains(out, "no server runs here") {
		t.Errorf("follows a server that is not there: %v\n%s", err, out)
	}
	s.start()
	p := begin(t, nil, "backup", "--to", to, "--follow", "--config", s.config)
	if !eventually(func() bool { return recoveryCode.MatchString(p.out.String()) }) {
		t.Fatalf("no recovery code is shown:\n%s", p.out)
	}
	s.letters(0, 3, 1000)
	s.lockstep("", "backup", "--to", to)
	want := s.photo()
	p.signal(syscall.SIGINT)
	p.wait()
	if strings.Contains(s.log.String(), "AGE-SECRET-KEY") {
		t.Error("the recovery code is in the log")
	}
	s.wantRestored(to, want)
	s.stop()
}
