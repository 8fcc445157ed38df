package crashtest

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// traced are the system calls by which a process changes files or says
// something. Those that replay does not know are traced too, so that a driver
// that begins to use one fails the test instead of slipping past it.
const traced = "open,openat,creat,close,lseek,write,pwrite64,writev,pwritev,pwritev2,ftruncate,truncate,fallocate," +
	"fsync,fdatasync,sync_file_range,msync,rename,renameat,renameat2,unlink,unlinkat,rmdir,link,linkat,symlink,symlinkat,mkdir,mkdirat," +
	"execve,mmap,copy_file_range,sendfile,splice,dup,dup2,dup3"

// maxTracedString is longer than any single write of the driver.
const maxTracedString = 1 << 26

// A call is a system call as strace saw it.
type call struct {
	name    string
	args    []string
	ret     int64
	done    bool // it returned
	entered int  // steps of the trace
	left    int  // when it returned, or its process ended; else never
}

// never is later than every step.
const never = int(^uint(0) >> 1)

// A step is the moment a call begins or ends.
type step struct {
	*call
	leaving bool
}

// traceCommand runs a command under strace; inject makes calls fail as strace's
// option of that name says, and may be empty.
func traceCommand(file, inject string, command ...string) *exec.Cmd {
	args := []string{"-f", "--seccomp-bpf", "-qq", "-xx", "-s", strconv.Itoa(maxTracedString), "-e", "signal=none", "-e", "trace=" + traced, "-o", file}
	if inject != "" {
		args = append(args, "-e", "inject="+inject)
	}
	return exec.Command("strace", append(args, command...)...)
}

// readTrace reads what strace wrote.
func readTrace(file string) ([]step, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p := parser{open: map[string]*call{}}
	in := bufio.NewReaderSize(f, 1<<20)
	for n := 1; ; n++ {
		line, err := in.ReadString('\n')
		if err == io.EOF {
			return p.steps, nil
		}
		if err != nil {
			return nil, err
		}
		if err := p.line(strings.TrimSuffix(line, "\n")); err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", file, n, err)
		}
	}
}

type parser struct {
	open  map[string]*call // by thread
	steps []step
}

const (
	unfinished = " <unfinished ...>"
	resumed    = " resumed>"
	changed    = " <pid changed to "                // of the thread that superseded the others
	detached   = " <detached ...>"                  // of a thread that is gone
	superseded = "+++ superseded by execve in pid " // which put a new process in the place of all threads
)

func (p *parser) line(line string) error {
	pid, text, _ := strings.Cut(line, " ")
	text = strings.TrimLeft(text, " ")
	if cut, by, ok := strings.Cut(text, superseded); ok {
		return p.superseded(pid, by, strings.TrimSuffix(strings.TrimRight(cut, " "), pid))
	}
	switch {
	case strings.HasPrefix(text, "+++"), strings.HasPrefix(text, "---"):
		return nil
	case strings.HasPrefix(text, "<... "):
		c := p.open[pid]
		if c == nil {
			return nil // of a call that began before the trace did
		}
		delete(p.open, pid)
		_, rest, _ := strings.Cut(text, resumed)
		return p.leave(c, rest)
	}
	name, rest, ok := strings.Cut(text, "(")
	if !ok {
		return fmt.Errorf("not a call: %.60q", text)
	}
	c := &call{name: name, left: never, entered: len(p.steps)}
	p.steps = append(p.steps, step{c, false})
	rest, _, moved := strings.Cut(rest, changed)
	rest, gone := strings.CutSuffix(rest, detached)
	if args, more := strings.CutSuffix(rest, unfinished); more || moved || gone {
		p.open[pid] = c
		c.args = strings.Split(args, ", ")
		return nil
	}
	end := strings.IndexByte(rest, ')') // strings are in hexadecimal
	if end < 0 {
		return fmt.Errorf("a call without end: %.60q … %q", text, text[max(0, len(text)-80):])
	}
	c.args = strings.Split(rest[:end], ", ")
	return p.leave(c, rest[end:])
}

// superseded ends a process in whose place a thread put a new one, which goes on as its
// first thread. cut is what strace had begun to write of a call of that.
func (p *parser) superseded(first, by, cut string) error {
	by, _, _ = strings.Cut(by, " ")
	if name, args, ok := strings.Cut(cut, "("); ok {
		p.open[first] = &call{name: name, args: strings.Split(args, ", "), entered: len(p.steps)}
		p.steps = append(p.steps, step{p.open[first], false})
	}
	exec := p.open[by]
	delete(p.open, by)
	p.end()
	if exec != nil {
		p.open[first] = exec
	}
	return nil
}

// end ends what a process was about: its threads are gone, and what they wrote was written
// by then, or never will be.
func (p *parser) end() {
	for _, c := range p.open {
		c.left = len(p.steps) - 1
	}
	clear(p.open)
}

// leave ends a call; rest is what follows its arguments.
func (p *parser) leave(c *call, rest string) error {
	_, result, ok := strings.Cut(rest, "= ")
	if !ok {
		return fmt.Errorf("%s has no result in %q", c.name, rest)
	}
	result, _, _ = strings.Cut(result, " ")
	if result == "?" {
		return nil // it was killed in the midst of it
	}
	n, err := strconv.ParseInt(result, 0, 64)
	if err != nil && c.name != "mmap" {
		return fmt.Errorf("%s returned %q", c.name, result)
	}
	c.ret, c.done, c.left = n, true, len(p.steps)
	p.steps = append(p.steps, step{c, true})
	if c.name == "execve" && n == 0 {
		p.end()
	}
	return nil
}

// failed reports whether the call is known to have changed nothing.
func (c *call) failed() bool { return c.done && c.ret < 0 }

// num is an argument that is a number.
func (c *call) num(i int) int64 {
	n, err := strconv.ParseInt(c.args[i], 0, 64)
	if err != nil {
		panic(fmt.Sprintf("%s: argument %d is %.40q", c.name, i, c.args[i]))
	}
	return n
}

// text is an argument that is a string.
func (c *call) text(i int) string {
	body, ok := strings.CutPrefix(c.args[i], `"`)
	body, whole := strings.CutSuffix(body, `"`)
	b, err := hex.DecodeString(strings.ReplaceAll(body, `\x`, ""))
	if !ok || !whole || err != nil {
		panic(fmt.Sprintf("%s: argument %d is no whole string: %.40q", c.name, i, c.args[i]))
	}
	return string(b)
}
