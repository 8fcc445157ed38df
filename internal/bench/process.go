package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Bounds on waiting for a server's life to begin and to end.
const (
	startTime = 2 * time.Minute
	stopTime  = 30 * time.Second
)

// process is a server that runs. It is ended by its own id and no other way.
type process struct {
	cmd    *exec.Cmd
	pid    int // the server's own, also below a tracer
	exited chan struct{}
	log    string
}

// syncCalls are the system calls that wait for stable storage.
var syncCalls = []string{"fsync", "fdatasync", "msync", "sync_file_range", "syncfs", "sync"}

// startProcess runs a server with its output in dir. With a trace file it runs
// under strace, which writes down each sync: by a seccomp filter, so that all
// other calls run at full speed.
func startProcess(dir, trace, program string, args ...string) (*process, error) {
	p := &process{exited: make(chan struct{}), log: filepath.Join(dir, filepath.Base(program)+".out")}
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	if trace != "" {
		args = append([]string{"-f", "-qq", "--seccomp-bpf", "-y", "-e", "signal=none", "-e", "trace=" + strings.Join(syncCalls, ","), "-o", trace, program}, args...)
		program = "strace"
	}
	p.cmd = exec.Command(program, args...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt at the terminal is ours to handle
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	p.pid = p.cmd.Process.Pid
	go func() {
		p.cmd.Wait()
		close(p.exited)
	}()
	if trace != "" {
		p.pid, err = tracee(p.pid)
	}
	return p, err
}

// tracee waits until strace has started the server. A child that still is strace
// is one it forks to try things out.
func tracee(pid int) (int, error) {
	path := fmt.Sprintf("/proc/%d/task/%d/children", pid, pid)
	tracer, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	for deadline := time.Now().Add(startTime); err == nil && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		var text []byte
		text, err = os.ReadFile(path)
		for _, child := range strings.Fields(string(text)) {
			if exe, err := os.Readlink("/proc/" + child + "/exe"); err == nil && exe != tracer {
				return strconv.Atoi(child)
			}
		}
	}
	return 0, errors.Join(err, errors.New("the traced server did not start"))
}

// running reports whether the server has not ended.
func (p *process) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// stop asks the server to end, waits, and kills it when it does not.
func (p *process) stop() error {
	syscall.Kill(p.pid, syscall.SIGTERM)
	select {
	case <-p.exited:
		return nil
	case <-time.After(stopTime):
	}
	syscall.Kill(p.pid, syscall.SIGKILL)
	p.cmd.Process.Kill()
	<-p.exited
	return fmt.Errorf("process %d did not stop within %v and was killed", p.pid, stopTime)
}

// awaitListener returns once addr answers, or says how the log ends.
func (p *process) awaitListener(ctx context.Context, addr string) error {
	deadline := time.Now().Add(startTime)
	for {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			return c.Close()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.exited:
			return fmt.Errorf("the server ended while starting: %s", p.lastWords())
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("nothing listens on %s: %s", addr, p.lastWords())
		}
	}
}

// lastWords is the end of the server's output.
func (p *process) lastWords() string {
	text, _ := os.ReadFile(p.log)
	return string(text[max(0, len(text)-500):])
}
