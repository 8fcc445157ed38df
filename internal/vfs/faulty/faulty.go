// Package faulty is a file system in memory that behaves as badly as POSIX
// allows: a crash drops, tears and reorders whatever was not synced, and reads,
// writes and syncs fail when told to. What it does follows from its seed.
package faulty

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"lockstep/internal/vfs"
)

// ErrInjected is the cause of every error that the file system was told to give.
var ErrInjected = errors.New("injected fault")

// sector is what a disk writes whole or not at all.
const sector = 512

// Odds says how often operations fail, each from 0 to 1.
type Odds struct {
	Create, Write, ShortWrite, Sync, SyncDir, Read float64
}

// FS implements vfs.FS. Use New.
type FS struct {
	mu    sync.Mutex
	rng   *rand.Rand
	odds  Odds
	life  int // counts crashes; handles of an earlier life are dead
	names map[string]*inode
	disk  map[string]*inode // the names as of the last SyncDir
	locks map[string]bool
	syncs int
}

type inode struct {
	data    []byte // as seen by readers
	disk    []byte // as the disk has it
	pending []write
	mode    fs.FileMode
}

type write struct {
	off  int64
	data []byte
}

// New returns an empty file system.
func New(seed uint64) *FS {
	return &FS{
		rng:   rand.New(rand.NewPCG(seed, 0)),
		names: map[string]*inode{},
		disk:  map[string]*inode{},
		locks: map[string]bool{},
	}
}

// SetOdds says how often operations fail from now on.
func (f *FS) SetOdds(o Odds) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.odds = o
}

// Syncs counts the calls of File.Sync.
func (f *FS) Syncs() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.syncs
}

// Crash cuts the power: handles die, locks end, and of what was not synced any
// part may be there afterwards. Faults are off until SetOdds.
func (f *FS) Crash() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.life++
	f.odds = Odds{}
	f.locks = map[string]bool{}
	f.settleNames()
	for _, name := range sortedNames(f.names) {
		f.names[name].crash(f.rng)
	}
}

// settleNames lets each name that was changed but not synced keep its old or
// its new meaning.
func (f *FS) settleNames() {
	changed := map[string]*inode{}
	for name, n := range f.names {
		changed[name] = n
	}
	for name := range f.disk {
		if _, ok := changed[name]; !ok {
			changed[name] = nil
		}
	}
	for _, name := range sortedNames(changed) {
		if f.rng.IntN(2) == 0 {
			continue
		}
		if n := changed[name]; n != nil {
			f.disk[name] = n
		} else {
			delete(f.disk, name)
		}
	}
	f.names = map[string]*inode{}
	for name, n := range f.disk {
		f.names[name] = n
	}
}

// Corrupt lets a test change the bytes of a file, on disk and as seen.
func (f *FS) Corrupt(name string, change func(data []byte) []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.names[name]
	n.data = change(n.data)
	n.disk, n.pending = slices.Clone(n.data), nil
}

// Chmod changes the mode that Stat reports.
func (f *FS) Chmod(name string, mode fs.FileMode) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.names[name].mode = mode
}

func (n *inode) crash(rng *rand.Rand) {
	n.settle(rng)
	n.data = slices.Clone(n.disk)
}

// settle lets what is pending reach the disk or not: all, nothing, or any part
// of it in any order.
func (n *inode) settle(rng *rand.Rand) {
	luck := rng.IntN(4)
	for _, i := range rng.Perm(len(n.pending)) {
		switch w := n.pending[i]; luck {
		case 0:
		case 1:
			n.disk = put(n.disk, w.off, w.data)
		default:
			n.keepSome(rng, w)
		}
	}
	n.pending = nil
}

// keepSome writes to disk those sectors of w that chance chooses: often all or
// none, sometimes some.
func (n *inode) keepSome(rng *rand.Rand, w write) {
	luck := rng.IntN(3)
	for len(w.data) > 0 {
		size := min(int64(len(w.data)), sector-w.off%sector)
		if luck == 0 || luck == 1 && rng.IntN(2) == 0 {
			n.disk = put(n.disk, w.off, w.data[:size])
		}
		w.off += size
		w.data = w.data[size:]
	}
}

func put(b []byte, off int64, p []byte) []byte {
	if grow := off + int64(len(p)) - int64(len(b)); grow > 0 {
		b = append(b, make([]byte, grow)...)
	}
	copy(b[off:], p)
	return b
}

func sortedNames(m map[string]*inode) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// fails draws whether an operation of these odds fails.
func (f *FS) fails(odds float64) bool { return odds > 0 && f.rng.Float64() < odds }

// MkdirAll implements vfs.FS; directories are not modelled.
func (f *FS) MkdirAll(string) error { return nil }

// Create implements vfs.FS.
func (f *FS) Create(name string) (vfs.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fails(f.odds.Create) {
		return nil, pathError("create", name, ErrInjected)
	}
	if f.names[name] != nil {
		return nil, pathError("create", name, fs.ErrExist)
	}
	n := &inode{mode: 0o600}
	f.names[name] = n
	return &file{fs: f, node: n, name: name, life: f.life}, nil
}

// Open implements vfs.FS.
func (f *FS) Open(name string) (vfs.File, error) { return f.open(name, true) }

// Change implements vfs.FS.
func (f *FS) Change(name string) (vfs.File, error) { return f.open(name, false) }

func (f *FS) open(name string, readOnly bool) (vfs.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.names[name]
	if n == nil {
		return nil, pathError("open", name, fs.ErrNotExist)
	}
	return &file{fs: f, node: n, name: name, life: f.life, readOnly: readOnly}, nil
}

// Temp implements vfs.FS.
func (f *FS) Temp(string) (vfs.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fails(f.odds.Create) {
		return nil, pathError("create", "temporary file", ErrInjected)
	}
	return &file{fs: f, node: &inode{}, name: "temporary file", life: f.life}, nil
}

// Stat implements vfs.FS.
func (f *FS) Stat(name string) (vfs.Info, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.names[name]
	if n == nil {
		return vfs.Info{}, pathError("stat", name, fs.ErrNotExist)
	}
	return n.info(name), nil
}

func (n *inode) info(name string) vfs.Info {
	return vfs.Info{Name: filepath.Base(name), Size: int64(len(n.data)), Mode: n.mode, Modified: time.Now()}
}

// ReadDir implements vfs.FS.
func (f *FS) ReadDir(dir string) ([]vfs.Info, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var infos []vfs.Info
	for _, name := range sortedNames(f.names) {
		if filepath.Dir(name) == filepath.Clean(dir) {
			infos = append(infos, f.names[name].info(name))
		}
	}
	return infos, nil
}

// Dirs implements vfs.FS: a directory is there while something is in it.
func (f *FS) Dirs(dir string) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	prefix := filepath.Clean(dir) + string(filepath.Separator)
	var names []string
	for _, name := range sortedNames(f.names) {
		rest, below := strings.CutPrefix(name, prefix)
		if first, _, deeper := strings.Cut(rest, string(filepath.Separator)); below && deeper {
			names = append(names, first)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// Rename implements vfs.FS.
func (f *FS) Rename(from, to string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.names[from]
	if n == nil {
		return pathError("rename", from, fs.ErrNotExist)
	}
	delete(f.names, from)
	f.names[to] = n
	return nil
}

// Remove implements vfs.FS.
func (f *FS) Remove(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.names[name] == nil {
		return pathError("remove", name, fs.ErrNotExist)
	}
	delete(f.names, name)
	return nil
}

// SyncDir implements vfs.FS.
func (f *FS) SyncDir(dir string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fails(f.odds.SyncDir) {
		return pathError("sync", dir, ErrInjected)
	}
	for name := range f.disk {
		if inDir(name, dir) && f.names[name] == nil {
			delete(f.disk, name)
		}
	}
	for name, n := range f.names {
		if inDir(name, dir) {
			f.disk[name] = n
		}
	}
	return nil
}

func inDir(name, dir string) bool { return filepath.Dir(name) == strings.TrimSuffix(dir, "/") }

// Lock implements vfs.FS.
func (f *FS) Lock(name string) (io.Closer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.locks[name] {
		return nil, pathError("lock", name, errors.New("held by another process"))
	}
	f.locks[name] = true
	return lock{f, name, f.life}, nil
}

type lock struct {
	fs   *FS
	name string
	life int
}

func (l lock) Close() error {
	l.fs.mu.Lock()
	defer l.fs.mu.Unlock()
	if l.life == l.fs.life {
		delete(l.fs.locks, l.name)
	}
	return nil
}

type file struct {
	fs       *FS
	node     *inode
	name     string
	life     int
	readOnly bool
	closed   bool
}

// check fails when the handle cannot be used any more; fs.mu is held.
func (f *file) check(op string) error {
	if f.closed || f.life != f.fs.life {
		return pathError(op, f.name, fs.ErrClosed)
	}
	return nil
}

// ReadAt implements io.ReaderAt.
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.check("read"); err != nil {
		return 0, err
	}
	if f.fs.fails(f.fs.odds.Read) {
		return 0, pathError("read", f.name, ErrInjected)
	}
	if off >= int64(len(f.node.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.node.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt implements io.WriterAt.
func (f *file) WriteAt(p []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.check("write"); err != nil {
		return 0, err
	}
	if f.readOnly {
		return 0, pathError("write", f.name, fs.ErrPermission)
	}
	if f.fs.fails(f.fs.odds.Write) {
		return 0, pathError("write", f.name, ErrInjected)
	}
	var err error
	if len(p) > 0 && f.fs.fails(f.fs.odds.ShortWrite) {
		p = p[:f.fs.rng.IntN(len(p))]
		err = pathError("write", f.name, fmt.Errorf("%w: no room", ErrInjected))
	}
	f.node.data = put(f.node.data, off, p)
	f.node.pending = append(f.node.pending, write{off, slices.Clone(p)})
	return len(p), err
}

// Sync implements vfs.File. When it fails, what was pending is as the kernel
// leaves it: seen by readers, partly on disk, and never tried again.
func (f *file) Sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.check("sync"); err != nil {
		return err
	}
	f.fs.syncs++
	if f.fs.fails(f.fs.odds.Sync) {
		f.node.settle(f.fs.rng)
		return pathError("sync", f.name, ErrInjected)
	}
	for _, w := range f.node.pending {
		f.node.disk = put(f.node.disk, w.off, w.data)
	}
	f.node.pending = nil
	return nil
}

// Close implements io.Closer.
func (f *file) Close() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	f.closed = true
	return nil
}

func pathError(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: name, Err: err}
}
