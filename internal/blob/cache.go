package blob

import (
	"cmp"
	"container/list"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"lockstep/internal/vfs"
)

// Bounds of what is kept of a bucket on the disk. Each entry takes a hundred bytes of
// memory, and of the disk what its file takes.
const (
	maxCached  = 1 << 18 // entries
	cacheBlock = 4 << 10 // a file takes a multiple of that
	cacheRooms = 256     // directories
	cacheTail  = 4       // bytes of the checksum at the end of a file
)

// A cache keeps parts of objects on the disk, sealed as they are. It is bounded, and
// what was used longest ago goes first. Nothing depends on it: an entry that can't be
// written is not kept, and a damaged one is fetched anew.
type cache struct {
	fs    vfs.FS
	dir   string
	max   int64
	stats *counters

	all sync.WaitGroup  // fetches under way
	ctx context.Context // of those
	end context.CancelFunc

	mu       sync.Mutex
	entries  map[cacheKey]*list.Element // of *cached
	used     list.List                  // the one used last first
	bytes    int64
	fetching map[cacheKey]*fetching
}

// A cacheKey names a part of an object.
type cacheKey [16]byte

type cached struct {
	key  cacheKey
	size int64 // of its file
}

// A fetching is a fetch under way: whoever wants the same waits for it.
type fetching struct {
	done chan struct{}
	err  error
}

// errNotKept says that what was fetched could not be kept.
var errNotKept = errors.New("the cache has no room")

func keyOf(place string, part int) cacheKey {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", place, part))
	return cacheKey(sum[:])
}

// openCache opens a cache, and takes up what an earlier process left.
func openCache(fsys vfs.FS, dir string, bytes int64, stats *counters) (*cache, error) {
	c := &cache{fs: fsys, dir: dir, max: cmp.Or(bytes, DefaultCache), stats: stats, entries: map[cacheKey]*list.Element{}, fetching: map[cacheKey]*fetching{}}
	c.ctx, c.end = context.WithCancel(context.Background())
	var left []vfs.Info
	for room := range cacheRooms {
		dir := filepath.Join(c.dir, fmt.Sprintf("%02x", room))
		if err := fsys.MkdirAll(dir); err != nil {
			return nil, err
		}
		files, err := fsys.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		left = append(left, c.sweep(dir, files)...)
	}
	slices.SortFunc(left, func(a, b vfs.Info) int { return a.Modified.Compare(b.Modified) })
	for _, f := range left {
		key, _ := parseCacheKey(f.Name)
		c.add(key, f.Size)
	}
	return c, nil
}

// sweep removes what is no entry.
func (c *cache) sweep(dir string, files []vfs.Info) (entries []vfs.Info) {
	for _, f := range files {
		if key, ok := parseCacheKey(f.Name); ok && c.path(key) == filepath.Join(dir, f.Name) {
			entries = append(entries, f)
			continue
		}
		_ = c.fs.Remove(filepath.Join(dir, f.Name))
	}
	return entries
}

func parseCacheKey(name string) (key cacheKey, ok bool) {
	b, err := hex.DecodeString(name)
	if err != nil || len(b) != len(key) || strings.ToLower(name) != name {
		return key, false
	}
	return cacheKey(b), true
}

func (c *cache) path(key cacheKey) string {
	name := hex.EncodeToString(key[:])
	return filepath.Join(c.dir, name[:2], name)
}

// fetchTime bounds a fetch, which goes on when who asked for it is gone: others may wait
// for it too.
const fetchTime = requestTime

// open opens a part of an object, of size bytes, which get opens in the bucket if it is
// not here. It fails with errNotKept where it was fetched and could not be kept.
func (c *cache) open(ctx context.Context, key cacheKey, size int64, get func(context.Context) (io.ReadCloser, error)) (vfs.File, error) {
	if f := c.find(key, size); f != nil {
		c.stats.cacheHits.Add(1)
		return f, nil
	}
	c.stats.cacheMisses.Add(1)
	if err := c.fetch(ctx, key, size, get); err != nil {
		return nil, err
	}
	if f := c.find(key, size); f != nil {
		return f, nil
	}
	return nil, errNotKept
}

// find opens an entry, if it is there and whole.
func (c *cache) find(key cacheKey, size int64) vfs.File {
	c.mu.Lock()
	e := c.entries[key]
	if e != nil {
		c.used.MoveToFront(e)
	}
	c.mu.Unlock()
	if e == nil {
		return nil
	}
	f, err := c.fs.Open(c.path(key))
	if err == nil {
		if err = checkCached(f, size); err == nil {
			return f
		}
		f.Close()
	}
	c.drop(key)
	return nil
}

// checkCached reads a file whole.
func checkCached(f vfs.File, size int64) error {
	sum := crc32.New(castagnoli)
	if _, err := io.Copy(sum, io.NewSectionReader(f, 0, size)); err != nil {
		return err
	}
	var tail [cacheTail + 1]byte // one more than there should be
	if n, _ := f.ReadAt(tail[:], size); n != cacheTail || binary.BigEndian.Uint32(tail[:]) != sum.Sum32() {
		return errors.New("an entry of the cache is damaged")
	}
	return nil
}

// drop removes an entry, and reports whether it was there.
func (c *cache) drop(key cacheKey) bool {
	c.mu.Lock()
	e := c.entries[key]
	if e != nil {
		c.remove(e)
	}
	c.mu.Unlock()
	if e != nil {
		_ = c.fs.Remove(c.path(key))
	}
	return e != nil
}

// remove takes an entry out of the lists; mu is held.
func (c *cache) remove(e *list.Element) {
	entry := c.used.Remove(e).(*cached)
	delete(c.entries, entry.key)
	c.bytes -= onDiskSize(entry.size)
	c.stats.cacheBytes.Store(c.bytes)
}

func onDiskSize(size int64) int64 { return (size + cacheBlock - 1) / cacheBlock * cacheBlock }

// fetch brings a part, once for all who want it now.
func (c *cache) fetch(ctx context.Context, key cacheKey, size int64, get func(context.Context) (io.ReadCloser, error)) error {
	c.mu.Lock()
	f := c.fetching[key]
	if f == nil {
		f = &fetching{done: make(chan struct{})}
		c.fetching[key] = f
		c.all.Go(func() { c.run(f, key, size, get) })
	}
	c.mu.Unlock()
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *cache) run(f *fetching, key cacheKey, size int64, get func(context.Context) (io.ReadCloser, error)) {
	ctx, cancel := context.WithTimeout(c.ctx, fetchTime)
	defer cancel()
	r, err := get(ctx)
	if err == nil {
		err = c.keep(key, size, r)
		r.Close()
	}
	if err != nil && err != errNotKept {
		err = cantRead(ctx, err)
	}
	c.mu.Lock()
	delete(c.fetching, key)
	c.mu.Unlock()
	f.err = err
	close(f.done)
}

// keep writes an entry.
func (c *cache) keep(key cacheKey, size int64, r io.Reader) error {
	path := c.path(key)
	tmp := path + "." + randomPart() + ".tmp"
	f, err := c.fs.Create(tmp)
	if err != nil {
		return errNotKept
	}
	read, err := fill(f, size, r)
	if closed := f.Close(); read == nil && err == nil {
		err = closed
	}
	if read == nil && err == nil {
		err = c.fs.Rename(tmp, path)
	}
	if read != nil || err != nil {
		_ = c.fs.Remove(tmp)
		if read == nil {
			return errNotKept
		}
		return read
	}
	c.add(key, size+cacheTail)
	return nil
}

// fill copies size bytes to a file, and their checksum. It tells what could not be read
// from what could not be written.
func fill(f vfs.File, size int64, r io.Reader) (read, written error) {
	buf := frames.get()
	defer frames.put(buf)
	sum := uint32(0)
	for off := int64(0); off < size; {
		n, err := io.ReadFull(r, buf[:min(int64(len(buf)), size-off)])
		if err != nil {
			return fmt.Errorf("an object ends early: %w", err), nil
		}
		if _, err := f.WriteAt(buf[:n], off); err != nil {
			return nil, err
		}
		sum = crc32.Update(sum, castagnoli, buf[:n])
		off += int64(n)
	}
	_, err := f.WriteAt(binary.BigEndian.AppendUint32(nil, sum), size)
	return nil, err
}

// add notes an entry, and removes those for which there is no room any more.
func (c *cache) add(key cacheKey, size int64) {
	c.mu.Lock()
	if e := c.entries[key]; e != nil {
		c.remove(e)
	}
	c.entries[key] = c.used.PushFront(&cached{key, size})
	c.bytes += onDiskSize(size)
	c.stats.cacheBytes.Store(c.bytes)
	var gone []cacheKey
	for c.bytes > c.max || c.used.Len() > maxCached {
		e := c.used.Back()
		gone = append(gone, e.Value.(*cached).key)
		c.remove(e)
	}
	c.mu.Unlock()
	for _, key := range gone {
		_ = c.fs.Remove(c.path(key))
	}
}

// close ends the fetches under way.
func (c *cache) close() {
	c.end()
	c.all.Wait()
}
