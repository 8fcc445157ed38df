package crashtest

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
)

// A replay does to a disk what a trace says was done.
type replay struct {
	*disk
	dir   string // the traced process's name of the disk's root
	fds   map[int64]*handle
	heard func(line string)      // what the process said, line by line
	lies  func(path string) bool // a sync of that file does nothing; may be nil
}

type handle struct {
	node *inode // nil: not on the disk
	path string
	pos  int64
}

func newReplay(d *disk, dir string, heard func(string)) *replay {
	return &replay{disk: d, dir: dir, fds: map[int64]*handle{}, heard: heard}
}

// find returns the directory a path is in, its last name, and whether that is on
// the disk.
func (r *replay) find(path string) (dir *inode, name string, ok bool) {
	rel, err := filepath.Rel(r.dir, filepath.Clean(path))
	if err != nil || strings.HasPrefix(rel, "..") {
		return nil, "", false
	}
	dir = r.root
	parts := strings.Split(rel, "/")
	for _, part := range parts[:len(parts)-1] {
		if dir = dir.entries[part]; dir == nil || !dir.isDir() {
			return nil, "", false
		}
	}
	return dir, parts[len(parts)-1], true
}

func (r *replay) node(path string) *inode {
	dir, name, ok := r.find(path)
	switch {
	case !ok:
		return nil
	case name == ".":
		return r.root
	}
	return dir.entries[name]
}

// do replays one step, and says whether it is worth a crash: the process said
// something, or synced.
func (r *replay) do(s step) (boundary bool, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%s(%.80q): %v", s.name, s.args, v)
		}
	}()
	if s.leaving {
		return r.leave(s.call)
	}
	return r.enter(s.call)
}

// enter replays the beginning of a call: from then on its effect may be there.
func (r *replay) enter(c *call) (boundary bool, err error) {
	if c.failed() {
		return isSync(c), nil
	}
	switch c.name {
	case "write":
		return r.say(c), nil
	case "pwrite64":
		r.writeAt(c, c.num(3))
	case "ftruncate":
		if h := r.file(c); h != nil {
			h.node.truncate(c, c.num(1))
		}
	case "close":
		delete(r.fds, c.num(0))
	case "open", "openat", "creat":
		return false, r.open(c)
	case "rename", "renameat", "renameat2":
		return false, r.moved(c)
	case "unlink", "unlinkat", "rmdir":
		r.unlink(c)
	case "mkdir", "mkdirat":
		r.mkdir(c)
	case "mmap":
		return false, r.mmap(c)
	case "fsync", "fdatasync":
		return r.fds[c.num(0)] != nil, nil
	case "lseek", "msync", "sync_file_range", "execve":
	default:
		return false, r.unknown(c)
	}
	return false, nil
}

func isSync(c *call) bool { return c.name == "fsync" || c.name == "fdatasync" }

// file is the handle of the call's first argument, nil when it is not on the
// disk.
func (r *replay) file(c *call) *handle {
	if h := r.fds[c.num(0)]; h != nil && h.node != nil {
		return h
	}
	return nil
}

// data is what a write has written, or may have if it never returned.
func (c *call) data() []byte {
	b := []byte(c.text(1))
	if c.done && c.ret < int64(len(b)) {
		b = b[:c.ret]
	}
	return b
}

func (r *replay) writeAt(c *call, off int64) {
	if h := r.file(c); h != nil {
		h.node.write(c, off, c.data())
	}
}

// say replays a write at the file's position, or hears what is said.
func (r *replay) say(c *call) (boundary bool) {
	if h := r.file(c); h != nil {
		b := c.data()
		h.node.write(c, h.pos, b)
		h.pos += int64(len(b))
		return false
	}
	if c.num(0) != 1 {
		return false
	}
	for line := range strings.Lines(c.text(1)) {
		r.heard(strings.TrimSuffix(line, "\n"))
	}
	return true
}

// pathArg is the path of a call that may name a directory's descriptor first.
func (c *call) pathArg(i int) string {
	if strings.HasSuffix(c.name, "at") || strings.HasSuffix(c.name, "at2") {
		i = 2*i + 1
		if c.args[i-1] != "AT_FDCWD" {
			panic("relative to a descriptor")
		}
	}
	return c.text(i)
}

func (r *replay) open(c *call) error {
	path := c.pathArg(0)
	dir, name, ok := r.find(path)
	if !ok || name == "." {
		return nil
	}
	flags := strings.Join(c.args, " ")
	node := dir.entries[name]
	if node == nil {
		if !strings.Contains(flags, "O_CREAT") && c.name != "creat" {
			return fmt.Errorf("%s was opened, but is not there", path)
		}
		node = newFile(path)
		r.rename(c, dir, map[string]*inode{name: node})
	}
	if strings.Contains(flags, "O_TRUNC") || c.name == "creat" {
		node.truncate(c, 0)
	}
	if strings.Contains(flags, "O_APPEND") || strings.Contains(flags, "SYNC") {
		return fmt.Errorf("%s was opened with flags that are not replayed: %s", path, flags)
	}
	return nil
}

func (r *replay) moved(c *call) error {
	from, name, ok := r.find(c.pathArg(0))
	to, newName, okTo := r.find(c.pathArg(1))
	if !ok && !okTo {
		return nil
	}
	if from != to {
		return fmt.Errorf("renamed across directories")
	}
	r.rename(c, from, map[string]*inode{name: nil, newName: from.entries[name]})
	return nil
}

func (r *replay) unlink(c *call) {
	if dir, name, ok := r.find(c.pathArg(0)); ok {
		r.rename(c, dir, map[string]*inode{name: nil})
	}
}

func (r *replay) mkdir(c *call) {
	path := c.pathArg(0)
	if dir, name, ok := r.find(path); ok && name != "." {
		r.rename(c, dir, map[string]*inode{name: newDir(path)})
	}
}

// mmap makes sure that nothing but the log's index is written through memory.
func (r *replay) mmap(c *call) error {
	if !strings.Contains(c.args[3], "MAP_SHARED") || !strings.Contains(c.args[2], "PROT_WRITE") {
		return nil
	}
	if h := r.fds[c.num(4)]; h != nil && !strings.HasSuffix(h.path, "-shm") {
		return fmt.Errorf("%s is written through memory", h.path)
	}
	return nil
}

// unknown refuses calls on files of the disk that replay can't do.
func (r *replay) unknown(c *call) error {
	for i, arg := range c.args {
		var fd int64
		if strings.HasPrefix(arg, `"`) {
			if _, _, ok := r.find(c.text(i)); ok {
				return fmt.Errorf("%s of %s is not replayed", c.name, c.text(i))
			}
		} else if n, _ := fmt.Sscan(arg, &fd); n == 1 && r.fds[fd] != nil {
			return fmt.Errorf("%s of %s is not replayed", c.name, r.fds[fd].path)
		}
	}
	return nil
}

// leave replays the end of a call.
func (r *replay) leave(c *call) (boundary bool, err error) {
	switch c.name {
	case "open", "openat", "creat":
		if path := c.pathArg(0); c.ret >= 0 {
			if node := r.node(path); node != nil {
				r.fds[c.ret] = &handle{node: node, path: path}
			}
		}
	case "lseek":
		if h := r.file(c); h != nil && c.ret >= 0 {
			h.pos = c.ret
		}
	case "fsync", "fdatasync":
		return r.synced(c), nil
	}
	return false, nil
}

func (r *replay) synced(c *call) (boundary bool) {
	h := r.file(c)
	if h == nil {
		return false
	}
	switch {
	case c.ret < 0 && !h.node.isDir():
		h.node.failSync(r.rng)
	case c.ret < 0, r.lies != nil && r.lies(h.path):
	case h.node.isDir():
		r.syncNames(h.node, c.entered)
	default:
		h.node.sync(c.entered)
		if r.journaled {
			r.syncNames(nil, c.entered)
		}
	}
	return true
}

// newDisk is a disk that holds what dir holds now.
func newDisk(dir string, journaled bool, rng *rand.Rand) (*disk, error) {
	root, err := readDisk(dir)
	return &disk{root: root, journaled: journaled, rng: rng}, err
}
