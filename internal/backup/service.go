package backup

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"lockstep/internal/mail"
)

// A Service makes the backups of one server: by hand, by the clock or all the time, but
// never two at once to the same target.
type Service struct {
	Server     Server
	Data       string                                                 // the data directory
	To         string                                                 // the target where nobody names one; may be empty
	Recipients []string                                               // of age, in place of a recovery code
	Open       func(ctx context.Context, spec string) (Target, error) // makes a target of its name

	mu        sync.Mutex
	busy      map[string]bool      // targets that are written to
	following map[string]*Follower // who writes to a target all the time
}

// Begun reports whether there is a backup in the configured target.
func (s *Service) Begun(ctx context.Context) (bool, error) {
	t, err := s.Target(ctx, "")
	if err != nil {
		return false, err
	}
	h, err := readHeader(ctx, t)
	return h != nil, err
}

// Target opens a target that an operator named; "" is the configured one.
func (s *Service) Target(ctx context.Context, spec string) (Target, error) {
	if spec == "" {
		spec = s.To
	}
	if spec == "" {
		return nil, mail.Errorf(mail.Invalid, "where to? Name a directory with --to, or set backup.to in the configuration")
	}
	t, err := s.Open(ctx, spec)
	if err != nil {
		return nil, err
	}
	if d, ok := t.(*Dir); ok && (within(s.Data, d.root) || within(d.root, s.Data)) {
		return nil, mail.Errorf(mail.Invalid, "%s and the data directory lie in each other: name a place elsewhere, best on another disk", d.root)
	}
	return t, nil
}

// within says that a path is a directory, or lies in it.
func within(dir, path string) bool {
	dir, err1 := filepath.Abs(dir)
	path, err2 := filepath.Abs(path)
	rel, err := filepath.Rel(dir, path)
	return err1 == nil && err2 == nil && err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

// Begin begins a run to a target; see the function Begin. Who follows the server to it
// waits meanwhile. Another run to it in this process is mail.Conflict.
func (s *Service) Begin(ctx context.Context, spec string, o Options) (*Run, error) {
	f, err := s.Following(ctx, spec)
	if err != nil {
		return nil, err
	}
	if f == nil {
		return s.begin(ctx, spec, o)
	}
	goOn, err := f.yield(ctx)
	if err != nil {
		return nil, err
	}
	r, err := s.begin(ctx, spec, o)
	if err != nil {
		goOn()
		return nil, err
	}
	closed := r.closed
	r.closed = func() {
		closed()
		goOn()
	}
	return r, nil
}

func (s *Service) begin(ctx context.Context, spec string, o Options) (*Run, error) {
	t, err := s.Target(ctx, spec)
	if err != nil {
		return nil, err
	}
	if len(o.Recipients) == 0 {
		o.Recipients = s.Recipients
	}
	name := t.String()
	if err := s.take(name); err != nil {
		return nil, err
	}
	r, err := s.beginAt(ctx, t, o)
	if err != nil {
		s.leave(name)
		return nil, err
	}
	r.closed = func() { s.leave(name) }
	return r, nil
}

// beginAt begins a run. Where a backup was before, one that is gone is not begun anew
// unasked.
func (s *Service) beginAt(ctx context.Context, t Target, o Options) (*Run, error) {
	known, err := s.known()
	if err != nil {
		return nil, err
	}
	was := slices.Contains(known, t.String()) && !o.Anew
	asked := o.Existing
	o.Existing = asked || was
	r, err := Begin(ctx, t, s.Server, o)
	if mail.KindOf(err) == mail.NotFound && was && asked { // there is one, and it can't be reached
		return nil, &mail.Error{Kind: mail.Unavailable, Detail: err.Error() + " This server has backed up to there before."}
	}
	if mail.KindOf(err) == mail.NotFound && was {
		return nil, &mail.Error{Kind: mail.NotFound, Detail: err.Error() + " This server has backed up to there before. If that backup is meant to be gone, lockstep backup --anew begins another"}
	}
	if err != nil {
		return nil, err
	}
	if err := s.remember(t.String()); err != nil { // a disk that is full is to be backed up all the more
		r.server.Log.WarnContext(ctx, "backup: the target is not remembered", "target", t.String(), "err", err)
	}
	return r, nil
}

// take notes that a target is written to, if it is not yet.
func (s *Service) take(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy[name] {
		return mail.Errorf(mail.Conflict, "this server is writing to the backup in %s already: wait until that has ended", name)
	}
	if s.busy == nil {
		s.busy = map[string]bool{}
	}
	s.busy[name] = true
	return nil
}

func (s *Service) leave(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.busy, name)
}
