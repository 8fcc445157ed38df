package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// An account is looked at as it was, brought back, and the restore undone; with a
// running server and without one.
func TestThePastIsSeenAndBroughtBack(t *testing.T) {
	for _, running := range []bool{true, false} {
		t.Run(map[bool]string{true: "running", false: "stopped"}[running], func(t *testing.T) {
			s := newServer(t, "")
			s.start()
			s.addAccount(alice)
			s.importMessages(20, "INBOX")
			s.importMessages(5, "Work")
			act := s.ruin()
			if !running {
				s.stop()
			}
			before := "before act " + act
			out := filepath.Join(t.TempDir(), "out")
			s.says(`(?m)^INBOX +inbox +20$`, "view", alice, "--as-of", before)
			s.says(`(?m)^Work +5 +deleted$`, "view", alice, "--as-of", before)
			s.says(`(?m)^ +3  .* number 2 +\(\\Seen\)  gone since$`, "view", alice, "INBOX", "--as-of", before)
			s.says(`(?s)^From: friend@elsewhere.example\nTo: .*\nSubject: number 2\n.*line \d+ of a text`, "view", alice, "INBOX", "3", "--as-of", before)
			s.says(`(?m)^Message-ID: <2.7@elsewhere.example>\r$`, "view", alice, "INBOX", "3", "--raw", "--as-of", before)
			s.says("Copied 25 messages", "view", alice, "--to", out, "--as-of", before)
			s.says("Copied 25 messages", "view", alice, "--to", out, "--as-of", before) // again: the same
			if files, _ := filepath.Glob(filepath.Join(out, "cur", "*")); len(files) != 20 {
				t.Errorf("%d messages of INBOX were copied out", len(files))
			}

			restore := []string{"restore", "--account", alice, "--at", before}
			preview := s.says(`\+15, −0, 5 moved, 3 flags, 1 mailbox made again`, restore...)
			if !strings.Contains(preview, "Nothing was changed") {
				t.Error(preview)
			}
			s.says(`(?m)^INBOX +inbox +6 `, "mailbox", "list", alice)
			s.says("as of .*: \\+5, −0, 1 mailbox made again", append(restore, "--mailbox", "Work")...)
			s.says(`\+15, −0, 1 mailbox made again`, append(restore, "--only-missing")...)
			s.says(`\+15, −1, 5 moved, 3 flags, 1 mailbox made again, 1 removed`, append(restore, "--exact")...)

			done := s.says("Done. To take that back: lockstep undo [0-9]+", append(restore, "--apply")...)
			s.says(`(?m)^INBOX +inbox +21 `, "mailbox", "list", alice)
			s.says(`(?m)^Work +5 `, "mailbox", "list", alice)
			s.says("there is nothing to do", append(restore, "--apply")...)
			undo := regexp.MustCompile(`undo ([0-9]+)`).FindStringSubmatch(done)[1]
			s.says("Put back", "undo", undo, "--account", alice)
			s.says(`(?m)^INBOX +inbox +6 `, "mailbox", "list", alice)
			s.says("All is well", "doctor")
			if running {
				s.stop()
			}
		})
	}
}

// says runs a command and wants what it prints.
func (s *server) says(want string, args ...string) string {
	s.t.Helper()
	out := s.lockstep("", args...)
	if !regexp.MustCompile(want).MatchString(out) {
		s.t.Errorf("lockstep %s: want %s, got\n%s", strings.Join(args, " "), want, out)
	}
	return out
}

func (s *server) importMessages(n int, into string) {
	s.t.Helper()
	name := filepath.Join(s.t.TempDir(), "mbox")
	f, err := os.Create(name)
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	if err := mbox(f, 7, n, 400); err != nil {
		s.t.Fatal(err)
	}
	s.lockstep("", "import", alice, name, "--into", into)
}

// ruin is what a program does whose idea of the mailbox is lost: of 20 messages 10 are
// expunged, 5 moved to Trash and 3 marked unread, a mailbox of 5 is deleted, another is
// made; and one message arrives. It returns the first act.
func (s *server) ruin() string {
	s.t.Helper()
	c, err := s.dial(alice, password)
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.close()
	for _, cmd := range []string{"SELECT INBOX", `UID STORE 1:10 +FLAGS.SILENT (\Deleted)`, "EXPUNGE", "UID MOVE 11:15 Trash", `UID STORE 16:18 -FLAGS.SILENT (\Seen)`,
		"DELETE Work", "CREATE New", "APPEND INBOX {14+}\r\nSubject: new\r\n"} {
		if _, err := c.do("%s", cmd); err != nil {
			s.t.Fatalf("%s: %v", cmd, err)
		}
	}
	history := s.lockstep("", "history", alice)
	m := regexp.MustCompile(`marked 10 messages deleted in INBOX · act ([0-9]+)`).FindStringSubmatch(history)
	if m == nil {
		s.t.Fatalf("no act in\n%s", history)
	}
	return m[1]
}

// What history no longer keeps comes back from a backup: also of an account that was
// removed and made again, and with attachments that lie apart.
func TestAnAccountComesBackFromABackup(t *testing.T) {
	for _, running := range []bool{true, false} {
		t.Run(map[bool]string{true: "running", false: "stopped"}[running], func(t *testing.T) {
			s := newServer(t, "")
			s.start()
			s.addAccount(alice)
			s.importMessages(20, "INBOX")
			s.importMessages(5, "Work/Plans")
			target := filepath.Join(t.TempDir(), "backup")
			s.says("Backed up", "backup", "--to", target)
			body := s.lockstep("", "view", alice, "Work/Plans", "2", "--raw", "--as-of", "0s")
			s.lockstep("", "account", "remove", alice, "--yes")
			s.addAccount(alice)
			c, err := s.dial(alice, password)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.append("INBOX", "Subject: new\r\n\r\nnew\r\n"); err != nil {
				t.Fatal(err)
			}
			c.close()
			if !running {
				s.stop()
			}
			restore := []string{"restore", "--account", alice, "--from", target}
			s.says(`\+25, −0, 2 mailboxes made again`, restore...)
			s.says(`(?m)^INBOX +inbox +1 `, "mailbox", "list", alice)
			s.says(`\+5, −0, 2 mailboxes made again`, append(restore, "--mailbox", "Work/Plans")...)
			done := s.says(`\+25, −0, 2 mailboxes made again`, append(restore, "--apply")...)
			s.says(`(?m)^INBOX +inbox +21 `, "mailbox", "list", alice)
			s.says("there is nothing to do", append(restore, "--apply")...)
			if again := s.lockstep("", "view", alice, "Work/Plans", "2", "--raw", "--as-of", "0s"); again != body {
				t.Errorf("a message came back otherwise:\n%s\nwas\n%s", again, body)
			}
			if left, _ := filepath.Glob(filepath.Join(s.dir, "looking", "*")); len(left) > 0 {
				t.Errorf("%v are left", left)
			}
			s.says("All is well", "doctor")
			s.says("Put back", "undo", regexp.MustCompile(`undo ([0-9]+)`).FindStringSubmatch(done)[1], "--account", alice)
			s.says(`(?m)^INBOX +inbox +1 `, "mailbox", "list", alice)
			if running {
				s.stop()
			}
		})
	}
}

// A moment between two points of a backup is reached by way of the one after it.
func TestAMomentBetweenTwoPointsComesBack(t *testing.T) {
	s := newServer(t, "")
	s.addAccount(alice)
	s.importMessages(3, "INBOX")
	target := filepath.Join(t.TempDir(), "backup")
	s.says("Backed up", "backup", "--to", target)
	s.importMessages(4, "Between")
	moment := time.Now().Format(time.RFC3339Nano)
	s.importMessages(2, "Later")
	act := regexp.MustCompile(`made mailbox Later.* · act ([0-9]+)`).FindStringSubmatch(s.lockstep("", "history", alice))
	if act == nil {
		t.Fatal("no act")
	}
	s.says("Backed up", "backup", "--to", target)
	steps, once, cut := filepath.Join(t.TempDir(), "steps"), filepath.Join(t.TempDir(), "once"), filepath.Join(t.TempDir(), "cut")
	key := filepath.Join(s.dir, "key")
	for _, args := range [][]string{
		{"restore", "--from", target, "--key", key, "--data", steps},
		{"restore", "--account", alice, "--data", steps, "--at", "before act " + act[1], "--exact", "--apply"},
		{"restore", "--from", target, "--key", key, "--data", once, "--at", moment, "--exact"},
		{"restore", "--from", target, "--key", key, "--data", cut},
	} {
		if out, err := lockstep("", args...); err != nil {
			t.Fatalf("lockstep %v: %v\n%s", args, err, out)
		}
	}
	endsWhatWasCut(t, cut, moment, "restore", "--from", target, "--key", key, "--data", cut, "--at", moment, "--exact")
	for _, data := range []string{steps, once, cut} {
		if _, err := os.Stat(filepath.Join(data, "restoring-to")); err == nil {
			t.Errorf("%s is not ended", data)
		}
		out, err := lockstep("", "mailbox", "list", alice, "--data", data)
		if err != nil || !regexp.MustCompile(`(?m)^Between +4 `).MatchString(out) || strings.Contains(out, "Later") {
			t.Errorf("%s: %v\n%s", data, err, out)
		}
	}
	long := filepath.Join(t.TempDir(), "long")
	out, err := lockstep("", "restore", "--from", target, "--key", key, "--data", long, "--at", "2020-01-01T00:00:00Z", "--exact")
	if err == nil || !strings.Contains(out, "left as of the point: "+alice) {
		t.Errorf("a moment before there was anything: %v\n%s", err, out)
	}
}

// endsWhatWasCut makes of a directory what a restore to a moment leaves that is cut when the
// point is back: it is not served, and the same command ends it, also without the backup.
func endsWhatWasCut(t *testing.T, data, moment string, again ...string) {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, moment)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "restoring-to"), []byte(at.UTC().Format(time.RFC3339Nano)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := lockstep("", "serve", "--data", data); err == nil || !strings.Contains(out, "lockstep restore --exact --data "+data) {
		t.Errorf("it is served: %v\n%s", err, out)
	}
	if out, err := lockstep("", again...); err != nil || !strings.Contains(out, "as was begun") {
		t.Errorf("the same command: %v\n%s", err, out)
	}
	if out, err := lockstep("", again...); err == nil || !strings.Contains(out, "holds a Lockstep already") {
		t.Errorf("once it has ended: %v\n%s", err, out)
	}
}

func TestMistakesWithThePastAreExplained(t *testing.T) {
	s := newServer(t, "")
	s.addAccount(alice)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"view", alice}, "--as-of"},
		{[]string{"view", alice, "--as-of", "tomorrow"}, "is no time: write"},
		{[]string{"view", alice, "--as-of", "3 days ago"}, "there was nothing before"},
		{[]string{"view", alice, "--as-of", "before act 999"}, "lockstep history"},
		{[]string{"view", alice, "Wrok", "--as-of", "0s"}, "lockstep view"},
		{[]string{"view", alice, "INBOX", "7", "--as-of", "0s"}, "held no message 7"},
		{[]string{"view", alice, "--raw", "--as-of", "0s"}, "say which"},
		{[]string{"view", "nobody@example.test", "--as-of", "0s"}, "lockstep account list"},
		{[]string{"restore", "--account", alice}, "--at"},
		{[]string{"restore", "--account", alice, "--at", "0s", "--mailbox", "Wrok"}, "lockstep view"},
		{[]string{"restore", "--account", alice, "--at", "0s", "--exact", "--only-missing"}, "one of them"},
		{[]string{"restore", "--mailbox", "INBOX"}, "--account"},
		{[]string{"restore", "--exact"}, "--at"},
		{[]string{"restore", "--account", alice, "--from", t.TempDir(), "--exact"}, "without --from"},
		{[]string{"restore", "--account", alice, "--from", t.TempDir()}, "no backup"},
	} {
		out, err := lockstep("", append(c.args, "--config", s.config)...)
		if err == nil || !strings.Contains(out, c.want) {
			t.Errorf("lockstep %v: %v, want %q, got\n%s", c.args, err, c.want, out)
		}
	}
}
