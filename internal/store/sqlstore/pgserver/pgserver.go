// Package pgserver runs PostgreSQL servers of its own, for tests and for the demo: on
// loopback, without passwords, and gone with the process.
package pgserver

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"lockstep/internal/freeport"
)

// StartTime bounds how long a server may take to start.
const StartTime = time.Minute

// A Server is a PostgreSQL server of its own.
type Server struct {
	URL string // of a database, as a user who may do everything
	Dir string // its data; "" when it is not ours

	Programs string // where they lie

	cmd   *exec.Cmd
	ended chan struct{} // closed when cmd has ended
	port  int
	with  Options
}

// Of is the URL of a database of the server.
func (s *Server) Of(database string) string {
	u, err := url.Parse(s.URL)
	if err != nil {
		return s.URL
	}
	u.Path = "/" + database
	return u.String()
}

// Exec runs statements as the server's owner.
func (s *Server) Exec(sql string) error { return run(s.URL, sql) }

// In runs statements in a database of the server.
func (s *Server) In(database, sql string) error { return run(s.Of(database), sql) }

func run(url, sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), StartTime)
	defer cancel()
	c, err := pgconn.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	return c.Exec(ctx, sql).Close()
}

// Options say how a server is made. The zero Options make one that forgets what it
// was told when the machine fails, which is what most tests want.
type Options struct {
	Durable  bool     // syncs its log
	Settings []string // further ones: "name=value"
	Dir      string   // where its data is to be, or is already; "" makes a place that goes
	Port     int      // 0 takes one that is free
	// Prepared says that Dir holds a database already, such as a copy made by
	// pg_basebackup.
	Prepared bool
	Goes     bool // Dir goes when the server ends
}

// ErrMissing says that there is no PostgreSQL.
var ErrMissing = errors.New("PostgreSQL is not installed (Debian: postgresql)")

// Programs is where the server's programs lie.
func Programs() (string, error) {
	if path, err := exec.LookPath("pg_ctl"); err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(real), nil
		}
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(found) == 0 {
		return "", ErrMissing
	}
	return filepath.Dir(found[len(found)-1]), nil
}

// Start starts a server, which ends with this process at the latest.
func Start(o Options) (*Server, error) {
	bin, err := Programs()
	if err != nil {
		return nil, err
	}
	s := &Server{Programs: bin, Dir: o.Dir, port: o.Port}
	goes := o.Goes || o.Dir == ""
	if o.Dir == "" {
		if s.Dir, err = os.MkdirTemp("", "lockstep-postgres-"); err != nil {
			return nil, err
		}
		if err := Own(s.Dir); err != nil {
			return nil, err
		}
	}
	if s.port == 0 {
		ports, err := freeport.Take(1)
		if err != nil {
			return nil, err
		}
		s.port = ports[0]
	}
	s.URL = fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", s.port)
	if !o.Prepared {
		if out, err := Command(filepath.Join(bin, "initdb"), "-D", s.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N").CombinedOutput(); err != nil {
			return nil, fmt.Errorf("initdb: %w: %s", err, out)
		}
	}
	return s, s.start(o, goes)
}

// PID is a process that the server's hang below.
func (s *Server) PID() int { return s.cmd.Process.Pid }

func (s *Server) data() string { return filepath.Join(s.Dir, "data") }

// Restart stops a server, in a way that pg_ctl knows ("fast", "immediate"), and starts
// it again.
func (s *Server) Restart(how string) error {
	if out, err := Command(filepath.Join(s.Programs, "pg_ctl"), "-D", s.data(), "-m", how, "-w", "stop").CombinedOutput(); err != nil {
		return fmt.Errorf("pg_ctl stop: %w: %s", err, out)
	}
	<-s.ended
	return s.start(s.with, false)
}

func (s *Server) start(o Options, goes bool) error {
	s.with, s.ended = o, make(chan struct{})
	ended := s.ended
	args := []string{"-D", s.data(), "-p", strconv.Itoa(s.port), "-c", "listen_addresses=127.0.0.1", "-k", "",
		"-c", "max_connections=500", "-c", "shared_buffers=128MB", "-c", "max_wal_size=4GB"}
	if !o.Durable {
		args = append(args, "-c", "fsync=off", "-c", "full_page_writes=off")
	}
	for _, set := range o.Settings {
		args = append(args, "-c", set)
	}
	// The shell takes the data away when the server has ended, however it did.
	script := `trap 'kill -QUIT $p' TERM; "$@" >"$0.log" 2>&1 & p=$!; wait $p; wait $p`
	if goes {
		script += `; rm -rf "$0" "$0.log"`
	}
	s.cmd = Command("sh", append([]string{"-c", script, s.Dir, filepath.Join(s.Programs, "postgres")}, args...)...)
	s.cmd.SysProcAttr.Setpgid = true // Ctrl-C is not for it
	endWithUs(s.cmd.SysProcAttr)
	cmd, started := s.cmd, make(chan error, 1)
	go func() {
		runtime.LockOSThread() // whose end would be taken for the process's
		defer close(ended)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	return s.await()
}

// await returns when the server answers.
func (s *Server) await() error {
	var err error
	for end := time.Now().Add(StartTime); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = s.Exec("SELECT 1"); err == nil {
			return nil
		}
	}
	log, _ := os.ReadFile(s.Dir + ".log")
	return fmt.Errorf("PostgreSQL did not start: %w: %s", err, log)
}

// Stop ends a server of ours at once, as a crash would.
func (s *Server) Stop() {
	if s.cmd != nil && s.cmd.Process != nil {
		s.cmd.Process.Signal(syscall.SIGTERM)
	}
}

// Command runs something as who may run PostgreSQL, which root may not.
func Command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if uid, gid, is := someoneElse(); is {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uid, Gid: gid}
	}
	cmd.Dir = os.TempDir()
	return cmd
}

// someoneElse is whom root runs PostgreSQL as.
func someoneElse() (uid, gid uint32, is bool) {
	if os.Geteuid() != 0 {
		return 0, 0, false
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		id, err1 := strconv.ParseUint(u.Uid, 10, 32)
		group, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil {
			return uint32(id), uint32(group), true
		}
	}
	return 0, 0, false
}

// Own gives a directory to who runs the server.
func Own(dir string) error {
	if uid, gid, is := someoneElse(); is {
		return os.Chown(dir, int(uid), int(gid))
	}
	return nil
}
