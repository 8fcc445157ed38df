package search

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"lockstep/internal/mail"
	"lockstep/internal/notify"
	"lockstep/internal/store"
)

// Bytes are the bytes of one message.
type Bytes interface {
	io.ReaderAt
	io.Closer
}

// Options say where an index gets its mail from.
type Options struct {
	Store     store.Store
	Directory store.Directory
	Hub       *notify.Hub // that Store publishes to
	Blobs     func(context.Context, mail.Blob) (Bytes, error)
	PDF       PDFReader // nil: PDF files are not read
	Secret    []byte    // of the operator: what seals the text
	Nodes     *Nodes    // nil: no others have the same mail, and every account has an index
	Log       *slog.Logger
}

// Index is the search indexes of all accounts. Its methods are safe for concurrent
// use. One process at a time may have it.
type Index struct {
	Options
	dir     string
	storage storage

	mu      sync.Mutex
	writing map[mail.AccountID]*sync.Mutex
	places  map[mail.AccountID]place

	following sync.Mutex
	follows   map[mail.AccountID]*followed // among other nodes
	left      map[mail.AccountID]bool      // to another node, for a while

	waiting sync.Mutex // taken in the path of commits, and never held for long
	pending map[mail.AccountID]*pending
	wake    chan struct{} // holds a token while there is something pending
	mark    mark

	stats counters
}

// New returns the indexes in dir, which it makes.
func New(dir string, o Options) (*Index, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	var kept storage = newFiles(dir)
	if o.Nodes != nil {
		kept = newTables(o.Nodes)
	}
	return &Index{Options: o, dir: dir, storage: kept, writing: map[mail.AccountID]*sync.Mutex{},
		follows: map[mail.AccountID]*followed{}, left: map[mail.AccountID]bool{},
		pending: map[mail.AccountID]*pending{}, places: map[mail.AccountID]place{}, wake: make(chan struct{}, 1)}, nil
}

// Close closes what nobody uses; nobody may be asking any more.
func (x *Index) Close() error {
	x.stopFollowing()
	return x.storage.close()
}

// ReleaseMemory gives back what is kept in memory of indexes that nobody asks now.
func (x *Index) ReleaseMemory() { x.storage.release() }

// read runs fn on a snapshot of an account's index. It is NotFound when there is
// none. A damaged one is thrown away, and made again by Run.
func (x *Index) read(ctx context.Context, a mail.AccountID, fn func(*reader) error) error {
	s, err := newSealer(x.Secret, a)
	if err == nil {
		err = x.storage.read(ctx, a, func(from shelf) error { return fn(&reader{shelf: from, sealer: s}) })
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == errNoIndex:
		x.unplace(a)
		if x.Has(a) {
			x.heard(a, 0) // somebody removed it, or it is not made yet
		}
	case err != nil && mail.KindOf(err) == mail.Corrupt:
		x.damaged(a, err)
	}
	return err
}

// reader is a snapshot of an account's index.
type reader struct {
	shelf
	*sealer
	segs []segmentRow
	keys map[int64][]mail.MessageKey
}

// segments are asked for once.
func (r *reader) segments() (_ []segmentRow, err error) {
	if r.segs == nil {
		r.segs, err = r.shelf.segments()
	}
	return r.segs, err
}

// maxReadKeys is how many segments' messages a reader remembers.
const maxReadKeys = 64

// keysIn are the messages of segments.
func (r *reader) keysIn(ids []int64) (map[int64][]mail.MessageKey, error) {
	if r.keys == nil || len(r.keys) > maxReadKeys {
		r.keys = map[int64][]mail.MessageKey{}
	}
	ids = slices.DeleteFunc(ids, func(id int64) bool { return r.keys[id] != nil })
	if len(ids) == 0 {
		return r.keys, nil
	}
	all, err := r.segmentKeys(ids)
	maps.Copy(r.keys, all)
	return r.keys, err
}

// scanDocs is how many times as many messages an index may have as are asked about
// for all of them to be read in one go.
const scanDocs = 8

// docsOf calls each with those of keys that are in the index, in any order.
func (r *reader) docsOf(keys []mail.MessageKey, each func(docRow) error) error {
	if len(keys) == 0 {
		return nil
	}
	segments, err := r.segments()
	if err != nil {
		return err
	}
	total := int64(0)
	for _, s := range segments {
		total += s.docs
	}
	if total > int64(len(keys))*scanDocs {
		return r.docs(keys, each)
	}
	sorted := slices.Clone(keys)
	slices.Sort(sorted)
	i := 0
	return r.docsBetween(sorted[0], sorted[len(sorted)-1], math.MaxInt32, func(d docRow) error {
		for i < len(sorted) && sorted[i] < d.key {
			i++
		}
		if i < len(sorted) && sorted[i] == d.key {
			return each(d)
		}
		return nil
	})
}

// lock lets nobody else write an account's index.
func (x *Index) lock(a mail.AccountID) *sync.Mutex {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.writing[a] == nil {
		x.writing[a] = &sync.Mutex{}
	}
	return x.writing[a]
}

// discard throws an account's index away. Who is asking it goes on with what he
// has.
func (x *Index) discard(ctx context.Context, a mail.AccountID) error {
	x.unplace(a)
	return x.storage.discard(ctx, a)
}

// unplace forgets how far an account's index got.
func (x *Index) unplace(a mail.AccountID) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.places, a)
}

// damaged makes Run look after an index that can't be read.
func (x *Index) damaged(a mail.AccountID, err error) {
	x.Log.Warn("search index damaged: it will be made again", "account", int64(a), "err", err)
	x.stats.damaged.Add(1)
	x.waiting.Lock()
	defer x.waiting.Unlock()
	x.behind(a, 0).discard = true
}

// Forget removes an account's index.
func (x *Index) Forget(ctx context.Context, a mail.AccountID) error {
	x.giveUp(a)
	return x.throwAway(ctx, a)
}

// throwAway removes what there is of an account's index.
func (x *Index) throwAway(ctx context.Context, a mail.AccountID) error {
	l := x.lock(a)
	l.Lock()
	defer l.Unlock()
	x.waiting.Lock()
	delete(x.pending, a)
	x.waiting.Unlock()
	return x.discard(ctx, a)
}
