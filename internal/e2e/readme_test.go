package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The README's commands work as they stand: the first one runs the demo, the
// second, make test, is what runs this.
func TestTheReadmesCommandsWork(t *testing.T) {
	need(t, "git", "sh")
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```\n(.*?)\n```").FindAllStringSubmatch(string(readme), -1)
	if len(blocks) != 2 || blocks[0][1] != "go run ./cmd/lockstep demo" || blocks[1][1] != "make test" {
		t.Fatalf("the README's two commands are %q", blocks)
	}
	dir := checkout(t)
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	// Other ports, as the usual ones may be taken here.
	cmd := exec.CommandContext(ctx, "sh", "-c", fmt.Sprintf("exec %s --port-offset=%d", blocks[0][1], freeOffset(t)))
	var out syncBuffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for !strings.Contains(out.String(), "What changes is shown here:") {
		select {
		case err := <-ended:
			t.Fatalf("%v\n%s", err, &out)
		case <-time.After(50 * time.Millisecond):
		}
	}
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	<-ended
	if left := untracked(t, dir); left != "" {
		t.Errorf("the demo left in the checkout:\n%s", left)
	}
	for _, command := range regexp.MustCompile("`go run ./cmd/lockstep ([a-z-]+)").FindAllStringSubmatch(string(readme), -1) {
		if help, err := lockstep("", command[1], "--help"); err != nil {
			t.Errorf("the README names lockstep %s: %v\n%s", command[1], err, help)
		}
	}
}

// checkout makes a clean copy of what git knows and the working tree has.
func checkout(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "lockstep")
	script := `mkdir "$2" && cd "$1" && git ls-files -z --cached --others --exclude-standard | xargs -0 tar -cf - --ignore-failed-read | tar -xf - -C "$2" && cd "$2" && git init -q && git add -A`
	if out, err := exec.Command("sh", "-c", script, "sh", root, dir).CombinedOutput(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no checkout to copy: %v\n%s", err, out)
		}
		t.Skipf("no checkout to copy: %v\n%s", err, out)
	}
	return dir
}

// untracked are the files that git does not know.
func untracked(t *testing.T, dir string) string {
	t.Helper()
	cmd := exec.Command("git", "ls-files", "--others", "--exclude-standard")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
