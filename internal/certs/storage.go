package certs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

const (
	under      = "certificates/" // where ours are, of the files and the leases
	maxListed  = 10_000          // of files that one question is answered with
	lockLife   = 2 * time.Minute // after which somebody else may go on where a node died
	lockRetry  = time.Second     // between looks whether a lock is free
	closeTime  = 2 * time.Second // to give locks back when the server stops
	tokenLife  = time.Hour       // of what is left of a challenge whose node died
	stapleLife = 60 * 24 * time.Hour
)

// storage keeps what certmagic keeps where all nodes find it. What is stored is sealed.
type storage struct {
	files  store.Files
	leases store.Leases
	seal   *seal
	node   string
	log    *slog.Logger

	calls  sync.WaitGroup
	mu     sync.Mutex
	closed bool
	held   map[string]*held     // by name
	turns  map[string]chan bool // holds one while nobody here has the lock of that name
}

// held is a lock that somebody here has.
type held struct {
	lease store.Lease
	stop  context.CancelFunc
	done  chan struct{}
}

var errClosed = errors.New("the server stops")

func newStorage(files store.Files, leases store.Leases, s *seal, node string, log *slog.Logger) *storage {
	return &storage{files: files, leases: leases, seal: s, node: node, log: log, held: map[string]*held{}, turns: map[string]chan bool{}}
}

// String is what certmagic may log of it.
func (s *storage) String() string { return "shared files" }

// begin is the beginning of a call; whoever makes one after close is refused.
func (s *storage) begin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	s.calls.Add(1)
	return nil
}

// close gives back what is held, for other nodes to go on with, and returns when nothing
// of the store is used any more.
func (s *storage) close() {
	s.mu.Lock()
	s.closed = true
	left := s.held
	s.held = map[string]*held{}
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	for name, h := range left {
		h.stop()
		<-h.done
		if err := s.leases.Yield(ctx, h.lease); err != nil {
			s.log.Info("lease of a certificate not given back: it ends by itself", "name", name, "err", err)
		}
	}
	s.calls.Wait()
}

// Store implements certmagic.Storage.
func (s *storage) Store(ctx context.Context, key string, value []byte) error {
	if err := s.begin(); err != nil {
		return err
	}
	defer s.calls.Done()
	f := store.File{Name: under + key, Data: s.seal.close(under+key, value)}
	if life := lifeOf(key); life > 0 {
		f.Until = time.Now().Add(life)
	}
	return s.files.PutFile(ctx, f)
}

// lifeOf is for how long what has this key is of use; 0 is until it is removed.
func lifeOf(key string) time.Duration {
	switch {
	case strings.Contains(key, "/challenge_tokens/"), strings.HasPrefix(key, "rw_test_"):
		return tokenLife
	case strings.HasPrefix(key, "ocsp/"):
		return stapleLife
	}
	return 0
}

// Load implements certmagic.Storage.
func (s *storage) Load(ctx context.Context, key string) ([]byte, error) {
	if err := s.begin(); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	f, err := s.files.FileNamed(ctx, under+key)
	if err != nil {
		return nil, asFS(key, err)
	}
	return s.seal.open(f.Name, f.Data)
}

// asFS says it in the words that certmagic looks for.
func asFS(key string, err error) error {
	if mail.KindOf(err) == mail.NotFound {
		return &fs.PathError{Op: "load", Path: key, Err: fs.ErrNotExist}
	}
	return err
}

// Delete implements certmagic.Storage.
func (s *storage) Delete(ctx context.Context, key string) error {
	if err := s.begin(); err != nil {
		return err
	}
	defer s.calls.Done()
	err := s.files.DropFile(ctx, under+key)
	if err != nil && mail.KindOf(err) == mail.NotFound {
		return nil
	}
	return err
}

// Exists implements certmagic.Storage.
func (s *storage) Exists(ctx context.Context, key string) bool {
	_, err := s.Stat(ctx, key)
	return err == nil
}

// List implements certmagic.Storage.
func (s *storage) List(ctx context.Context, dir string, recursive bool) ([]string, error) {
	if err := s.begin(); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	prefix := under
	if dir != "" {
		prefix += dir + "/"
	}
	found, err := s.files.FilesBelow(ctx, prefix, maxListed)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, &fs.PathError{Op: "list", Path: dir, Err: fs.ErrNotExist}
	}
	var keys []string
	for _, f := range found {
		rest := strings.TrimPrefix(f.Name, prefix)
		if first, _, below := strings.Cut(rest, "/"); below && !recursive {
			rest = first
		}
		if key := path.Join(dir, rest); len(keys) == 0 || keys[len(keys)-1] != key { // they come by name
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// Stat implements certmagic.Storage.
func (s *storage) Stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	if err := s.begin(); err != nil {
		return certmagic.KeyInfo{}, err
	}
	defer s.calls.Done()
	f, err := s.files.FileNamed(ctx, under+key)
	if err == nil {
		return certmagic.KeyInfo{Key: key, Modified: f.Changed, Size: int64(len(f.Data)) - sealBytes, IsTerminal: true}, nil
	}
	if mail.KindOf(err) != mail.NotFound {
		return certmagic.KeyInfo{}, err
	}
	below, err := s.files.FilesBelow(ctx, under+key+"/", 1)
	if err == nil && len(below) == 0 {
		err = mail.Errorf(mail.NotFound, "there is no %s", key)
	}
	return certmagic.KeyInfo{Key: key}, asFS(key, err)
}

// Lock implements certmagic.Locker: one of all nodes has it, and on each node one of
// those who want it. Who has it keeps it until Unlock; when the node dies, another gets it
// two minutes later.
func (s *storage) Lock(ctx context.Context, name string) error {
	if err := s.begin(); err != nil {
		return err
	}
	defer s.calls.Done()
	turn := s.turn(name)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-turn:
	}
	lease, err := s.take(ctx, name)
	if err != nil {
		turn <- true
		return err
	}
	if !s.keep(name, lease) {
		turn <- true
		return errors.Join(errClosed, s.leases.Yield(context.WithoutCancel(ctx), lease))
	}
	return nil
}

// turn is what those here wait for who want the lock of a name.
func (s *storage) turn(name string) chan bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.turns[name] == nil { // as many as there are names
		s.turns[name] = make(chan bool, 1)
		s.turns[name] <- true
	}
	return s.turns[name]
}

// take waits until no other node has the lease.
func (s *storage) take(ctx context.Context, name string) (store.Lease, error) {
	for {
		lease, err := s.leases.Take(ctx, under+name, s.node, lockLife)
		if err == nil || mail.KindOf(err) != mail.Exists {
			return lease, err
		}
		if s.isClosed() {
			return lease, errClosed
		}
		pause := time.NewTimer(lockRetry/2 + rand.N(lockRetry))
		select {
		case <-ctx.Done():
			pause.Stop()
			return lease, ctx.Err()
		case <-pause.C:
		}
	}
}

func (s *storage) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// keep renews a lease until it is let go of; false when the server stops.
func (s *storage) keep(name string, lease store.Lease) bool {
	ctx, stop := context.WithCancel(context.Background())
	h := &held{lease: lease, stop: stop, done: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		stop()
		return false
	}
	s.held[name] = h
	go func() {
		defer close(h.done)
		tick := time.NewTicker(lockLife / 4)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if _, err := s.leases.Take(ctx, under+name, s.node, lockLife); err != nil && ctx.Err() == nil {
				s.log.Warn("lease of a certificate not renewed: another node may do the same", "name", name, "err", err)
			}
		}
	}()
	return true
}

// Unlock implements certmagic.Locker.
func (s *storage) Unlock(ctx context.Context, name string) error {
	s.mu.Lock()
	h, closed := s.held[name], s.closed
	delete(s.held, name)
	if h != nil {
		s.calls.Add(1) // close, which comes later, waits
	}
	s.mu.Unlock()
	switch {
	case h == nil && closed:
		return nil // it was given back
	case h == nil:
		return fmt.Errorf("nobody here has the lock %q", name)
	}
	defer s.calls.Done()
	h.stop()
	<-h.done
	defer func() { s.turn(name) <- true }()
	return s.leases.Yield(ctx, h.lease)
}
