package crashtest

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

// What a disk, and a page cache, write whole or not at all.
const (
	sector = 512
	page   = 4096
)

// A disk is a directory as a machine holds it: what the running system sees of
// each file, what is on stable storage, and what lies between.
//
// Between a write and the sync that covers it, each sector of a file may be on
// stable storage as it was at any moment since the last sync, and the size may be
// any that it had. Names likewise: until the directory is synced, each change to
// it may have happened or not. That is what POSIX allows. With journaled set it
// is what ext4 promises beyond: names change on disk in order, and any sync of
// anything makes those that came before it last.
type disk struct {
	root      *inode
	journaled bool
	names     []*naming // not lasting yet, in order
	rng       *rand.Rand
}

// An inode is a file or a directory.
type inode struct {
	name string // at first; for messages

	data  []byte // as readers see it
	disk  []byte // lasting, in whole sectors; only size of it counts
	size  int64
	dirty map[int64][]version // by sector
	sizes []sizeVersion
	cuts  []*call // that made it smaller

	entries map[string]*inode // of a directory, as seen
	lasting map[string]*inode
}

// A version is what a sector held after a call.
type version struct {
	by   *call
	data []byte
}

type sizeVersion struct {
	by   *call
	size int64
}

// A naming is a change to a directory: each of the names means that now, nil
// nothing.
type naming struct {
	by      *call
	dir     *inode
	changes map[string]*inode
}

func newFile(name string) *inode { return &inode{name: name, dirty: map[int64][]version{}} }

func newDir(name string) *inode {
	return &inode{name: name, entries: map[string]*inode{}, lasting: map[string]*inode{}}
}

func (n *inode) isDir() bool { return n.entries != nil }

// readDisk takes a directory as it is: everything lasts.
func readDisk(dir string) (*inode, error) {
	n := newDir(dir)
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range list {
		path := filepath.Join(dir, e.Name())
		var child *inode
		if e.IsDir() {
			child, err = readDisk(path)
		} else {
			child = newFile(path)
			child.data, err = os.ReadFile(path)
			child.disk, child.size = bytes.Clone(child.data), int64(len(child.data))
		}
		if err != nil {
			return nil, err
		}
		n.entries[e.Name()], n.lasting[e.Name()] = child, child
	}
	return n, nil
}

// write notes what a call put at off.
func (n *inode) write(by *call, off int64, p []byte) {
	if len(p) == 0 {
		return
	}
	end := off + int64(len(p))
	if end > int64(len(n.data)) {
		n.data = append(n.data, make([]byte, end-int64(len(n.data)))...)
	}
	if end > n.sizeAhead() { // also where a sync that failed lost a size that readers see
		n.sizes = append(n.sizes, sizeVersion{by, end})
	}
	copy(n.data[off:], p)
	n.keep(by, off, end)
}

// sizeAhead is the size that a sync now would make last.
func (n *inode) sizeAhead() int64 {
	if i := len(n.sizes) - 1; i >= 0 {
		return n.sizes[i].size
	}
	return n.size
}

// truncate notes that a call set the size.
func (n *inode) truncate(by *call, size int64) {
	was := int64(len(n.data))
	if size == was {
		return
	}
	if size < was {
		n.data = n.data[:size:size]
		n.cuts = append(n.cuts, by)
	} else {
		n.data = append(n.data, make([]byte, size-was)...)
	}
	n.sizes = append(n.sizes, sizeVersion{by, size})
	n.keep(by, min(size, was), max(size, was))
}

// keep adds a version of each sector from off to end.
func (n *inode) keep(by *call, off, end int64) {
	for s := off / sector; s*sector < end; s++ {
		n.dirty[s] = append(n.dirty[s], version{by, n.sectorNow(s)})
	}
}

func (n *inode) sectorNow(s int64) []byte {
	b := make([]byte, sector)
	if at := s * sector; at < int64(len(n.data)) {
		copy(b, n.data[at:])
	}
	return b
}

// sync makes lasting what calls did that had returned before the sync began.
func (n *inode) sync(began int) {
	for s, versions := range n.dirty {
		if i := lastBefore(versions, began, func(v version) *call { return v.by }); i >= 0 {
			n.disk = put(n.disk, s, versions[i].data)
			if n.dirty[s] = versions[i+1:]; i+1 == len(versions) {
				delete(n.dirty, s)
			}
		}
	}
	if i := lastBefore(n.sizes, began, func(v sizeVersion) *call { return v.by }); i >= 0 {
		n.size, n.sizes = n.sizes[i].size, n.sizes[i+1:]
	}
	n.cuts = slices.DeleteFunc(n.cuts, func(c *call) bool { return c.left < began })
}

func lastBefore[V any](versions []V, step int, by func(V) *call) int {
	for i, v := range slices.Backward(versions) {
		if by(v).left < step {
			return i
		}
	}
	return -1
}

func put(b []byte, s int64, data []byte) []byte {
	if grow := (s+1)*sector - int64(len(b)); grow > 0 {
		b = append(b, make([]byte, grow)...)
	}
	copy(b[s*sector:], data)
	return b
}

func resized(b []byte, size int64) []byte {
	if size <= int64(len(b)) {
		return b[:size:size]
	}
	return append(b, make([]byte, size-int64(len(b)))...)
}

// failSync is what a sync that failed leaves: of what was to be written any part
// is there, and none of the rest is ever tried again.
func (n *inode) failSync(rng *rand.Rand) {
	n.disk = n.crashed(rng)
	n.size = int64(len(n.disk))
	n.dirty, n.sizes, n.cuts = map[int64][]version{}, nil, nil
}

// crashed is what the file may hold after the power went.
func (n *inode) crashed(rng *rand.Rand) []byte {
	pick, unit := n.luck(rng)
	size, out := n.size, bytes.Clone(n.disk)
	limit := pick()
	for _, v := range n.sizes {
		if v.by.entered <= limit {
			size = v.size
		}
	}
	from, to := n.between(limit)
	groups := map[int64]int{}
	for _, s := range slices.Sorted(maps.Keys(n.dirty)) {
		g := s * sector / unit
		if _, ok := groups[g]; !ok {
			groups[g] = min(max(pick(), from), to)
		}
		if i := lastUpTo(n.dirty[s], groups[g]); i >= 0 {
			out = put(out, s, n.dirty[s][i].data)
		}
	}
	return resized(out, size)
}

// between returns the steps whose writes may be seen when the last cut that is
// seen came no later than limit. A cut gives back the blocks behind it at once: it
// leaves none of what was there and, as long as it has not happened, what was
// written since lies in blocks that are not yet the file's.
func (n *inode) between(limit int) (from, to int) {
	from, to = -1, never
	for _, c := range n.cuts {
		if c.entered > limit {
			return from, c.entered - 1
		}
		from = c.entered
	}
	return from, to
}

// luck decides how a file fares: pick returns the last call that is seen by the
// next group of sectors, each a unit of bytes.
func (n *inode) luck(rng *rand.Rand) (pick func() int, unit int64) {
	calls := n.calls()
	none, all := -1, never
	if len(calls) == 0 {
		return func() int { return none }, page
	}
	some := func() int { return calls[rng.IntN(len(calls))] }
	unit = []int64{sector, page}[rng.IntN(2)]
	switch odds := rng.Float64(); rng.IntN(5) {
	case 0:
		return func() int { return none }, unit
	case 1:
		return func() int { return all }, unit
	case 2: // up to some moment
		limit := some()
		return func() int { return limit }, unit
	default: // each as it likes, mostly there or mostly not
		return func() int {
			switch {
			case rng.Float64() > odds:
				return none
			case rng.IntN(2) == 0:
				return all
			}
			return some()
		}, unit
	}
}

// calls are the steps at which what is dirty was written.
func (n *inode) calls() []int {
	seen := map[int]bool{}
	for _, versions := range n.dirty {
		for _, v := range versions {
			seen[v.by.entered] = true
		}
	}
	for _, v := range n.sizes {
		seen[v.by.entered] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

func lastUpTo(versions []version, limit int) int {
	for i, v := range slices.Backward(versions) {
		if v.by.entered <= limit {
			return i
		}
	}
	return -1
}

// rename notes changes to a directory.
func (d *disk) rename(by *call, dir *inode, changes map[string]*inode) {
	for name, n := range changes {
		set(dir.entries, name, n)
	}
	d.names = append(d.names, &naming{by, dir, changes})
}

func set(entries map[string]*inode, name string, n *inode) {
	if n == nil {
		delete(entries, name)
	} else {
		entries[name] = n
	}
}

// syncNames makes the changes last that had returned before a sync began: those
// of a directory, or with dir nil all.
func (d *disk) syncNames(dir *inode, began int) {
	d.names = slices.DeleteFunc(d.names, func(n *naming) bool {
		if dir != nil && n.dir != dir || n.by.left >= began {
			return false
		}
		n.apply(n.dir.lasting)
		return true
	})
}

func (n *naming) apply(entries map[string]*inode) {
	for name, to := range n.changes {
		set(entries, name, to)
	}
}

// crash writes into dir what the disk may hold after the power went.
func (d *disk) crash(rng *rand.Rand, dir string) error {
	return d.write(rng, d.root, d.crashedNames(rng), dir)
}

// crashedNames decides which changes of names lasted.
func (d *disk) crashedNames(rng *rand.Rand) map[*inode]map[string]*inode {
	dirs := map[*inode]map[string]*inode{}
	mode, cut := rng.IntN(4), rng.IntN(len(d.names)+1)
	if d.journaled && mode == 3 {
		mode = 2
	}
	for i, n := range d.names {
		happened := mode == 1 || mode == 2 && i < cut || mode == 3 && rng.IntN(2) == 0
		if !happened {
			continue
		}
		if dirs[n.dir] == nil {
			dirs[n.dir] = maps.Clone(n.dir.lasting)
		}
		n.apply(dirs[n.dir])
	}
	return dirs
}

func (d *disk) write(rng *rand.Rand, n *inode, dirs map[*inode]map[string]*inode, path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	entries := n.lasting
	if changed := dirs[n]; changed != nil {
		entries = changed
	}
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		child, to := entries[name], filepath.Join(path, name)
		var err error
		switch {
		case child.isDir():
			err = d.write(rng, child, dirs, to)
		case filepath.Ext(name) == ".db-shm":
			err = d.writeIndex(rng, to)
		default:
			err = os.WriteFile(to, child.crashed(rng), 0o600)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// writeIndex leaves of the index of SQLite's log, which is shared memory and never
// synced, nothing or rubbish.
func (d *disk) writeIndex(rng *rand.Rand, path string) error {
	if rng.IntN(2) == 0 {
		return nil
	}
	rubbish := make([]byte, 32<<10)
	for i := range rubbish {
		rubbish[i] = byte(rng.Uint32())
	}
	return os.WriteFile(path, rubbish, 0o600)
}
