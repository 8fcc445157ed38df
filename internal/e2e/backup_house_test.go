package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// long is for commands that copy everything, on a machine that is busy.
const long = 2 * time.Minute

// photo is what a client sees of all mail: where, under which UID, with which flags,
// and each byte of it.
func (s *server) photo() []string {
	s.t.Helper()
	c, err := s.dial(alice, password)
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.close()
	return s.photoBy(c)
}

// photoBy is the photo by somebody who has signed in.
func (s *server) photoBy(c *client) []string {
	s.t.Helper()
	said, err := c.do(`LIST "" "*"`)
	if err != nil {
		s.t.Fatal(err)
	}
	var all []string
	for _, l := range said {
		if m := listedName.FindStringSubmatch(l); m != nil && !strings.Contains(l, `\Noselect`) {
			all = append(all, s.photoOf(c, m[1])...)
		}
	}
	return all
}

var (
	listedName = regexp.MustCompile(`^\* LIST .* "?([^" ]+)"?\r\n$`)
	bodyItem   = regexp.MustCompile(`(?s)BODY\[\] \{\d+\}\r\n(.*)\)\r\n$`)
)

func (s *server) photoOf(c *client, mailbox string) []string {
	s.t.Helper()
	said, err := c.do("EXAMINE %q", mailbox)
	if err != nil {
		s.t.Fatal(err)
	}
	validity := ""
	for _, m := range status.FindAllStringSubmatch(strings.Join(said, ""), -1) {
		if m[1] == "UIDVALIDITY" {
			validity = m[2]
		}
	}
	said, err = c.do("UID FETCH 1:* (UID FLAGS BODY.PEEK[])")
	if err != nil {
		s.t.Fatal(err)
	}
	var all []string
	for _, l := range said {
		uid, flags, body := uidItem.FindStringSubmatch(l), flagItem.FindStringSubmatch(l), bodyItem.FindStringSubmatch(l)
		if uid == nil || flags == nil || body == nil {
			continue
		}
		all = append(all, fmt.Sprintf("%s %s/%s (%s) %x", mailbox, validity, uid[1], sortedFlags(strings.ReplaceAll(flags[1], `\Recent`, "")), sha256.Sum256([]byte(body[1]))))
	}
	return all
}

// wantPhoto compares two photos.
func wantPhoto(t *testing.T, got, want []string) {
	t.Helper()
	if len(want) == 0 {
		t.Fatal("there is no mail to compare")
	}
	if slices.Equal(got, want) {
		return
	}
	for _, l := range want {
		if !slices.Contains(got, l) {
			t.Fatalf("%d messages, want %d; %s is not among them", len(got), len(want), l)
		}
	}
	t.Fatalf("%d messages, want %d", len(got), len(want))
}

// letters delivers some mail.
func (s *server) letters(from, n, size int) {
	s.t.Helper()
	for i := from; i < from+n; i++ {
		s.lmtp(alice, fmt.Sprintf("Subject: %d\r\nMessage-ID: <%d@backup.example>\r\n\r\n%s\r\n", i, i, noise(i, size)))
	}
}

// noise is text that does not compress to nothing.
func noise(seed, size int) string {
	var b strings.Builder
	for n := 0; b.Len() < size; n++ {
		fmt.Fprintf(&b, "%x\r\n", sha256.Sum256(fmt.Appendf(nil, "%d %d", seed, n)))
	}
	return b.String()
}

// keyOf is a copy of the server's key file, as an operator keeps it.
func (s *server) keyOf() string {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, "key"))
	if err != nil {
		s.t.Fatal(err)
	}
	path := filepath.Join(s.t.TempDir(), "key")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// backup makes a point, and wants that to succeed. A run that was killed may not have
// ended yet in the server.
func (s *server) backup(args ...string) string {
	s.t.Helper()
	var out string
	var err error
	if !eventually(func() bool {
		out, err = runFor(long, "", append(append([]string{"backup"}, args...), "--config", s.config)...)
		return err == nil || !strings.Contains(out, "is writing to the backup")
	}) || err != nil {
		s.t.Fatalf("backup: %v\n%s", err, out)
	}
	if !strings.Contains(out, "Backed up as of") {
		s.t.Fatalf("backup says:\n%s", out)
	}
	return out
}

// restored is a server on what a backup brings back; more is added to its
// configuration.
func restored(t *testing.T, more string, args ...string) *server {
	t.Helper()
	s := newServer(t, more)
	if out, err := runFor(long, "", append([]string{"restore", "--config", s.config}, args...)...); err != nil {
		t.Fatalf("restore: %v\n%s", err, out)
	}
	return s
}

// wantWell starts a server, compares what it shows, and has everything looked at.
func (s *server) wantWell(want []string) {
	s.t.Helper()
	s.start()
	wantPhoto(s.t, s.photo(), want)
	s.stop()
	if out, err := runFor(long, "", "doctor", "--config", s.config); err != nil || !strings.Contains(out, "All is well.") {
		s.t.Errorf("doctor: %v\n%s", err, out)
	}
}

// process is a command under way.
type process struct {
	t   *testing.T
	cmd *exec.Cmd
	out *syncBuffer
}

// begin starts a command of the binary.
func begin(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	p := &process{t, exec.Command(binary, args...), &syncBuffer{}}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	return p
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// wait waits for the end, and returns the exit status: -1 when it was killed.
func (p *process) wait() int {
	p.t.Helper()
	kill := time.AfterFunc(long, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	_ = p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode()
}

// killed runs a command for a time at most, and then kills it; it tells whether the
// command ended well before.
func killed(t *testing.T, after time.Duration, args ...string) (ended bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), after)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if err != nil && ctx.Err() == nil && !strings.Contains(out.String(), "is writing to the backup") {
		t.Errorf("%v: %v\n%s", args, err, out.String())
	}
	return err == nil
}

// sums are the checksums of all files below a directory.
func sums(t *testing.T, dir string) map[string][32]byte {
	t.Helper()
	all := map[string][32]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		all[path] = sha256.Sum256(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
