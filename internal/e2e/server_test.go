package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lockstep/internal/freeport"
	"lockstep/internal/steady"
)

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "lockstep-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "lockstep")
	if out, err := exec.Command("go", "build", "-o", binary, "lockstep/cmd/lockstep").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// need skips the test where a mail program is missing; in CI that is a failure.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err == nil {
			continue
		}
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is not installed", p)
		}
		t.Skipf("%s is not installed", p)
	}
}

// patience bounds everything that is waited for.
const patience = steady.Patience

const (
	alice    = "alice@example.test"
	password = "a good password"
)

// server is a running `lockstep serve` with its own directory and ports.
type server struct {
	t      *testing.T
	dir    string
	config string
	env    []string          // beside ours
	ports  map[string]string // by the key of listen
	cmd    *exec.Cmd
	log    *syncBuffer
}

var protocols = []string{"imap", "imaps", "pop3", "pop3s", "lmtp", "smtp", "submission", "submissions", "http", "https"}

// newServer makes a directory and a configuration; more is added to the file.
func newServer(t *testing.T, more string) *server {
	t.Helper()
	s := &server{t: t, dir: filepath.Join(t.TempDir(), "data"), ports: freePorts(t, protocols...)}
	var b strings.Builder
	fmt.Fprintf(&b, "data = %q\nhostname = \"mail.example.test\"\n[listen]\n", s.dir)
	for name, port := range s.ports {
		fmt.Fprintf(&b, "%s = \"127.0.0.1:%s\"\n", name, port)
	}
	b.WriteString(more)
	s.config = filepath.Join(t.TempDir(), "lockstep.toml")
	if err := os.WriteFile(s.config, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// freePorts finds ports that nobody else will have, also while their server is down.
func freePorts(t *testing.T, names ...string) map[string]string {
	t.Helper()
	free, err := freeport.Take(len(names))
	if err != nil {
		t.Fatal(err)
	}
	ports := map[string]string{}
	for i, name := range names {
		ports[name] = strconv.Itoa(free[i])
	}
	return ports
}

// start starts the server and waits until it is well.
func (s *server) start() {
	s.t.Helper()
	s.log = &syncBuffer{}
	s.cmd = exec.Command(binary, "serve", "--config", s.config)
	s.cmd.Env = append(os.Environ(), s.env...)
	s.cmd.Stderr, s.cmd.Stdout = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	cmd := s.cmd
	s.t.Cleanup(func() { _ = cmd.Process.Kill() })
	if !eventually(func() bool { return s.get("/healthz") == "ok\n" }) {
		s.kill()
		s.t.Fatalf("the server does not get well:\n%s", s.log)
	}
}

// eventually asks until it is so, for a bounded time.
func eventually(is func() bool) bool {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if is() {
			return true
		}
	}
	return false
}

// get is what an HTTP path answers; "" when nobody does.
func (s *server) get(path string) string {
	resp, err := http.Get("http://127.0.0.1:" + s.ports["http"] + path)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return string(body)
}

// stop asks the server to end and wants it to do so well.
func (s *server) stop() {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Wait(); err != nil {
		s.t.Fatalf("the server did not stop well: %v\n%s", err, s.log)
	}
}

// kill is what a power cut is to a process.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// lockstep runs a command of the binary on the server's data.
func (s *server) lockstep(stdin string, args ...string) string {
	s.t.Helper()
	out, err := lockstep(stdin, append(args, "--config", s.config)...)
	if err != nil {
		s.t.Fatalf("lockstep %v: %v\n%s", args, err, out)
	}
	return out
}

// lockstepFor is lockstep for what may take long.
func (s *server) lockstepFor(atMost time.Duration, args ...string) string {
	s.t.Helper()
	out, err := runFor(atMost, "", append(args, "--config", s.config)...)
	if err != nil {
		s.t.Fatalf("lockstep %v: %v\n%s", args, err, out)
	}
	return out
}

// lockstep runs the binary.
func lockstep(stdin string, args ...string) (string, error) { return runFor(patience, stdin, args...) }

func runFor(atMost time.Duration, stdin string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), atMost)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// addAccount adds an account with the usual password.
func (s *server) addAccount(login string) {
	s.t.Helper()
	s.lockstep(password+"\n", "account", "add", login)
}

// addDevice adds a device of Alice's and returns its password.
func (s *server) addDevice(name string) string {
	s.t.Helper()
	out := s.lockstep("", "device", "add", alice, name)
	secret, _, _ := strings.Cut(out, "\n")
	return secret
}

// metric sums the samples of a metric whose labels match.
func (s *server) metric(name, labels string) int {
	s.t.Helper()
	line := regexp.MustCompile(`(?m)^` + name + `(\{[^}]*` + labels + `[^}]*\})? ([0-9.e+]+)$`)
	sum := 0.0
	for _, m := range line.FindAllStringSubmatch(s.get("/metrics"), -1) {
		v, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			s.t.Fatal(err)
		}
		sum += v
	}
	return int(sum)
}

// indexed waits until the search index, which reads messages too, has seen all.
func (s *server) indexed() {
	s.t.Helper()
	if !eventually(func() bool { return s.metric("search_lag_changes", "") == 0 }) {
		s.t.Fatal("the search index does not come into step")
	}
}

// program runs a mail program to its end.
func program(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// syncBuffer is a buffer that may be read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// programFails runs a mail program that is expected to fail.
func programFails(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	return string(out), err
}
