package blobtest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"lockstep/internal/blob"
	"lockstep/internal/mail"
)

var _ blob.Bucket = (*Bucket)(nil)

// Bucket is a blob.Bucket in memory, which fails on purpose when it is told to. Use
// NewBucket.
type Bucket struct {
	// Before is called before each request, with what it is and the object's name, and may
	// wait; its error fails the request. nil is nothing.
	Before func(ctx context.Context, request, name string) error
	Now    func() time.Time // what objects are dated by

	mu       sync.Mutex
	rng      *rand.Rand
	harm     float64 // of requests
	objects  map[string]*object
	stale    map[string]*object // what lists show in place of what there is; nil: what there is
	requests map[string]int
}

type object struct {
	bytes    []byte
	modified time.Time
}

// ErrOnPurpose is what a harmed request fails with.
var ErrOnPurpose = &mail.Error{Kind: mail.Unavailable, Detail: "the bucket fails on purpose"}

// NewBucket returns an empty bucket. seed is that of what goes wrong.
func NewBucket(seed uint64) *Bucket {
	return &Bucket{rng: rand.New(rand.NewPCG(seed, 7)), Now: time.Now, objects: map[string]*object{}, requests: map[string]int{}}
}

// Harm says which part of requests fails: before it does anything, after it did all, or,
// of reading, in the middle.
func (b *Bucket) Harm(rate float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.harm = rate
}

// Stale makes lists show from now on what there is now, until it is called with false.
func (b *Bucket) Stale(on bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stale = nil
	if on {
		b.stale = maps.Clone(b.objects)
	}
}

// Requests returns how often each request was made, and forgets it.
func (b *Bucket) Requests() map[string]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.requests
	b.requests = map[string]int{}
	return r
}

// Names returns the names of what there is, in order.
func (b *Bucket) Names() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(maps.Keys(b.objects))
}

// Change changes an object behind everybody's back; nil removes it.
func (b *Bucket) Change(name string, change func([]byte) []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	o := b.objects[name]
	if o == nil {
		panic("no object " + name)
	}
	if text := change(bytes.Clone(o.bytes)); text != nil {
		b.objects[name] = &object{text, o.modified}
		return
	}
	delete(b.objects, name)
}

// fate counts a request and says how it goes wrong: before, after, in the middle.
func (b *Bucket) fate(ctx context.Context, request, name string) (before, after, middle bool, err error) {
	if b.Before != nil {
		if err := b.Before(ctx, request, name); err != nil {
			return false, false, false, err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requests[request]++
	if b.rng.Float64() < b.harm {
		n := b.rng.IntN(3)
		return n == 0, n == 1, n == 2, ctx.Err()
	}
	return false, false, false, ctx.Err()
}

// Create implements blob.Bucket.
func (b *Bucket) Create(ctx context.Context, name string, r io.ReadSeeker, size int64) error {
	before, after, middle, err := b.fate(ctx, "put", name)
	if err != nil {
		return err
	}
	if before || middle {
		return ErrOnPurpose
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return err
	}
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if int64(len(text)) != size {
		return fmt.Errorf("%d bytes were announced and %d came", size, len(text))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if was := b.objects[name]; was != nil && !bytes.Equal(was.bytes, text) {
		return mail.Errorf(mail.Conflict, "%s is there", name)
	}
	b.objects[name] = &object{text, b.Now()}
	if after {
		return ErrOnPurpose
	}
	return nil
}

// Get implements blob.Bucket.
func (b *Bucket) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	before, after, middle, err := b.fate(ctx, "get", name)
	if err != nil {
		return nil, err
	}
	if before {
		return nil, ErrOnPurpose
	}
	b.mu.Lock()
	o := b.objects[name]
	b.mu.Unlock()
	if o == nil {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	text := o.bytes[min(offset, int64(len(o.bytes))):]
	if length >= 0 {
		text = text[:min(length, int64(len(text)))]
	}
	if after || middle {
		return io.NopCloser(io.MultiReader(bytes.NewReader(text[:len(text)/2]), failing{})), nil
	}
	return io.NopCloser(bytes.NewReader(text)), nil
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, ErrOnPurpose }

// List implements blob.Bucket.
func (b *Bucket) List(ctx context.Context, prefix string, fn func(string, int64, time.Time) error) error {
	before, after, middle, err := b.fate(ctx, "list", prefix)
	if err != nil {
		return err
	}
	if before {
		return ErrOnPurpose
	}
	b.mu.Lock()
	all := maps.Clone(b.objects)
	if b.stale != nil {
		all = maps.Clone(b.stale)
	}
	b.mu.Unlock()
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(all)), func(n string) bool { return !strings.HasPrefix(n, prefix) })
	if after || middle {
		names = names[:len(names)/2]
	}
	for _, name := range names {
		if err := fn(name, int64(len(all[name].bytes)), all[name].modified); err != nil {
			return err
		}
	}
	if after || middle {
		return ErrOnPurpose
	}
	return nil
}

// Delete implements blob.Bucket.
func (b *Bucket) Delete(ctx context.Context, name string) error {
	before, after, middle, err := b.fate(ctx, "delete", name)
	if err != nil {
		return err
	}
	if before || middle {
		return ErrOnPurpose
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.objects, name)
	if after {
		return ErrOnPurpose
	}
	return nil
}

// Sweep implements blob.Bucket.
func (b *Bucket) Sweep(context.Context) error { return nil }

// String implements blob.Bucket.
func (b *Bucket) String() string { return "a bucket in memory" }
