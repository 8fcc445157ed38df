package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"lockstep/internal/admin"
	"lockstep/internal/config"
	"lockstep/internal/demo"
	"lockstep/internal/mail"
)

type demoCommand struct {
	PortOffset int    `help:"Add this to every port." default:"0" placeholder:"N"`
	Seed       uint64 `help:"Another seed makes other mail." default:"1"`
	Cluster    bool   `help:"Three nodes on this machine, on PostgreSQL, NATS and an S3 server of their own; the ports of a node are those of the one before and 100."`
}

// demoFile marks a data directory as a demo, and remembers what it was made with.
const demoFile = "demo.json"

type demoState struct {
	Seed    uint64
	Made    time.Time
	Filled  bool
	Devices map[string]string // app passwords by device; a demo keeps what a server never would
}

func (d *demoCommand) Run(ctx context.Context, g *globals) error {
	cfg := config.Default()
	cfg.Hostname = "mail.example.test"
	cfg.Data = g.Data
	if g.Config != "" {
		return errors.New("the demo has a configuration of its own; leave --config out, or run: lockstep serve --config " + g.Config)
	}
	if err := shiftPorts(&cfg.Listen, d.PortOffset); err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(cfg.Listen.HTTPS[0])
	if err != nil {
		return err
	}
	cfg.PublicURL = "https://localhost:" + port
	if d.Cluster && cfg.Data != "" {
		return errors.New("the demo of a cluster keeps nothing: leave --data out")
	}
	if cfg.Data == "" {
		dir, err := os.MkdirTemp("", "lockstep-demo-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		cfg.Data = dir
		if d.Cluster {
			cfg.Data = filepath.Join(dir, "node1")
		}
	}
	state, err := readDemoState(cfg.Data, d.Seed)
	if err != nil {
		return err
	}
	out := &demoOutput{w: os.Stdout, colour: isTerminal(os.Stdout)}
	if !d.Cluster {
		return runDemo(ctx, cfg, state, out, nil)
	}
	engines, err := startEngines(ctx, filepath.Dir(cfg.Data), "", out)
	if err != nil {
		return err
	}
	defer engines.stop()
	if cfg, err = engines.config(cfg, 1); err != nil {
		return err
	}
	return runDemo(ctx, cfg, state, out, engines)
}

// shiftPorts adds n to every port.
func shiftPorts(l *config.Listen, n int) error {
	for _, addrs := range []config.Addresses{l.IMAP, l.IMAPS, l.POP3, l.POP3S, l.LMTP, l.SMTP, l.Submission, l.Submissions, l.HTTP, l.HTTPS} {
		for i, addr := range addrs {
			host, port, err := net.SplitHostPort(addr)
			if err != nil {
				return err
			}
			p, err := strconv.Atoi(port)
			if err != nil {
				return err
			}
			if p += n; p < 1 || p > 65535 {
				return fmt.Errorf("--port-offset %d makes port %d, which does not exist", n, p)
			}
			addrs[i] = net.JoinHostPort(host, strconv.Itoa(p))
		}
	}
	return nil
}

// readDemoState opens a demo's directory or begins one; any other is refused.
func readDemoState(data string, seed uint64) (demoState, error) {
	fresh := demoState{Seed: seed, Made: time.Now().Truncate(time.Second), Devices: map[string]string{}}
	text, err := os.ReadFile(filepath.Join(data, demoFile))
	if err == nil {
		var s demoState
		if err := json.Unmarshal(text, &s); err != nil {
			return s, fmt.Errorf("%s is damaged: %w; remove %s to make a new demo", filepath.Join(data, demoFile), err, data)
		}
		return s, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fresh, err
	}
	entries, err := os.ReadDir(data)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fresh, err
	}
	if len(entries) > 0 {
		return fresh, fmt.Errorf("%s is not empty and is no demo: name another directory, or run a server on it with: lockstep serve --data %[1]s", data)
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return fresh, err
	}
	return fresh, fresh.write(data)
}

func (s demoState) write(data string) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(data, demoFile), append(text, '\n'), 0o600)
}

// runDemo serves until ctx ends; engines are those of several nodes, or nil.
func runDemo(ctx context.Context, cfg config.Config, state demoState, out *demoOutput, engines *demoEngines) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	stop, err := demoOutside{out}.listen(&cfg.Outgoing)
	if err != nil {
		return err
	}
	defer stop()
	h, err := openHouse(ctx, cfg, log)
	if err != nil {
		return err
	}
	if err := h.fillDemo(ctx, &state); err != nil {
		return errors.Join(err, h.close())
	}
	f := &admin.Follower{Ops: h.ops, Wait: gatherTime, Tell: out.change}
	h.hub.OnWritten(f.Wrote)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var following sync.WaitGroup
	others := func() {}
	if engines != nil {
		key, err := os.ReadFile(h.path(keyFile))
		if err == nil {
			others, err = engines.otherNodes(ctx, cfg, key)
		}
		if err != nil {
			cancel()
			others()
			return errors.Join(err, h.close())
		}
	}
	err = h.run(ctx, func([]service) {
		out.welcome(cfg, state)
		if engines != nil {
			out.say("This is node1. What is done at one node is done at all of them: open the mailbox at two of their ports. Kill one (kill -9 with its process), and see: lockstep cluster status --data %s", cfg.Data)
		}
		for _, login := range []string{demo.Alice, demo.Bob} {
			following.Go(func() {
				if err := f.Follow(ctx, login); err != nil && ctx.Err() == nil {
					log.Error("changes are not shown any more", "err", err)
				}
			})
		}
	})
	cancel()
	following.Wait()
	others()
	var taken *portError
	if errors.As(err, &taken) {
		err = fmt.Errorf("%w. Or shift all ports: lockstep demo --port-offset 1000", err)
	}
	return errors.Join(err, h.close())
}

// gatherTime is how long a change line waits for the devices it is written to.
const gatherTime = 50 * time.Millisecond

// demoDevices are the app-password devices of Alice.
var demoDevices = []string{"laptop", "phone"}

// fillDemo makes accounts, devices and mail, as far as they are not there yet.
func (h *house) fillDemo(ctx context.Context, s *demoState) error {
	if s.Filled {
		return nil
	}
	c := admin.Here(h.ops, func() error { return nil })
	defer c.Close()
	for _, login := range []string{demo.Alice, demo.Bob} {
		_, err := admin.AccountAdd.One(ctx, c, admin.NewAccount{Login: login, Password: demo.Password})
		if err != nil && mail.KindOf(err) != mail.Exists {
			return err
		}
	}
	for _, name := range demoDevices {
		if s.Devices[name] != "" {
			continue
		}
		d, err := admin.DeviceAdd.One(ctx, c, admin.NewDevice{Login: demo.Alice, Name: name})
		if err != nil {
			return err
		}
		s.Devices[name] = d.Secret
		if err := s.write(h.cfg.Data); err != nil {
			return err
		}
	}
	messages := demo.Mail(s.Seed, s.Made)
	for _, login := range []string{demo.Alice, demo.Bob} {
		if err := h.fillAccount(ctx, login, messages); err != nil {
			return err
		}
	}
	s.Filled = true
	return s.write(h.cfg.Data)
}

func (h *house) fillAccount(ctx context.Context, login string, messages []demo.Message) error {
	source := func(put func(admin.Item) error) error {
		for _, m := range messages {
			if m.Login != login {
				continue
			}
			if err := put(admin.Item{Mailbox: m.Mailbox, Flags: m.Flags, Date: m.Date, Body: bytes.NewReader(m.Raw)}); err != nil {
				return err
			}
		}
		return nil
	}
	by := mail.NewOrigin("demo", 0, mail.Local, mail.ByImport)
	_, err := h.ops.Import(ctx, login, by, source, func(admin.Imported) error { return nil })
	return err
}

// demoOutput writes to the person at the terminal.
type demoOutput struct {
	mu     sync.Mutex
	w      io.Writer
	colour bool
}

// change writes one change as one line.
func (o *demoOutput) change(f admin.Followed) {
	o.mu.Lock()
	defer o.mu.Unlock()
	name, _, _ := strings.Cut(f.Login, "@")
	fmt.Fprintf(o.w, "%s %s · %s · %s\n", o.paint("2", f.Time.Local().Format(time.TimeOnly)), o.paint("1", name),
		strings.Map(printable, f.Event.String()), o.paint("32", f.Round()))
}

// say writes a line about the demo itself.
func (o *demoOutput) say(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	fmt.Fprintln(o.w, o.paint("2", fmt.Sprintf(format, args...)))
}

func (o *demoOutput) paint(code, s string) string {
	if !o.colour {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (o *demoOutput) welcome(cfg config.Config, s demoState) {
	o.mu.Lock()
	defer o.mu.Unlock()
	port := func(a config.Addresses) string { _, p, _ := net.SplitHostPort(a[0]); return p }
	err := demoWelcome.Execute(o.w, map[string]any{
		"Alice": demo.Alice, "Bob": demo.Bob, "Password": demo.Password, "Devices": demoDevices, "Secrets": s.Devices,
		"IMAP": port(cfg.Listen.IMAP), "IMAPS": port(cfg.Listen.IMAPS), "POP3": port(cfg.Listen.POP3), "POP3S": port(cfg.Listen.POP3S), "SMTP": port(cfg.Listen.SMTP), "LMTP": port(cfg.Listen.LMTP),
		"Submission": port(cfg.Listen.Submission), "Submissions": port(cfg.Listen.Submissions), "HTTP": port(cfg.Listen.HTTP), "HTTPS": port(cfg.Listen.HTTPS),
	})
	if err != nil {
		panic(err) // our own template
	}
}
