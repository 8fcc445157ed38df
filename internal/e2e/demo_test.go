package e2e

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"lockstep/internal/freeport"
)

var demoPorts = []int{1143, 1993, 1110, 1995, 1024, 1025, 1587, 1465, 8080, 8443}

// freeOffset finds an offset at which nobody has any of the demo's ports.
func freeOffset(t *testing.T) int {
	t.Helper()
	for range 100 {
		offset := 2000 + rand.IntN(20_000)
		var ports []int
		for _, p := range demoPorts {
			ports = append(ports, p+offset)
		}
		if got, err := freeport.TakeAll(ports...); err != nil {
			t.Fatal(err)
		} else if got {
			return offset
		}
	}
	t.Fatal("no free ports")
	return 0
}

// startDemo runs `lockstep demo` in an empty directory and waits for its welcome.
func startDemo(t *testing.T, args ...string) (dir string, out *syncBuffer, stop func()) {
	t.Helper()
	dir, out = t.TempDir(), &syncBuffer{}
	cmd := exec.Command(binary, append([]string{"demo", fmt.Sprintf("--port-offset=%d", freeOffset(t))}, args...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	if !eventually(func() bool { return strings.Contains(out.String(), "What changes is shown here:") }) {
		t.Fatalf("no welcome:\n%s", out)
	}
	return dir, out, func() {
		t.Helper()
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Fatalf("the demo did not stop well: %v\n%s", err, out)
		}
	}
}

// pasted are the lines of the welcome that begin and end so.
func pasted(t *testing.T, welcome, first, last string) string {
	t.Helper()
	m := regexp.MustCompile(`(?ms)^` + regexp.QuoteMeta(first) + `.*?` + regexp.QuoteMeta(last) + `[^\n]*$`).FindString(welcome)
	if m == "" {
		t.Fatalf("the welcome has no command %q … %q:\n%s", first, last, welcome)
	}
	return m
}

var messageID = regexp.MustCompile(`(?mi)^Message-ID: *(<[^>]*>)`)

// What the demo prints can be pasted into a shell, and two different mail programs
// then show the same mailbox.
func TestTheDemosCommandsWork(t *testing.T) {
	need(t, "mbsync", "neomutt", "curl", "script", "sh")
	dir, out, stop := startDemo(t)
	welcome := out.String()

	program(t, dir, nil, "sh", "-c", pasted(t, welcome, "mkdir -p demo-mail", "mbsync -c demo.mbsyncrc -a"))
	port := regexp.MustCompile(`IMAP +127\.0\.0\.1:(\d+)`).FindStringSubmatch(welcome)[1]
	bob, alice := idle(t, port, "bob@example.test", "lockstep-demo"), idle(t, port, "alice@example.test", "lockstep-demo")
	program(t, dir, nil, "sh", "-c", pasted(t, welcome, "printf 'Subject: Hello", "-T -"))
	if line, err := alice.line(); err != nil || !strings.HasSuffix(line, " EXISTS\r\n") {
		t.Errorf("who waits hears %q, %v", line, err)
	}
	bob.close()
	alice.close()
	if !eventually(func() bool {
		return regexp.MustCompile(`alice · <friend@elsewhere.example> \(smtp\) delivered 1 message to INBOX · written to 1 device in \d+ µs`).MatchString(out.String())
	}) {
		t.Errorf("no line for the delivery:\n%s", out)
	}
	program(t, dir, nil, "sh", "-c", "mbsync -c demo.mbsyncrc -a")

	copied := filepath.Join(dir, "copied")
	neomutt(t, dir, pasted(t, welcome, "neomutt -n", "/INBOX"),
		`<tag-pattern>~A<enter><tag-prefix><copy-message><kill-line>`+copied+`<enter><first-entry><flag-message><sync-mailbox><exit>`)
	byNeomutt := ids(t, copied)
	var files []string
	for _, sub := range []string{"cur", "new"} {
		found, err := filepath.Glob(filepath.Join(dir, "demo-mail/INBOX", sub, "*"))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	byMbsync := ids(t, files...)
	if len(byMbsync) < 40 || !slices.Equal(byNeomutt, byMbsync) {
		t.Errorf("neomutt shows %d messages, mbsync %d:\n%v\n%v", len(byNeomutt), len(byMbsync), byNeomutt, byMbsync)
	}
	if !eventually(func() bool { return strings.Contains(out.String(), "laptop (imap) marked 1 message ") }) {
		t.Errorf("no line for what neomutt did:\n%s", out)
	}
	stop()
}

// idle connects, selects INBOX and waits in IDLE.
func idle(t *testing.T, port, login, secret string) *client {
	t.Helper()
	c, err := (&server{t: t, ports: map[string]string{"imap": port}}).dial(login, secret)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.do("SELECT INBOX"); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprint(c.c, "i IDLE\r\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := c.line(); err != nil || !strings.HasPrefix(line, "+") {
		t.Fatalf("IDLE: %q, %v", line, err)
	}
	return c
}

// neomutt runs it on a terminal of its own, with keys pushed.
func neomutt(t *testing.T, dir, command, keys string) {
	t.Helper()
	command += ` -e 'set confirmcreate=no confirmappend=no delete=yes quit=yes copy=no mbox_type=mbox wait_key=no' -e 'push "` + keys + `"'`
	program(t, dir, []string{"TERM=xterm", "LC_ALL=C.UTF-8"}, "script", "-qec", command, "/dev/null")
}

// ids are the Message-IDs in files, sorted.
func ids(t *testing.T, files ...string) []string {
	t.Helper()
	var all []string
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range messageID.FindAllStringSubmatch(string(raw), -1) {
			all = append(all, m[1])
		}
	}
	slices.Sort(all)
	return all
}

func TestADemoIsReopenedWithItsMail(t *testing.T) {
	data := filepath.Join(t.TempDir(), "demo")
	_, out, stop := startDemo(t, "--data", data)
	secret := regexp.MustCompile(`laptop: (\S+)`)
	first := secret.FindString(out.String())
	before, err := lockstep("", "mailbox", "list", "alice@example.test", "--data", data)
	if err != nil {
		t.Fatal(before)
	}
	stop()
	_, out, stop = startDemo(t, "--data", data)
	defer stop()
	if again := secret.FindString(out.String()); again != first || first == "" {
		t.Errorf("the laptop's password was %q and is %q", first, again)
	}
	if after, err := lockstep("", "mailbox", "list", "alice@example.test", "--data", data); err != nil || after != before {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
}

func TestADemoLeavesNothingBehindAndTouchesNothingElse(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	dir, _, stop := startDemo(t)
	stop()
	for _, d := range []string{tmp, dir} {
		if left, err := os.ReadDir(d); err != nil || len(left) > 0 {
			t.Errorf("%s: %v, %v", d, left, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "thesis.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := lockstep("", "demo", "--data", dir); err == nil || !strings.Contains(text, "is not empty and is no demo") {
		t.Errorf("%v\n%s", err, text)
	}
}

func TestATakenPortIsNamed(t *testing.T) {
	offset := freeOffset(t)
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", offset+1587))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	text, err := lockstep("", "demo", fmt.Sprintf("--port-offset=%d", offset))
	if want := fmt.Sprintf("listen.submission: 127.0.0.1:%d is taken by another program", offset+1587); err == nil || !strings.Contains(text, want) || !strings.Contains(text, "--port-offset") {
		t.Errorf("%v\n%s", err, text)
	}
}
