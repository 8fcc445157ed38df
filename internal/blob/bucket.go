package blob

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/vfs"
)

// A Bucket keeps objects for any number of nodes, as internal/s3 does. Methods are safe
// for concurrent use. What is not there is fs.ErrNotExist, to errors.Is.
type Bucket interface {
	// Create puts an object that is not there yet; it is durable when it returns nil.
	// When it fails the object may be there all the same, whole.
	Create(ctx context.Context, name string, r io.ReadSeeker, size int64) error
	// Get opens length bytes of an object from offset on; -1 is to its end.
	Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error)
	// List calls fn with each object whose name begins with prefix, by name.
	List(ctx context.Context, prefix string, fn func(name string, size int64, modified time.Time) error) error
	// Delete removes an object; one that is not there is no error.
	Delete(ctx context.Context, name string) error
	// Sweep takes back what killed processes began to put.
	Sweep(ctx context.Context) error
	String() string
}

// DefaultCache is how many bytes of the disk what was fetched may take.
const DefaultCache = 10 << 30

// How long a request to a bucket may take: so much, and a second more for each
// slowBytes.
const (
	requestTime = 2 * time.Minute
	slowBytes   = 256 << 10
)

// inBucket is the home of records in a bucket, and in rows until they are packed.
type inBucket struct {
	*Store
	bucket Bucket
	cache  *cache
	marked atomic.Bool // the bucket's mark was seen to be ours

	packing sync.Mutex // one Pack at a time, or an Erase

	lately sync.Mutex      // guards what is below
	passed *passed         // what was looked at last; nil: nothing
	total  int64           // bytes of records
	asked  time.Time       // when that was found
	stuck  map[string]bool // packs with damaged records, and rows with one, which stay
}

// OpenBucket opens the store in a bucket. What is in dir matters to nobody: what was
// fetched, o.Cache bytes of it, and what is on its way in. A bucket that can't be
// reached now does not keep it from opening.
func OpenBucket(ctx context.Context, dir string, keys *Keyring, index Index, bucket Bucket, o Options) (*Store, error) {
	s, err := open(dir, keys, index, o)
	if err != nil {
		return nil, err
	}
	b := &inBucket{Store: s, bucket: bucket, stuck: map[string]bool{}}
	s.home = b
	if b.cache, err = openCache(s.fs, filepath.Join(dir, "cache"), o.Cache, &s.stats); err != nil {
		return nil, errors.Join(err, s.lock.Close())
	}
	if err := b.mark(ctx); err != nil && mail.KindOf(err) != mail.Unavailable {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// InBucket is the bucket that the store is in, for people; "" if it is in packs.
func (s *Store) InBucket() string {
	if b, ok := s.home.(*inBucket); ok {
		return b.bucket.String()
	}
	return ""
}

// Reachable looks whether the bucket answers; a store in packs has none.
func (s *Store) Reachable(ctx context.Context) error {
	b, ok := s.home.(*inBucket)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	text, err := readMark(ctx, b.bucket)
	switch {
	case err == nil:
		return b.isOurs(text)
	case errors.Is(err, fs.ErrNotExist):
		return nil // nothing was put yet
	}
	return cantRead(ctx, err)
}

// lookTime is how long Reachable waits for an answer.
const lookTime = 5 * time.Second

// Places says where rows say that records lie.
type Places struct{ Packs, Bucket bool }

// FindPlaces looks where the rows of an index say that records lie: some at least lie
// in packs on a disk, in a bucket or in rows on their way there.
func FindPlaces(ctx context.Context, index Index) (p Places, err error) {
	for _, prefix := range []string{aloneIn, packedIn, rowIn} {
		some, err := index.Places(ctx, prefix, "", 1)
		if err != nil {
			return p, err
		}
		p.Bucket = p.Bucket || len(some) > 0
	}
	some, err := index.Places(ctx, "", "", 1)
	if err == nil && len(some) > 0 {
		at, err := parsePlace(some[0])
		p.Packs = err == nil && at.object == ""
	}
	return p, err
}

// bucketMark is the object that says whose the bucket is, and what it says.
const bucketMark = "lockstep"

type markText struct {
	Version int    `json:"version"`
	Keys    string `json:"keys"` // fingerprint of the key file
}

const (
	bucketVersion = 1
	maxMark       = 4 << 10
)

// mark holds the bucket's mark to the keys, and makes it where there is none. Nothing
// is put before, and nothing removed.
func (b *inBucket) mark(ctx context.Context) error {
	if b.marked.Load() {
		return nil
	}
	for range 2 {
		text, err := readMark(ctx, b.bucket)
		if err == nil {
			if err = b.isOurs(text); err == nil {
				b.marked.Store(true)
			}
			return err
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return cantRead(ctx, err)
		}
		made, err := json.Marshal(markText{bucketVersion, b.keys.Fingerprint()})
		if err != nil {
			return err
		}
		err = b.bucket.Create(ctx, bucketMark, bytes.NewReader(made), int64(len(made)))
		if err != nil && mail.KindOf(err) != mail.Conflict {
			return cantWrite(ctx, err)
		}
	}
	return mail.Errorf(mail.Unavailable, "%s: its object %q comes and goes", b.bucket, bucketMark)
}

// IsUsed reports whether a store keeps its records in a bucket, or did.
func IsUsed(ctx context.Context, bucket Bucket) (bool, error) {
	_, err := readMark(ctx, bucket)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func readMark(ctx context.Context, bucket Bucket) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	r, err := bucket.Get(ctx, bucketMark, 0, -1)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, maxMark))
}

func (b *inBucket) isOurs(text []byte) error {
	var m markText
	if err := json.Unmarshal(text, &m); err != nil {
		return mail.Errorf(mail.Invalid, "%s: its object %q says something else than whose mail is there: give the mail a prefix of its own", b.bucket, bucketMark)
	}
	if m.Version != bucketVersion {
		return fmt.Errorf("%s was written by a later Lockstep (version %d of the format)", b.bucket, m.Version)
	}
	if m.Keys != b.keys.Fingerprint() {
		return mail.Errorf(mail.Invalid, "the mail in %s is sealed with another key file (%s) than this one (%s): all nodes need the same; put it in place, or give this server a prefix of its own", b.bucket, m.Keys, b.keys.Fingerprint())
	}
	return nil
}

// create puts an object.
func (b *inBucket) create(ctx context.Context, name string, r io.ReadSeeker, size int64) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime+time.Duration(size/slowBytes)*time.Second)
	defer cancel()
	if err := b.mark(ctx); err != nil {
		return err
	}
	b.stats.objectPuts.Add(1)
	err := b.bucket.Create(ctx, name, r, size)
	if err != nil {
		b.stats.objectErrors.Add(1)
		return cantWrite(ctx, err)
	}
	b.stats.objectPutBytes.Add(size)
	return nil
}

// get opens a part of an object.
func (b *inBucket) get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	b.stats.objectGets.Add(1)
	r, err := b.bucket.Get(ctx, name, offset, length)
	if err != nil {
		b.stats.objectErrors.Add(1)
		return nil, cantRead(ctx, err)
	}
	return counted{r, &b.stats.objectGetBytes}, nil
}

// counted counts the bytes that are read.
type counted struct {
	io.ReadCloser
	bytes *atomic.Int64
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.bytes.Add(int64(n))
	return n, err
}

// cantWrite says of an error of the bucket that it is one of now, whatever the bucket
// says: to who brings mail, a wrong secret is no different from a network that is down.
func cantWrite(ctx context.Context, err error) error {
	if err == nil || errors.Is(ctx.Err(), context.Canceled) {
		return err
	}
	return unavailable(err)
}

// cantRead is cantWrite of reading. That an object is not there stays what it is.
func cantRead(ctx context.Context, err error) error {
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(ctx.Err(), context.Canceled) {
		return err
	}
	return &mail.Error{Kind: mail.Unavailable, Detail: "mail cannot be read now", Err: err}
}

func (b *inBucket) keyless() bool { return true }

// isThere is false of what is known to be damaged: it is put again, and read then.
func (b *inBucket) isThere(row mail.Blob) bool { return !b.damage.has(row.Name) }

// asksFirst: sealing a letter takes less than a trip to the database, and hardly any is
// there already.
func (b *inBucket) asksFirst(name mail.BlobName, size int) bool {
	return size > maxUnasked || b.damage.has(name)
}

// maxUnasked is up to how many bytes that holds.
const maxUnasked = 16 << 10

func (b *inBucket) isGone(ctx context.Context, name mail.BlobName) bool {
	_, found, err := b.index.Blob(ctx, name)
	return err == nil && !found
}

func (b *inBucket) close() {
	b.cache.close()
	b.keepPassed(nil)
}

// staged are bytes to be put: in memory, or in a file without a name.
type staged struct {
	io.ReadSeeker
	size int64
	file vfs.File
}

func (s *staged) close() {
	if s.file != nil {
		s.file.Close()
	}
}

// stage makes the bytes of a record readable more than once.
func (b *inBucket) stage(r source) (*staged, error) {
	if r.length() <= spoolMemory {
		text := appended{make([]byte, 0, r.length())}
		if err := r.writeTo(&text); err != nil {
			return nil, err
		}
		return &staged{ReadSeeker: bytes.NewReader(text.b), size: r.length()}, nil
	}
	f, err := b.fs.Temp(b.dir)
	if err != nil {
		return nil, unavailable(err)
	}
	if err := r.writeTo(&tailWriter{file: f}); err != nil {
		f.Close()
		return nil, unavailable(err)
	}
	return &staged{ReadSeeker: io.NewSectionReader(f, 0, r.length()), size: r.length(), file: f}, nil
}
