package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The verbs do the same with a running server and without one.
func TestCommandLine(t *testing.T) {
	for _, running := range []bool{true, false} {
		t.Run(map[bool]string{true: "running", false: "stopped"}[running], func(t *testing.T) {
			s := newServer(t, "")
			if running {
				s.start()
			}
			for _, c := range []struct{ stdin, args, want string }{
				{password, "account add alice@example.test", "Added alice@example.test."},
				{"", "account list", `alice@example.test +0 +0 B +none +0`},
				{"another password", "account passwd alice@example.test", "Changed the password"},
				{"", "account set alice@example.test --name Alice", "alice@example.test is Alice now"},
				{"", "account show alice@example.test", "alice@example.test, Alice"},
				{"", "account list", "alice@example.test +Alice +0"},
				{"", "vacation show alice@example.test", "answers are off"},
				{"", "vacation set alice@example.test --until 2999-07-01 --text away --silent unknown", "answers are on until 2999-07-01"},
				{"", "vacation show alice@example.test", "(?s)To known .*:\naway\n\nTo unknown .*: nothing"},
				{"", "vacation off alice@example.test", "answers are off"},
				{"", "history alice@example.test", "turned automatic answers on"},
				{"", "account quota alice@example.test 5GiB", "may keep 5GiB"},
				{"", "address add alice@example.test @other.test", "goes to alice@example.test"},
				{"", "address list alice@example.test", "(?m)^@other.test$"},
				{"", "address remove @other.test", "refused now"},
				{"", "device add alice@example.test phone --only imap", `(?m)^([a-z0-9]{5}-){3}[a-z0-9]{5}$`},
				{"", "device list alice@example.test", `phone .* app password`},
				{"", "device show alice@example.test phone", `(?m)^access +allowed$`},
				{"", "device policy", `(?m)^default +1$`},
				{"", "device policy alice@example.test default", "under the policy default"},
				{"", "device policy alice@example.test", `(?m)^default$`},
				{"", "device wipe alice@example.test phone", "It never spoke ActiveSync"},
				{"", "device list alice@example.test", `phone .* wipe requested`},
				{"", "device allow alice@example.test phone", "may sign in again"},
				{"", "device wipe alice@example.test phone --full --yes", "kept out from now on"},
				{"", "device show alice@example.test phone", `(?m)^wipe +to erase all it holds: requested at `},
				{"", "device allow alice@example.test phone", "may sign in again"},
				{"", "device block alice@example.test phone", "Blocked phone"},
				{"", "device unblock alice@example.test phone", "may sign in again"},
				{"", "device sign-out alice@example.test phone", "worth nothing now"},
				{"", "mailbox list alice@example.test", `(?m)^INBOX +inbox +0 `},
				{"", "queue list", "LAST ERROR"},
				{"", "history alice@example.test", `operator (blocked|.*phone)`},
				{"", "doctor", "All is well."},
				{"", "account disable alice@example.test", "locked out"},
				{"", "account enable alice@example.test", "may sign in again"},
				{"", "account remove alice@example.test --yes", "Removed"},
				{"", "account list", "No accounts yet"},
				{"", "config print", `(?m)^message = "50MiB"$`},
				{"", "config check", "good"},
				{"", "version", "lockstep "},
			} {
				out := s.lockstep(c.stdin, strings.Fields(c.args)...)
				if !regexp.MustCompile(c.want).MatchString(out) {
					t.Errorf("lockstep %s: want %s, got\n%s", c.args, c.want, out)
				}
			}
			if running {
				s.stop()
			}
		})
	}
}

func TestMistakesAreExplained(t *testing.T) {
	s := newServer(t, "")
	s.addAccount(alice)
	empty := filepath.Join(t.TempDir(), "empty")
	broken := filepath.Join(t.TempDir(), "broken.toml")
	if err := os.WriteFile(broken, []byte("[limits]\nmesage = \"5MiB\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"account", "list", "--data", empty}, "name its directory with --data"},
		{[]string{"account", "passwd", "nobody@example.test", "--config", s.config}, "no password"},
		{[]string{"device", "list", "nobody@example.test", "--config", s.config}, "lockstep account list"},
		{[]string{"account", "remove", alice, "--config", s.config}, "--yes"},
		{[]string{"device", "wipe", alice, "phone", "--full", "--config", s.config}, "--yes"},
		{[]string{"device", "wipe", alice, "phone", "--config", s.config}, "device list"},
		{[]string{"device", "policy", alice, "strict", "--config", s.config}, "configured are default"},
		{[]string{"serve", "--config", broken}, `broken.toml:2: unknown key "limits.mesage"; did you mean "limits.message"?`},
		{[]string{"config", "check", "--config", broken}, "broken.toml:2"},
		{[]string{"history", alice, "--uid", "7", "--config", s.config}, "--mailbox"},
		{[]string{"undo", "9999", "--config", s.config}, "lockstep history"},
		{[]string{"frobnicate"}, "unexpected argument"},
	} {
		out, err := lockstep("", c.args...)
		if err == nil || !strings.Contains(out, c.want) {
			t.Errorf("lockstep %v: %v, want %q, got\n%s", c.args, err, c.want, out)
		}
	}
	if _, err := os.Stat(empty); err == nil {
		t.Error("a command that only looks has made a data directory")
	}
}

func TestFirstStartSaysWhatToDo(t *testing.T) {
	s := newServer(t, "")
	s.start()
	first := s.log.String()
	for _, want := range []string{"Keep a copy of that file apart from", "lockstep account add alice@example.test --data " + s.dir} {
		if !strings.Contains(first, want) {
			t.Errorf("want %q in\n%s", want, first)
		}
	}
	for path, mode := range map[string]os.FileMode{"": 0o700, "key": 0o600, "admin.sock": 0o600, "lockstep.db": 0o600} {
		if info, err := os.Stat(filepath.Join(s.dir, path)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%q: %v, %v", path, info.Mode().Perm(), err)
		}
	}
	s.stop()
	s.start()
	if strings.Contains(s.log.String(), "Keep a copy") {
		t.Error("the second start asks for the key again")
	}
	s.stop()
}

func TestOneServerAtATime(t *testing.T) {
	s := newServer(t, "")
	s.start()
	second := newServer(t, "")
	out, err := lockstep("", "serve", "--config", second.config, "--data", s.dir)
	if err == nil || !strings.Contains(out, "is in use by another process") {
		t.Errorf("%v\n%s", err, out)
	}
	s.stop()
}

func TestWithoutTheKeyNothingStarts(t *testing.T) {
	s := newServer(t, "")
	s.addAccount(alice)
	s.start()
	s.lmtp(alice, "Subject: one\r\n\r\nbody\r\n")
	s.stop()
	if err := os.Rename(s.dir+"/key", s.dir+"/elsewhere"); err != nil {
		t.Fatal(err)
	}
	out, err := lockstep("", "serve", "--config", s.config)
	if err == nil || !strings.Contains(out, "Put the file back, and nothing is lost") {
		t.Errorf("%v\n%s", err, out)
	}
}

// Whoever is connected hears goodbye, and a stop does not wait for them.
func TestStopSaysGoodbye(t *testing.T) {
	s := newServer(t, "")
	s.start()
	s.addAccount(alice)
	c := idle(t, s.ports["imap"], alice, password)
	defer c.close()
	began := time.Now()
	s.stop()
	if line, err := c.line(); err != nil || !strings.HasPrefix(line, "* BYE ") {
		t.Errorf("%q, %v", line, err)
	}
	if took := time.Since(began); took > patience {
		t.Errorf("stopping took %v", took)
	}
	if out := s.lockstep("", "account", "list"); !strings.Contains(out, alice) {
		t.Errorf("after the stop:\n%s", out)
	}
}
