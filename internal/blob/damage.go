package blob

import (
	"context"
	"encoding/hex"
	"io"
	"path/filepath"
	"strings"
	"sync"

	"lockstep/internal/mail"
	"lockstep/internal/vfs"
)

// Where damage is remembered over restarts, and how much of it. What is beyond is
// refused to whoever reads it all the same.
const (
	damageFile = "damaged"
	maxDamage  = 10_000 // blobs
)

// damage remembers which blobs were found damaged, until one is found whole. It
// can be lost and found again, so nothing fails when it can't be written.
type damage struct {
	fs  vfs.FS
	dir string

	mu    sync.Mutex
	names map[mail.BlobName]struct{}
	gone  map[mail.BlobName]struct{} // erased while it may be read
	file  vfs.File                   // nil until there is something to write
	size  int64
}

// openDamage reads what is remembered; lines it can't read are none.
func openDamage(fsys vfs.FS, dir string) *damage {
	d := &damage{fs: fsys, dir: dir, names: map[mail.BlobName]struct{}{}}
	f, err := fsys.Open(filepath.Join(dir, damageFile))
	if err != nil {
		return d
	}
	defer f.Close()
	const line = 2*len(mail.BlobName{}) + 1
	text, _ := io.ReadAll(io.NewSectionReader(f, 0, maxDamage*int64(line)))
	for field := range strings.FieldsSeq(string(text)) {
		if b, err := hex.DecodeString(field); err == nil && len(b) == len(mail.BlobName{}) {
			d.names[mail.BlobName(b)] = struct{}{}
		}
	}
	return d
}

// met remembers that a blob is damaged.
func (d *damage) met(name mail.BlobName) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, known := d.names[name]; known || len(d.names) >= maxDamage {
		return
	}
	d.names[name] = struct{}{}
	if d.file == nil {
		d.rewrite()
		return
	}
	d.append(name)
}

// erased forgets blobs that were erased, and takes what reads of them meet for no
// damage. Who reads one that was erased before the last so many met its end by now.
func (d *damage) erased(names []mail.BlobName) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gone = map[mail.BlobName]struct{}{}
	before := len(d.names)
	for _, name := range names {
		d.gone[name] = struct{}{}
		delete(d.names, name)
	}
	if len(d.names) != before {
		d.rewrite()
	}
}

// wasErased reports whether a blob was erased just now.
func (d *damage) wasErased(name mail.BlobName) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, gone := d.gone[name]
	return gone
}

func (d *damage) has(name mail.BlobName) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, known := d.names[name]
	return known
}

func (d *damage) append(name mail.BlobName) {
	n, _ := d.file.WriteAt([]byte(hex.EncodeToString(name[:])+"\n"), d.size)
	d.size += int64(n)
}

// mended forgets it.
func (d *damage) mended(name mail.BlobName) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, known := d.names[name]; known {
		delete(d.names, name)
		d.rewrite()
	}
}

// retain forgets those that keep does not want.
func (d *damage) retain(keep func(mail.BlobName) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before := len(d.names)
	for name := range d.names {
		if !keep(name) {
			delete(d.names, name)
		}
	}
	if len(d.names) != before {
		d.rewrite()
	}
}

// rewrite writes the file anew; mu is held.
func (d *damage) rewrite() {
	d.close()
	path := filepath.Join(d.dir, damageFile)
	f, err := d.fs.Create(path + ".tmp")
	if err != nil {
		return
	}
	d.file, d.size = f, 0
	for name := range d.names {
		d.append(name)
	}
	_ = f.Sync()
	_ = d.fs.Rename(path+".tmp", path)
}

func (d *damage) close() {
	if d.file != nil {
		d.file.Close()
		d.file = nil
	}
}

// Damaged returns how many blobs are known to be damaged now. A blob is known to
// be from when reading it failed to when Verify finds it whole, or Mend a good
// record of it.
func (s *Store) Damaged() int {
	s.damage.mu.Lock()
	defer s.damage.mu.Unlock()
	return len(s.damage.names)
}

// RetainDamage forgets the damage of blobs that keep does not want: of those that
// are no more.
func (s *Store) RetainDamage(keep func(mail.BlobName) bool) { s.damage.retain(keep) }

// count counts damage to a blob that is about to be reported, and remembers it.
func (s *Store) count(ctx context.Context, name mail.BlobName, err error) error {
	if mail.KindOf(err) == mail.Corrupt && (s.damage.wasErased(name) || s.home.isGone(ctx, name)) {
		return mail.Errorf(mail.NotFound, "the message was erased")
	}
	if mail.KindOf(err) == mail.Corrupt {
		s.stats.corrupt.Add(1)
		s.damage.met(name)
	}
	return err
}
