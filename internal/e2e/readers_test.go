package e2e

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// texts are the messages of a Maildir by their subjects, each as often as it is
// there, with their flags.
func texts(t *testing.T, maildir string) (all []string) {
	t.Helper()
	for _, sub := range []string{"cur", "new"} {
		files, err := os.ReadDir(filepath.Join(maildir, sub))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			raw, err := os.ReadFile(filepath.Join(maildir, sub, f.Name()))
			if err != nil {
				t.Fatal(err)
			}
			m := subjectField.FindStringSubmatch(string(raw))
			if m == nil {
				t.Fatalf("no subject in %q", raw)
			}
			_, flags, _ := strings.Cut(f.Name(), ":2,")
			all = append(all, strings.TrimSpace(m[1])+" "+flags)
		}
	}
	slices.Sort(all)
	return all
}

var subjectField = regexp.MustCompile(`(?m)^Subject: (.*?)\r?$`)

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// offlineimap keeps a tree of Maildirs and the server the same, whichever side
// changed.
func TestOfflineIMAPKeepsBothSidesTheSame(t *testing.T) {
	need(t, "offlineimap")
	s := newServer(t, "")
	s.start()
	s.addAccount(alice)
	secret := s.addDevice("offlineimap")
	dir := t.TempDir()
	rc := fmt.Sprintf(`[general]
accounts = a
metadata = %[1]s/meta
maxsyncaccounts = 1
ui = quiet
[Account a]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = %[1]s/mail
sep = /
[Repository far]
type = IMAP
remotehost = 127.0.0.1
remoteport = %[2]s
remoteuser = %[3]s
remotepass = %[4]s
ssl = no
starttls = no
auth_mechanisms = PLAIN
`, dir, s.ports["imap"], alice, secret)
	if err := os.WriteFile(dir+"/rc", []byte(rc), 0o600); err != nil {
		t.Fatal(err)
	}
	sync := func() { program(t, dir, nil, "offlineimap", "-o", "-c", dir+"/rc") }
	for i := range 4 {
		s.lmtp(alice, fmt.Sprintf("Subject: letter %d\r\nMessage-ID: <%d@offline.example>\r\n\r\nBody %d.\r\n", i, i, i))
	}
	sync()
	inbox := dir + "/mail/INBOX"
	same(t, "after the first run", texts(t, inbox), []string{"letter 0 ", "letter 1 ", "letter 2 ", "letter 3 "})

	c, err := s.dial(alice, password)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	for _, command := range []string{"SELECT INBOX", `STORE 1 +FLAGS (\Seen \Flagged)`, `STORE 2 +FLAGS (\Deleted)`, "EXPUNGE", "CREATE Work", "UNSELECT"} {
		if _, err := c.do("%s", command); err != nil {
			t.Fatal(err)
		}
	}
	near(t, inbox, "letter 2", func(path string) { // read and answered here
		rename(t, path, filepath.Join(inbox, "cur", regexp.MustCompile(`:2,.*$`).ReplaceAllString(filepath.Base(path), "")+":2,RS"))
	})
	near(t, inbox, "letter 3", func(path string) { // deleted here
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	})
	text := "Subject: written here\nFrom: alice@example.test\nMessage-ID: <here@offline.example>\n\nx\n"
	if err := os.WriteFile(inbox+"/new/1700000000.1_1.host", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	sync()
	sync()
	same(t, "in the Maildir", texts(t, inbox), []string{"letter 0 FS", "letter 2 RS", "written here "})
	if _, err := os.Stat(dir + "/mail/Work/cur"); err != nil {
		t.Errorf("the mailbox made on the server: %v", err)
	}
	all, _, err := c.list("INBOX")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range all {
		flags := strings.Fields(m.flags)
		slices.Sort(flags)
		got = append(got, m.id+" "+strings.Join(flags, " "))
	}
	slices.Sort(got)
	same(t, "on the server", got, []string{`0@offline.example \Flagged \Seen`, `2@offline.example \Answered \Seen`, `here@offline.example `})
}

// near calls do with the file of a Maildir that has a subject.
func near(t *testing.T, maildir, subject string, do func(path string)) {
	t.Helper()
	files, err := filepath.Glob(maildir + "/*/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		raw, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(raw), "Subject: "+subject) {
			do(path)
			return
		}
	}
	t.Fatalf("no message %q in %s", subject, maildir)
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// fetchmail takes new mail out, by IMAP and by POP3, once, and leaves what it was
// told to keep.
func TestFetchmailFetchesOnce(t *testing.T) {
	need(t, "fetchmail", "sh")
	for _, protocol := range []string{"imap", "pop3"} {
		t.Run(protocol, func(t *testing.T) {
			s := newServer(t, "")
			s.start()
			s.addAccount(alice)
			dir := t.TempDir()
			rc := fmt.Sprintf("set no bouncemail\npoll 127.0.0.1 service %s protocol %s uidl\n  user \"%s\" password \"%s\"\n  sslproto ''\n  mda \"cat >> %s/box; echo >> %[5]s/box\"\n",
				s.ports[protocol], protocol, alice, password, dir)
			if protocol == "imap" {
				rc = strings.Replace(rc, " uidl", "", 1)
			}
			if err := os.WriteFile(dir+"/rc", []byte(rc), 0o600); err != nil {
				t.Fatal(err)
			}
			fetch := func(args ...string) {
				t.Helper()
				// 1 is "no new mail", which is no failure.
				args = append([]string{"-c", `fetchmail "$@" || [ $? = 1 ]`, "fetchmail", "-f", dir + "/rc", "-i", dir + "/ids", "--pidfile", dir + "/pid", "--nosyslog"}, args...)
				program(t, dir, []string{"FETCHMAILHOME=" + dir, "HOME=" + dir}, "sh", args...)
			}
			for i := range 3 {
				s.lmtp(alice, fmt.Sprintf("Subject: letter %d\r\n\r\nBody %d.\r\n", i, i))
			}
			fetch("--keep")
			s.lmtp(alice, "Subject: letter 3\r\n\r\nBody 3.\r\n")
			fetch("--keep")
			raw, err := os.ReadFile(dir + "/box")
			if err != nil {
				t.Fatal(err)
			}
			for i := range 4 {
				if n := strings.Count(string(raw), fmt.Sprintf("\nBody %d.", i)); n != 1 {
					t.Errorf("letter %d came %d times", i, n)
				}
			}
			fetch("--fetchall", "--nokeep")
			c, err := s.dial(alice, password)
			if err != nil {
				t.Fatal(err)
			}
			defer c.close()
			if left, _, err := c.list("INBOX"); err != nil || len(left) != 0 {
				t.Errorf("left are %v, %v", left, err)
			}
		})
	}
}

// getmail brings mail of all mailboxes into a Maildir, each message once. Its own
// Maildir destination refuses to run as root, as CI does.
func TestGetmailFetchesOnce(t *testing.T) {
	need(t, "getmail")
	for _, protocol := range []string{"imap", "pop3"} {
		t.Run(protocol, func(t *testing.T) {
			s := newServer(t, "")
			s.start()
			s.addAccount(alice)
			dir := t.TempDir()
			for _, sub := range []string{"", "/cur", "/new", "/tmp"} {
				if err := os.Mkdir(dir+"/mail"+sub, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			retriever, more := "SimpleIMAPRetriever", "mailboxes = (\"INBOX\", \"Work\")\n"
			want := []string{"elsewhere ", "letter 0 ", "letter 1 ", "letter 2 "}
			if protocol == "pop3" {
				retriever, more, want = "SimplePOP3Retriever", "", want[1:]
			}
			rc := fmt.Sprintf("[retriever]\ntype = %s\nserver = 127.0.0.1\nport = %s\nusername = %s\npassword = %s\n%s[destination]\ntype = MDA_external\npath = /bin/sh\narguments = (\"-c\", \"cat > $(mktemp %s/mail/new/XXXXXX)\")\nunixfrom = false\nallow_root_commands = true\n[options]\nread_all = false\ndelete = false\ndelivered_to = false\nreceived = false\nverbose = 0\n",
				retriever, s.ports[protocol], alice, password, more, dir)
			if err := os.WriteFile(dir+"/rc", []byte(rc), 0o600); err != nil {
				t.Fatal(err)
			}
			c, err := s.dial(alice, password)
			if err != nil {
				t.Fatal(err)
			}
			defer c.close()
			if _, err := c.do("CREATE Work"); err != nil {
				t.Fatal(err)
			}
			if _, err := c.append("Work", "Subject: elsewhere\r\n\r\nx\r\n"); err != nil {
				t.Fatal(err)
			}
			for i := range 3 {
				if i == 2 {
					program(t, dir, nil, "getmail", "--getmaildir", dir, "--rcfile", "rc")
				}
				s.lmtp(alice, fmt.Sprintf("Subject: letter %d\r\n\r\nBody %d.\r\n", i, i))
			}
			program(t, dir, nil, "getmail", "--getmaildir", dir, "--rcfile", "rc")
			same(t, "in the Maildir", texts(t, dir+"/mail"), want)
		})
	}
}

// aerc shows new mail as it comes, and what is done in it is done on the server. It
// runs on a terminal of its own, with commands typed.
func TestAercReadsMovesAndDeletes(t *testing.T) {
	need(t, "aerc", "script")
	s := newServer(t, "")
	s.start()
	s.addAccount(alice)
	for i := range 3 {
		s.lmtp(alice, fmt.Sprintf("From: bob@example.org\r\nSubject: letter %d\r\nMessage-ID: <%d@aerc.example>\r\n\r\nBody %d.\r\n", i, i, i))
	}
	dir := t.TempDir()
	if err := os.MkdirAll(dir+"/aerc", 0o700); err != nil {
		t.Fatal(err)
	}
	account := fmt.Sprintf("[a]\nsource = imap+insecure://%s@127.0.0.1:%s\ndefault = INBOX\nfrom = %s\ncache-headers = false\n",
		url.UserPassword(alice, password), s.ports["imap"], alice)
	if err := os.WriteFile(dir+"/aerc/accounts.conf", []byte(account), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "script", "-qec", "stty cols 120 rows 40; exec aerc", "/dev/null")
	cmd.Env = append(os.Environ(), "TERM=xterm", "LC_ALL=C.UTF-8", "XDG_CONFIG_HOME="+dir, "XDG_CACHE_HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_RUNTIME_DIR="+dir, "HOME="+dir)
	var screen syncBuffer
	cmd.Stdout, cmd.Stderr = &screen, &screen
	keys, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cancel()
		cmd.Wait()
	}()
	shows := func(text string) {
		t.Helper()
		if !eventually(func() bool { return strings.Contains(screen.String(), text) }) {
			t.Fatalf("aerc does not show %q:\n%q", text, screen.String())
		}
	}
	c, err := s.dial(alice, password)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	holds := func(mailbox, what string, want ...string) {
		t.Helper()
		var got []string
		if !eventually(func() bool {
			all, _, err := c.list(mailbox)
			got = nil
			for _, m := range all {
				got = append(got, strings.TrimSpace(m.id+" "+m.flags))
			}
			return err == nil && slices.Equal(got, want)
		}) {
			t.Fatalf("after %s, %s holds %q, want %q\n%q", what, mailbox, got, want, screen.String())
		}
	}
	shows("letter 2")
	s.lmtp(alice, "From: bob@example.org\r\nSubject: letter 3\r\nMessage-ID: <3@aerc.example>\r\n\r\nBody 3.\r\n")
	shows("letter 3") // in IDLE
	io.WriteString(keys, ":select 0\r:read\r")
	holds("INBOX", "reading the newest", "0@aerc.example", "1@aerc.example", "2@aerc.example", `3@aerc.example \Seen`)
	io.WriteString(keys, ":flag -x Flagged\r")
	holds("INBOX", "flagging it", "0@aerc.example", "1@aerc.example", "2@aerc.example", `3@aerc.example \Flagged \Seen`)
	io.WriteString(keys, ":mv Archive\r")
	holds("INBOX", "moving it", "0@aerc.example", "1@aerc.example", "2@aerc.example")
	holds("Archive", "moving it", `3@aerc.example \Flagged \Seen`)
	io.WriteString(keys, ":select 0\r:delete\r")
	holds("INBOX", "deleting one", "0@aerc.example", "1@aerc.example")
	io.WriteString(keys, ":quit -f\r")
}
