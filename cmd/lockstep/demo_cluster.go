package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"lockstep/internal/config"
	"lockstep/internal/freeport"
	"lockstep/internal/notify/natsbus/natsserver"
	"lockstep/internal/store/sqlstore/pgserver"
)

// The demo of several nodes: this process is the first of them, and runs what they
// share; the others are processes of their own, which may be killed.
const (
	demoNodes  = 3
	demoStride = 100 // between the ports of two nodes
)

// How long what the demo starts may take, and how long a node that was killed stays
// away.
const (
	demoStart  = time.Minute
	demoBuild  = 10 * time.Minute // of the S3 server, the first time
	demoReturn = 3 * time.Second
)

const demoBucket = "mail"

// demoEngines are what the nodes of a demo share.
type demoEngines struct {
	dir   string
	disk  string // where the database is to lie; "" is a place of its own, which anybody may enter
	out   *demoOutput
	db    *pgserver.Server
	bus   *natsserver.Server
	s3    *exec.Cmd
	share config.Cluster
}

// startEngines starts a database, a bus and a bucket that go with this process.
func startEngines(ctx context.Context, dir, disk string, out *demoOutput) (_ *demoEngines, err error) {
	e := &demoEngines{dir: dir, disk: disk, out: out, share: config.Default().Cluster}
	defer func() {
		if err != nil {
			e.stop()
		}
	}()
	for _, part := range []struct {
		name  string
		start func(context.Context) error
	}{{"PostgreSQL", e.startDatabase}, {"NATS", e.startBus}, {"the S3 server", e.startBucket}} {
		out.say("Starting %s …", part.name)
		if err := part.start(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return e, nil
}

func (e *demoEngines) startDatabase(context.Context) (err error) {
	o := pgserver.Options{Durable: true}
	if e.disk != "" {
		around := filepath.Join(e.disk, "postgres") // its log lies beside its data
		o.Dir, o.Goes = filepath.Join(around, "server"), true
		if err := errors.Join(os.MkdirAll(o.Dir, 0o700), pgserver.Own(around), pgserver.Own(o.Dir)); err != nil {
			return err
		}
	}
	e.db, err = pgserver.Start(o)
	if errors.Is(err, pgserver.ErrMissing) {
		return fmt.Errorf("%w: the demo of a cluster runs a server of its own, which goes with it", err)
	}
	if err == nil {
		err = e.db.Exec("CREATE DATABASE lockstep ENCODING 'UTF8' TEMPLATE template0")
	}
	if err == nil {
		e.share.Database = e.db.Of("lockstep")
	}
	return err
}

func (e *demoEngines) startBus(context.Context) (err error) {
	if e.bus, err = natsserver.Start(nil); err == nil {
		e.share.Notify = e.bus.URL
	}
	return err
}

func (e *demoEngines) startBucket(ctx context.Context) error {
	program, err := s3Program(ctx)
	if err != nil {
		return err
	}
	addr, err := freeport.Address()
	if err != nil {
		return err
	}
	secret := rand.Text()
	secretFile := filepath.Join(e.dir, "s3-secret")
	if err := errors.Join(os.MkdirAll(filepath.Join(e.dir, "s3", demoBucket), 0o700), os.MkdirAll(filepath.Join(e.dir, "s3-users"), 0o700), os.WriteFile(secretFile, []byte(secret+"\n"), 0o600)); err != nil {
		return err
	}
	e.s3 = exec.Command(program, "--port", addr, "--quiet", "--keep-alive", "--iam-dir", filepath.Join(e.dir, "s3-users"), "posix", filepath.Join(e.dir, "s3"))
	e.s3.Env = append(os.Environ(), "ROOT_ACCESS_KEY=demo", "ROOT_SECRET_KEY="+secret)
	said := &bytes.Buffer{}
	e.s3.Stdout, e.s3.Stderr = said, said
	if err := startChild(e.s3); err != nil {
		return err
	}
	e.share.Blobs = "s3://" + demoBucket
	e.share.S3 = config.S3{Endpoint: "http://" + addr, Region: "us-east-1", PathStyle: true, AccessKey: "demo", SecretKeyFile: secretFile}
	for end := time.Now().Add(demoStart); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			return c.Close()
		}
		if time.Now().After(end) {
			return fmt.Errorf("it did not start: %s", said)
		}
	}
}

// s3Program finds an S3 server: one that is installed, else the one that the sources
// pin, which Go builds and keeps.
func s3Program(ctx context.Context) (string, error) {
	if path, err := exec.LookPath("versitygw"); err == nil {
		return path, nil
	}
	missing := errors.New("versitygw is not installed, and these are not the sources of Lockstep, which can build it: install it, or run this as go run ./cmd/lockstep demo --cluster")
	module, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", missing
	}
	ctx, cancel := context.WithTimeout(ctx, demoBuild)
	defer cancel()
	build := exec.CommandContext(ctx, "go", "tool", "-n", "versitygw")
	build.Dir = filepath.Join(filepath.Dir(strings.TrimSpace(string(module))), "internal", "tools", "s3server")
	if _, err := os.Stat(build.Dir); err != nil {
		return "", missing
	}
	var said bytes.Buffer
	build.Stderr = &said
	out, err := build.Output()
	if err != nil {
		return "", fmt.Errorf("building it: %w: %s", err, strings.TrimSpace(said.String()))
	}
	return strings.TrimSpace(string(out)), nil
}

// startChild starts a process that ends with this one, whatever becomes of it.
func startChild(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true // Ctrl-C is for us, and we end the others
	endWithUs(cmd.SysProcAttr)
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // whose end the kernel takes for ours
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	return <-started
}

func (e *demoEngines) stop() {
	if e.s3 != nil && e.s3.Process != nil {
		_ = e.s3.Process.Kill()
	}
	if e.bus != nil {
		e.bus.Stop()
	}
	if e.db != nil {
		e.db.Stop()
	}
}

// config is how node n is set up; 1 is this process.
func (e *demoEngines) config(first config.Config, n int) (config.Config, error) {
	c := first
	c.Cluster = e.share
	c.Cluster.Node = fmt.Sprintf("node%d", n)
	c.Cluster.DrainNotice, c.Cluster.DrainTime = 0, 0 // Ctrl-C is not to be waited for
	if n == 1 {
		return c, nil
	}
	c.Listen = config.Default().Listen
	c.Data = filepath.Join(e.dir, c.Cluster.Node)
	_, port, err := net.SplitHostPort(first.Listen.IMAP[0])
	if err != nil {
		return c, err
	}
	_, base, err := net.SplitHostPort(c.Listen.IMAP[0])
	if err != nil {
		return c, err
	}
	return c, shiftPorts(&c.Listen, atoi(port)-atoi(base)+(n-1)*demoStride)
}

func atoi(s string) (n int) {
	fmt.Sscan(s, &n)
	return n
}

// demoNode is a node in a process of its own.
type demoNode struct {
	cfg  config.Config
	file string
	mu   sync.Mutex
	cmd  *exec.Cmd
}

// begin writes the node's configuration and gives it the key that all nodes have.
func (n *demoNode) begin(key []byte) error {
	n.file = n.cfg.Data + ".toml"
	if err := os.MkdirAll(n.cfg.Data, 0o700); err != nil {
		return err
	}
	var text strings.Builder
	if err := n.cfg.Print(&text); err != nil {
		return err
	}
	return errors.Join(os.WriteFile(filepath.Join(n.cfg.Data, keyFile), key, 0o600), os.WriteFile(n.file, []byte(text.String()), 0o600))
}

// run keeps the node running until ctx ends: when it is killed it comes back.
func (n *demoNode) run(ctx context.Context, out *demoOutput) {
	for ctx.Err() == nil {
		ended, err := n.start()
		if err != nil {
			out.say("%s can't be started: %v", n.cfg.Cluster.Node, err)
			return
		}
		if n.await(ctx) {
			out.say("%s is ready: IMAP %s, process %d (log %s.log)", n.cfg.Cluster.Node, n.cfg.Listen.IMAP[0], n.pid(), n.cfg.Data)
		}
		select {
		case <-ended:
			out.say("%s is gone; it comes back in %v", n.cfg.Cluster.Node, demoReturn)
		case <-ctx.Done():
			_ = n.process().Signal(os.Interrupt)
			<-ended
			return
		}
		select {
		case <-time.After(demoReturn):
		case <-ctx.Done():
		}
	}
}

func (n *demoNode) start() (ended chan struct{}, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(n.cfg.Data+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "serve", "--config", n.file)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	endWithUs(cmd.SysProcAttr)
	ended = make(chan struct{})
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(ended)
		defer log.Close()
		err := cmd.Start()
		n.mu.Lock()
		n.cmd = cmd
		n.mu.Unlock()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	return ended, <-started
}

func (n *demoNode) process() *os.Process {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cmd.Process
}

func (n *demoNode) pid() int { return n.process().Pid }

// await waits until the node says that it is ready.
func (n *demoNode) await(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, demoStart)
	defer cancel()
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.cfg.Listen.HTTP[0]+"/readyz", nil)
		if err != nil {
			return false
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return true
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
	return false
}

// otherNodes starts the nodes that are processes of their own, and returns when all
// of them have ended after ctx has.
func (e *demoEngines) otherNodes(ctx context.Context, first config.Config, key []byte) (wait func(), err error) {
	var running sync.WaitGroup
	for i := 2; i <= demoNodes; i++ {
		cfg, err := e.config(first, i)
		if err != nil {
			return running.Wait, err
		}
		n := &demoNode{cfg: cfg}
		if err := n.begin(key); err != nil {
			return running.Wait, err
		}
		running.Go(func() { n.run(ctx, e.out) })
	}
	return running.Wait, nil
}
