package blob

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"lockstep/internal/vfs"
)

// HandleLife is how long the handle of a put can be committed.
const HandleLife = 10 * time.Minute

// DefaultPackSize is the size after which a new pack is begun.
const DefaultPackSize = 256 << 20

// Options of a store; the zero value is good.
type Options struct {
	FS       vfs.FS           // nil: the machine's
	PackSize int64            // 0: DefaultPackSize, or in a bucket DefaultObjectSize
	Cache    int64            // of OpenBucket; 0: DefaultCache
	Now      func() time.Time // nil: time.Now; the clock that the index has too
	// InTurn lets a put return only when it is durable, also where Soon was asked for:
	// the order of writes is then that of the callers, each time.
	InTurn bool
}

// A Store keeps blobs in the packs of one directory, or in a bucket. Its methods are
// safe for concurrent use. One process at a time can have a directory open.
type Store struct {
	fs    vfs.FS
	dir   string
	keys  *Keyring
	index Index
	lock  io.Closer
	home  home

	// What follows until packSize is of packs on the disk.
	packs *packs
	// Large records, and those that compaction moves, are copied into packs of
	// their own, so that small ones need not wait for the copying.
	small, large, moved *appender
	packSize            int64
	inTurn              bool
	now                 func() time.Time
	stats               counters

	holds atomic.Int64 // who keeps packs from being removed

	mu       sync.Mutex // one Collect or Compact at a time; guards what is below
	lastPass pass
	damaged  map[string]bool // places that compaction found damaged

	damage *damage
}

// Open opens the store in dir, and makes it when it is not there.
func Open(dir string, keys *Keyring, index Index, o Options) (*Store, error) {
	s, err := open(dir, keys, index, o)
	if err != nil {
		return nil, err
	}
	if s.packSize <= 0 {
		s.packSize = DefaultPackSize
	}
	if s.packs, err = newPacks(s.fs, dir, keys); err == nil {
		err = s.packs.finishRewrites()
	}
	if err != nil {
		s.lock.Close()
		return nil, err
	}
	s.small, s.large, s.moved = s.newAppender(), s.newAppender(), s.newAppender()
	s.home = onDisk{s}
	return s, nil
}

// open makes the directory and takes it.
func open(dir string, keys *Keyring, index Index, o Options) (*Store, error) {
	s := &Store{fs: o.FS, dir: dir, keys: keys, index: index, packSize: o.PackSize, now: o.Now, inTurn: o.InTurn, damaged: map[string]bool{}}
	if s.fs == nil {
		s.fs = vfs.OS{}
	}
	if s.now == nil {
		s.now = time.Now
	}
	if err := s.makeDir(); err != nil {
		return nil, err
	}
	var err error
	if s.lock, err = s.fs.Lock(filepath.Join(dir, "lock")); err != nil {
		return nil, fmt.Errorf("blob store %s is in use by another process: %w", dir, err)
	}
	if err = s.sweep(); err != nil {
		s.lock.Close()
		return nil, err
	}
	s.damage = openDamage(s.fs, dir)
	return s, nil
}

// makeDir makes the directory, and its name last: every pack in it is lost with
// it.
func (s *Store) makeDir() error {
	if err := s.fs.MkdirAll(s.dir); err != nil {
		return err
	}
	return s.fs.SyncDir(filepath.Dir(s.dir))
}

// sweep removes temporary files of a process that was killed before it could
// unlink them.
func (s *Store) sweep() error {
	files, err := s.fs.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if strings.HasSuffix(f.Name, ".tmp") {
			if err := s.fs.Remove(filepath.Join(s.dir, f.Name)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) newAppender() *appender {
	a := &appender{packs: s.packs, target: s.packSize, stats: &s.stats}
	a.idle.L = &a.mu
	return a
}

// Close ends the puts under way, refuses later ones and closes the files; every
// reader has to be closed before.
func (s *Store) Close() error {
	s.home.close()
	s.damage.close()
	return s.lock.Close()
}
