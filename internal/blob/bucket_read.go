package blob

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"sync"

	"lockstep/internal/mail"
	"lockstep/internal/vfs"
)

// A record in the bucket is fetched, and kept nearby, in parts: a first one that holds
// the header of nearly all mail, and larger ones, for which a request each is little.
const (
	firstPart = 256 << 10
	nextPart  = 4 << 20
)

// partAt is the part that a byte of a record is in: its number, and where it begins and
// ends.
func partAt(off, length int64) (n int, from, to int64) {
	if off < firstPart {
		return 0, 0, min(firstPart, length)
	}
	i := (off - firstPart) / nextPart
	from = firstPart + i*nextPart
	return int(i) + 1, from, min(from+nextPart, length)
}

// open implements home.
func (b *inBucket) open(ctx context.Context, row mail.Blob, at place) (container, error) {
	if at.object == "" {
		return nil, mail.Errorf(mail.Unavailable, "the message lies in a pack on a disk, and this server has its mail in %s", b.bucket)
	}
	if !InRow(at.object) {
		return &openObject{b: b, ctx: ctx, name: row.Name, at: at, base: at.offset, part: -1}, nil
	}
	if row.Record != nil { // a handle that was not committed yet
		return openRow{bytes.NewReader(row.Record), at.object}, nil
	}
	record, found, err := b.index.Bytes(ctx, at.String())
	if err == nil && !found {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, err
	}
	return openRow{bytes.NewReader(record), at.object}, nil
}

// openRow is a record that lies in a row.
type openRow struct {
	*bytes.Reader
	name string
}

func (r openRow) readHead(p []byte, off int64) (int, error) { return readFullAt(r, p, off) }
func (r openRow) again() bool                               { return false }
func (r openRow) release()                                  {}
func (r openRow) String() string                            { return r.name }

// openObject is a record that lies in an object. It holds open the part that was read
// last.
type openObject struct {
	b    *inBucket
	ctx  context.Context
	name mail.BlobName
	base int64 // where the record lay when it was opened: offsets count from there

	mu       sync.Mutex
	at       place // where it lies now
	part     int   // that is open; -1: none
	from, to int64 // of the part, in the record
	file     vfs.File
	nearby   bool // something was read that had been kept
}

func (o *openObject) readHead(p []byte, off int64) (int, error) { return readFullAt(o, p, off) }

// ReadAt implements io.ReaderAt.
func (o *openObject) ReadAt(p []byte, off int64) (done int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for done < len(p) {
		at := off - o.base + int64(done)
		if at < 0 || at >= o.at.length {
			return done, io.EOF
		}
		n, err := o.read(p[done:], at)
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// read reads some of what p wants, from a byte of the record on. A record that was moved
// meanwhile is looked for where it lies now.
func (o *openObject) read(p []byte, at int64) (int, error) {
	for range maxMoves {
		n, err := o.readHere(p, at)
		if !errors.Is(err, fs.ErrNotExist) {
			return n, err
		}
		if err := o.follow(); err != nil {
			return 0, err
		}
	}
	return 0, fs.ErrNotExist
}

// maxMoves is how often a record may be moved between two reads of it.
const maxMoves = 5

// follow finds out where the record lies now; fs.ErrNotExist if nowhere else.
func (o *openObject) follow() error {
	row, found, err := o.b.index.Blob(o.ctx, o.name)
	if err != nil {
		return err
	}
	at, err := parsePlace(row.Place)
	if !found || err != nil || at.object == o.at.object || at.length != o.at.length || InRow(at.object) {
		return fs.ErrNotExist
	}
	o.closePart()
	o.at = at
	return nil
}

func (o *openObject) readHere(p []byte, at int64) (int, error) {
	if o.part < 0 || at < o.from || at >= o.to {
		err := o.openPart(at)
		if err == errNotKept {
			return o.readThrough(p, at)
		}
		if err != nil {
			return 0, err
		}
	}
	return readFullAt(o.file, p[:min(int64(len(p)), o.to-at)], at-o.from)
}

func (o *openObject) openPart(at int64) error {
	o.closePart()
	n, from, to := partAt(at, o.at.length)
	where := o.at
	f, err := o.b.cache.open(o.ctx, keyOf(where.String(), n), to-from, func(ctx context.Context) (io.ReadCloser, error) {
		return o.b.get(ctx, where.object, where.offset+from, to-from)
	})
	if err != nil {
		return err
	}
	o.part, o.from, o.to, o.file, o.nearby = n, from, to, f, true
	return nil
}

// readThrough reads from the bucket no more than is wanted: nothing can be kept.
func (o *openObject) readThrough(p []byte, at int64) (int, error) {
	ctx, cancel := context.WithTimeout(o.ctx, requestTime)
	defer cancel()
	p = p[:min(int64(len(p)), o.at.length-at)]
	r, err := o.b.get(ctx, o.at.object, o.at.offset+at, int64(len(p)))
	if err != nil {
		return 0, err
	}
	defer r.Close()
	n, err := io.ReadFull(r, p)
	return n, cantRead(ctx, err)
}

// again implements container: what was kept is forgotten.
func (o *openObject) again() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closePart()
	if !o.nearby {
		return false
	}
	o.nearby = false
	for from := int64(0); from < o.at.length; {
		n, _, to := partAt(from, o.at.length)
		o.b.cache.drop(keyOf(o.at.String(), n))
		from = to
	}
	return true
}

func (o *openObject) closePart() {
	if o.file != nil {
		o.file.Close()
	}
	o.file, o.part = nil, -1
}

func (o *openObject) release() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closePart()
}

// String names it for a person.
func (o *openObject) String() string { return o.at.object }
