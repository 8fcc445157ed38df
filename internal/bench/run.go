package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Options say what to run.
type Options struct {
	Binary    string   // the server under test
	Dir       string   // where both servers keep their data; "" for a temporary directory
	Only      []string // workloads; none means all
	Quick     bool     // less of everything
	Runs      int      // of each workload; 0 means as many as its size says
	Peer      bool     // beside Dovecot
	PeerFsync string   // Dovecot's mail_fsync
	Cluster   *Cluster // beside a node that works on it; nil: none
	Progress  io.Writer
}

// A bench is one run of the whole.
type bench struct {
	Options
	sizes  sizes
	jobs   []workload
	sites  []*site
	report *Report
}

// Names lists the workloads.
func Names() []string {
	var all []string
	for _, w := range workloads {
		all = append(all, w.name)
	}
	return all
}

// List prints what each workload does.
func List(w io.Writer) error {
	for _, job := range workloads {
		if _, err := fmt.Fprintf(w, "%-14s  %s\n", job.name, job.about); err != nil {
			return err
		}
	}
	return nil
}

// Run measures and reports. A workload that fails on a server is reported with
// its error and does not stop the others; Run fails only when no server starts.
func Run(ctx context.Context, opt Options) (*Report, error) {
	b, err := newBench(opt)
	if err != nil {
		return nil, err
	}
	return b.run(ctx)
}

func (b *bench) run(ctx context.Context) (*Report, error) {
	raiseFileLimit()
	dir, err := b.scratch()
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := b.startAll(ctx, dir); err != nil {
		return nil, errors.Join(err, b.stopAll())
	}
	b.report = describe(dir, b.sites)
	if b.report.Floor, err = measureFloor(dir); err == nil {
		b.runAll(ctx)
	}
	return b.report, errors.Join(err, ctx.Err(), b.stopAll())
}

func newBench(opt Options) (*bench, error) {
	b := &bench{Options: opt, sizes: fullSizes}
	if opt.Quick {
		b.sizes = quickSizes
	}
	if opt.Runs > 0 {
		b.sizes.rounds = opt.Runs
		b.sizes.coldRounds = min(b.sizes.coldRounds, opt.Runs)
	}
	for _, name := range opt.Only {
		if !slices.Contains(Names(), name) {
			return nil, fmt.Errorf("no workload %q: there are %s", name, strings.Join(Names(), ", "))
		}
	}
	for _, w := range workloads {
		if len(opt.Only) == 0 || slices.Contains(opt.Only, w.name) {
			b.jobs = append(b.jobs, w)
		}
	}
	return b, nil
}

// accounts are those that some workload works on, on a server.
func (b *bench) accounts(s server) []string {
	var all []string
	for _, w := range b.jobs {
		if !w.takes(s) {
			continue
		}
		all = append(append(all, w.needs...), w.uses...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// scratch makes the directory that both servers share. Dovecot runs as another
// user and must get through.
func (b *bench) scratch() (string, error) {
	dir, err := os.MkdirTemp(b.Dir, "lockstep-bench-")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}

func (b *bench) startAll(ctx context.Context, dir string) error {
	ours, err := newLockstep(b.Binary, filepath.Join(dir, "lockstep"), "")
	if err != nil {
		return err
	}
	servers := []server{ours}
	if b.Cluster != nil {
		n, err := newNode(b.Binary, filepath.Join(dir, "node"), b.Cluster)
		if err != nil {
			return err
		}
		servers = append(servers, n)
	}
	if b.Peer {
		theirs, err := newDovecot(filepath.Join(dir, "dovecot"), b.PeerFsync)
		if err != nil {
			return err
		}
		servers = append(servers, theirs)
	}
	for _, s := range servers {
		b.say("starting %s %s", s.name(), s.version())
		if err := s.addAccounts(ctx, b.accounts(s)); err != nil {
			return err
		}
		if err := s.start(ctx, ""); err != nil {
			return fmt.Errorf("%s: %w", s.name(), err)
		}
		b.sites = append(b.sites, &site{server: s, sizes: b.sizes, loaded: map[string]bool{}})
	}
	return nil
}

func (b *bench) stopAll() error {
	var all []error
	for _, s := range b.sites {
		all = append(all, s.stop())
	}
	return errors.Join(all...)
}

func (b *bench) runAll(ctx context.Context) {
	for _, w := range b.jobs {
		if ctx.Err() != nil {
			return
		}
		start := time.Now()
		results := b.runOne(ctx, w)
		b.report.add(w, results)
		b.say("%s: %v", w.name, time.Since(start).Round(100*time.Millisecond))
	}
}

// A result is what the runs of one workload on one server gave.
type result struct {
	server string
	names  []string
	runs   map[string][]float64
	err    error
}

// runOne runs a workload on each server in turns; who begins changes each round.
func (b *bench) runOne(ctx context.Context, w workload) []*result {
	var taking []*site
	var results []*result
	for _, s := range b.sites {
		if !w.takes(s) {
			continue
		}
		r := &result{server: s.name(), runs: map[string][]float64{}}
		r.err = b.prepare(ctx, w, s)
		taking, results = append(taking, s), append(results, r)
	}
	for round := range w.rounds(b.sizes) {
		for i := range taking {
			k := (i + round) % len(taking)
			b.once(ctx, w, taking[k], results[k])
		}
	}
	return results
}

// prepare sees that the server still runs, loads what the workload needs and warms up.
func (b *bench) prepare(ctx context.Context, w workload, s *site) error {
	if err := s.revive(ctx); err != nil {
		return err
	}
	for _, account := range w.needs {
		if err := s.load(ctx, account); err != nil {
			return err
		}
	}
	if err := s.catchUp(ctx); err != nil {
		return err
	}
	if !w.warm {
		return nil
	}
	_, err := w.measure(ctx, s)
	return err
}

// once runs a workload that has not failed yet.
func (b *bench) once(ctx context.Context, w workload, s *site, r *result) {
	if r.err != nil {
		return
	}
	figures, err := w.measure(ctx, s)
	if err == nil {
		err = s.catchUp(ctx)
	}
	if r.err = err; err != nil {
		b.say("%s: %s: %v", w.name, s.name(), err)
		return
	}
	for _, f := range figures {
		if _, known := r.runs[f.name]; !known {
			r.names = append(r.names, f.name)
		}
		r.runs[f.name] = append(r.runs[f.name], f.value)
	}
}

func (b *bench) say(format string, args ...any) {
	if b.Progress != nil {
		fmt.Fprintf(b.Progress, format+"\n", args...)
	}
}

// raiseFileLimit makes room for ten thousand connections, here and in the
// servers, which inherit it; where it may not, as much as it may.
func raiseFileLimit() {
	const wanted = 65536
	if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: wanted, Max: wanted}) == nil {
		return
	}
	var have syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &have) == nil {
		have.Cur = have.Max
		syscall.Setrlimit(syscall.RLIMIT_NOFILE, &have)
	}
}
