// Package s3test runs a real S3 server on loopback, and a network that fails on
// purpose, for tests.
package s3test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep/internal/freeport"
	"lockstep/internal/steady"
)

// What the server is asked with. The secret is in a file, as operators keep it.
const (
	Bucket    = "backups"
	AccessKey = "test-access"
	Secret    = "test-secret"
	Region    = "us-east-1"
)

// patience bounds the start of the server, buildTime how long it may take to build.
const (
	patience  = steady.Patience
	buildTime = 9 * time.Minute
)

// Server is versitygw on a directory, whose file system has to know extended
// attributes.
type Server struct {
	Address    string // host:port
	SecretFile string
	Dir        string // of the buckets: objects are files

	program string
	iam     string
	cert    string
	scheme  string
}

// Endpoint is the server's URL.
func (s *Server) Endpoint() string { return s.scheme + "://" + s.Address }

// program is the path of the server, built once for each process from the module
// internal/tools/s3server, which pins its version. Go keeps what was built.
var program = sync.OnceValues(func() (string, error) {
	root, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), buildTime)
	defer cancel()
	build := exec.CommandContext(ctx, "go", "tool", "-n", "versitygw")
	build.Dir = filepath.Join(filepath.Dir(strings.TrimSpace(string(root))), "internal", "tools", "s3server")
	if os.Getenv("CI") != "true" {
		build.Env = append(os.Environ(), "GOPROXY=off") // go test ./... needs no network
	}
	var said bytes.Buffer
	build.Stderr = &said
	out, err := build.Output()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, firstLine(said.String()))
	}
	return strings.TrimSpace(string(out)), nil
})

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}

// Start starts a server with an empty bucket. Where it can't be built the test is
// skipped, in CI it fails.
func Start(t testing.TB) *Server { return start(t, "") }

// StartTLS is Start with a certificate; the file has its key, too.
func StartTLS(t testing.TB, certFile string) *Server { return start(t, certFile) }

func start(t testing.TB, cert string) *Server {
	t.Helper()
	path, err := program()
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal("the S3 server can't be built: ", err)
	}
	if err != nil {
		t.Skip("the S3 server is not built; make s3server does it: ", err)
	}
	s := &Server{program: path, Dir: filepath.Join(t.TempDir(), "s3"), SecretFile: filepath.Join(t.TempDir(), "secret"), iam: t.TempDir(), Address: freeAddress(t), cert: cert, scheme: "http"}
	if cert != "" {
		s.scheme = "https"
	}
	if err := os.MkdirAll(filepath.Join(s.Dir, Bucket), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.SecretFile, []byte(Secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.run(t)
	return s
}

// freeAddress finds a port that is ours.
func freeAddress(t testing.TB) string {
	t.Helper()
	at, err := freeport.Address()
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func (s *Server) environ() []string {
	return append(os.Environ(), "ROOT_ACCESS_KEY="+AccessKey, "ROOT_SECRET_KEY="+Secret)
}

// run starts the process, which ends with the test.
func (s *Server) run(t testing.TB) {
	t.Helper()
	var said bytes.Buffer
	args := []string{"--port", s.Address, "--region", Region, "--quiet", "--keep-alive", "--iam-dir", s.iam}
	if s.cert != "" {
		args = append(args, "--cert", s.cert, "--key", s.cert)
	}
	cmd := exec.Command(s.program, append(args, "posix", "--versioning-dir", t.TempDir(), s.Dir)...)
	cmd.Env, cmd.Stdout, cmd.Stderr = s.environ(), &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", s.Address)
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(deadline) {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			t.Fatalf("the S3 server does not get well: %v\n%s", err, said.String())
		}
	}
}

// AddUser adds somebody who may do nothing yet.
func (s *Server) AddUser(t testing.TB, access, secret string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.program, "admin", "--endpoint-url", s.Endpoint(), "--region", Region, "create-user", "--access", access, "--secret", secret, "--role", "user")
	cmd.Env = append(s.environ(), "ADMIN_ACCESS_KEY_ID="+AccessKey, "ADMIN_SECRET_ACCESS_KEY="+Secret)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
