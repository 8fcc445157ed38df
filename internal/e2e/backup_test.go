package e2e

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"lockstep/internal/backup"
	"lockstep/internal/store/sqlstore"
	"lockstep/internal/vfs"
)

// exported is what an account's mail is to `lockstep export`: each file's name without
// what the export adds, and its bytes.
func exported(t *testing.T, args ...string) map[string][32]byte {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "export")
	if out, err := lockstep("", append([]string{"export", alice, dir, "--format", "mbox"}, args...)...); err != nil {
		t.Fatalf("export: %v\n%s", err, out)
	}
	files := map[string][32]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		files[strings.TrimPrefix(path, dir)] = sha256.Sum256(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// fillByEachWay brings mail in by each way there is.
func (s *server) fillByEachWay(from, to int) {
	s.t.Helper()
	c, err := s.dial(alice, password)
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.close()
	var mbox strings.Builder
	for i := from; i < to; i++ {
		text := fmt.Sprintf("From: bob@example.test\r\nTo: %s\r\nSubject: message %d\r\nMessage-ID: <%d@example.test>\r\n\r\nText %d.\r\n", alice, i, i, i)
		switch i % 4 {
		case 0:
			s.lmtp(alice, text)
		case 1:
			if _, err := c.append("INBOX", text); err != nil {
				s.t.Fatal(err)
			}
		case 2:
			s.lmtp(alice, fmt.Sprintf("Subject: file %d\r\nMIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n", i)+attachment(i/8))
		default:
			mbox.WriteString("From bob Thu Jan  1 00:00:00 2026\n" + strings.ReplaceAll(text, "\r\n", "\n") + "\n")
		}
	}
	file := filepath.Join(s.t.TempDir(), "some.mbox")
	if err := os.WriteFile(file, []byte(mbox.String()), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.lockstep("", "import", alice, file, "--into", "Old")
}

// A backup of a server at work, with mail by every way, brings back the same accounts,
// row by row, and the same mail, byte by byte; with the recovery code alone.
func TestBackupAndRestore(t *testing.T) {
	s := newServer(t, "")
	s.addAccount(alice)
	s.start()
	s.fillByEachWay(0, 60)
	to := filepath.Join(t.TempDir(), "backup")
	busy, quiet := make(chan struct{}), make(chan struct{})
	go func() { // mail goes on coming in
		defer close(quiet)
		for i := 1000; ; i++ {
			select {
			case <-busy:
				return
			default:
				_ = s.tryLMTP(alice, fmt.Sprintf("Subject: meanwhile %d\r\n\r\nText.\r\n", i))
			}
		}
	}()
	first := s.lockstep("", "backup", "--to", to)
	code := recoveryCode.FindString(first)
	if code == "" || !strings.Contains(first, "Backed up as of") {
		t.Fatalf("the first backup says\n%s", first)
	}
	if second := s.lockstep("", "backup", "--to", to); recoveryCode.MatchString(second) {
		t.Errorf("the code is shown again:\n%s", second)
	}
	close(busy)
	<-quiet
	if strings.Contains(s.log.String(), code) {
		t.Error("the recovery code is in the log")
	}
	s.fillByEachWay(60, 80)
	s.lockstep("", "backup", "--to", to)
	live := exported(t, "--config", s.config)
	if list := s.lockstep("", "backup", "list", "--from", to); strings.Count(list, "\n") != 4 {
		t.Errorf("three points are listed as\n%s", list)
	}

	secret := filepath.Join(t.TempDir(), "code")
	if err := os.WriteFile(secret, []byte(code+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(t.TempDir(), "new")
	out := s.lockstep("", "restore", "--from", to, "--data", data, "--recovery", secret)
	if !strings.Contains(out, "Restored everything as of") {
		t.Errorf("the restore says\n%s", out)
	}
	sameDigests(t, to, code, filepath.Join(data, "lockstep.db"))
	if out, err := lockstep("", "doctor", "--config", s.config, "--data", data); err != nil || !strings.Contains(out, "All is well.") {
		t.Errorf("doctor: %v\n%s", err, out)
	}
	if restored := exported(t, "--config", s.config, "--data", data); !reflect.DeepEqual(restored, live) || len(live) < 2 {
		t.Errorf("%d files of mail came back, and there were %d", len(restored), len(live))
	}
	if out, err := lockstep("", "restore", "--config", s.config, "--from", to, "--data", data, "--recovery", secret); err == nil || !strings.Contains(out, "holds a Lockstep already") {
		t.Errorf("restored over a server: %v\n%s", err, out)
	}
	s.stop()
}

// sameDigests compares the accounts of a database with what the newest point recorded.
func sameDigests(t *testing.T, target, code, database string) {
	t.Helper()
	ctx := context.Background()
	r, err := backup.Unlock(ctx, backup.NewDir(vfs.OS{}, target), backup.Secret{Recovery: code})
	if err != nil {
		t.Fatal(err)
	}
	point, err := r.Newest(ctx, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	want, err := r.Digests(ctx, point)
	if err != nil {
		t.Fatal(err)
	}
	got, err := sqlstore.Inspect(ctx, database)
	if err != nil || len(got) != 1 || !reflect.DeepEqual(got, want) {
		t.Errorf("the accounts are %+v, and were %+v: %v", got, want, err)
	}
}

// Nobody serves half a restore, and what an operator may get wrong is explained.
func TestMistakesWithBackupsAreExplained(t *testing.T) {
	s := newServer(t, "")
	s.addAccount(alice)
	place := t.TempDir()
	to, empty, notes := filepath.Join(place, "backup"), filepath.Join(place, "empty"), filepath.Join(place, "notes")
	s.lockstep("", "backup", "--to", to)
	other := newServer(t, "")
	other.addAccount(alice)
	half := filepath.Join(place, "half")
	for _, dir := range []string{empty, notes, half} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for file, text := range map[string]string{filepath.Join(notes, "notes.txt"): "x", filepath.Join(half, backup.RestoreMark): "{}", filepath.Join(place, "wrong"): "AGE-SECRET-KEY-1QQQQ"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	key := filepath.Join(s.dir, "key")
	for _, c := range []struct {
		args string
		want string
	}{
		{"backup", "Name a directory with --to, or set backup.to"},
		{"backup --to " + filepath.Join(s.dir, "backup"), "lie in each other"},
		{"backup --to " + notes, "is not empty and is no backup"},
		{"backup list --from " + empty, "there is no backup in"},
		{"backup prune --to " + empty, "there is no backup in"},
		{"restore --from " + empty + " --key " + key + " --data " + filepath.Join(place, "new"), "there is no backup in"},
		{"restore --from " + to + " --data " + filepath.Join(place, "new"), "what opens the backup?"},
		{"restore --from " + to + " --key " + filepath.Join(other.dir, "key") + " --data " + filepath.Join(place, "new"), "the key file of another server"},
		{"restore --from " + to + " --key " + filepath.Join(place, "none") + " --data " + filepath.Join(place, "new"), "no such file"},
		{"restore --from " + to + " --recovery " + filepath.Join(place, "wrong") + " --data " + filepath.Join(place, "new"), "no recovery code, or one with a slip"},
		{"restore --from " + to + " --key " + key + " --data " + s.dir, "holds a Lockstep already"},
		{"restore --from " + to + " --key " + key + " --data " + notes, "is not empty"},
		{"restore --from " + to + " --key " + key + " --at 2001-01-01 --data " + filepath.Join(place, "new"), "the oldest point"},
		{"restore --from " + to + " --key " + key + " --at yesterday --data " + filepath.Join(place, "new"), "is no time"},
		{"serve --data " + half, "is half restored"},
		{"account list --data " + half, "is half restored"},
	} {
		out, err := lockstep("", append(strings.Fields(c.args), "--config", s.config)...)
		if err == nil || !strings.Contains(out, c.want) {
			t.Errorf("lockstep %s: %v, want %q\n%s", c.args, err, c.want, out)
		}
	}
	if _, err := os.Stat(filepath.Join(place, "new")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a refused restore made a directory: %v", err)
	}
}
