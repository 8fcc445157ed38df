package search

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"zombiezen.com/go/sqlite"

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
	dir string

	mu      sync.Mutex
	free    []freeConn             // the one used last at the end
	made    map[mail.AccountID]int // how often its database was discarded
	writing map[mail.AccountID]*sync.Mutex
	places  map[mail.AccountID]place

	following sync.Mutex
	follows   map[mail.AccountID]*followed // among other nodes

	waiting sync.Mutex // taken in the path of commits, and never held for long
	pending map[mail.AccountID]*pending
	wake    chan struct{} // holds a token while there is something pending
	mark    mark

	stats counters
}

// freeConn is a connection that nobody uses.
type freeConn struct {
	*sqlite.Conn
	account mail.AccountID
}

// maxFree is how many connections are kept open for the next question or change:
// the last one of a database that is closed writes its log back, and waits for the
// disk.
const maxFree = 32

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
	return &Index{Options: o, dir: dir, made: map[mail.AccountID]int{}, writing: map[mail.AccountID]*sync.Mutex{},
		follows: map[mail.AccountID]*followed{},
		pending: map[mail.AccountID]*pending{}, places: map[mail.AccountID]place{}, wake: make(chan struct{}, 1)}, nil
}

// Close closes what nobody uses; nobody may be asking any more.
func (x *Index) Close() error {
	x.stopFollowing()
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, f := range x.free {
		f.Close()
	}
	x.free = nil
	return nil
}

func (x *Index) path(a mail.AccountID) string { return filepath.Join(x.dir, fmt.Sprintf("%d.db", a)) }

// read runs fn on a snapshot of an account's index. It is NotFound when there is
// none. A damaged one is thrown away, and made again by Run.
func (x *Index) read(ctx context.Context, a mail.AccountID, fn func(*reader) error) error {
	c, made, err := x.take(a, open)
	if err == nil {
		defer func() { x.giveBack(a, made, c) }()
		var s *sealer
		if s, err = newSealer(x.Secret, a); err == nil {
			err = snapshot(c, func() error {
				c.SetInterrupt(ctx.Done())
				defer c.SetInterrupt(nil)
				return fn(&reader{c, s})
			})
		}
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == errNoIndex && x.Has(a):
		x.heard(a, 0) // somebody removed it, or it is not made yet
	case err != nil && mail.KindOf(err) == mail.Corrupt:
		x.damaged(a, err)
	}
	return err
}

// reader is a snapshot of an account's index.
type reader struct {
	c *sqlite.Conn
	*sealer
}

// take returns a connection that nobody uses, or a new one.
func (x *Index) take(a mail.AccountID, connect func(path string) (*sqlite.Conn, error)) (*sqlite.Conn, int, error) {
	_, err := os.Stat(x.path(a))
	if errors.Is(err, fs.ErrNotExist) {
		x.letGo(a)
	}
	x.mu.Lock()
	made := x.made[a]
	for i := len(x.free) - 1; i >= 0; i-- {
		if c := x.free[i]; c.account == a {
			x.free = slices.Delete(x.free, i, i+1)
			x.mu.Unlock()
			return c.Conn, made, nil
		}
	}
	x.mu.Unlock()
	c, err := connect(x.path(a))
	return c, made, err
}

func (x *Index) giveBack(a mail.AccountID, made int, c *sqlite.Conn) {
	x.mu.Lock()
	surplus := c
	if made == x.made[a] && c.AutocommitEnabled() { // else it was left in the middle
		if surplus = nil; len(x.free) == maxFree {
			surplus = x.free[0].Conn
			x.free = slices.Delete(x.free, 0, 1)
		}
		x.free = append(x.free, freeConn{c, a})
	}
	x.mu.Unlock()
	if surplus != nil {
		surplus.Close()
	}
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
func (x *Index) discard(a mail.AccountID) error {
	x.letGo(a)
	return discard(x.path(a))
}

// letGo forgets what is known of an account's index.
func (x *Index) letGo(a mail.AccountID) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.made[a]++
	delete(x.places, a)
	x.free = slices.DeleteFunc(x.free, func(f freeConn) bool {
		if f.account == a {
			f.Close()
		}
		return f.account == a
	})
}

// damaged makes Run look after an index that can't be read.
func (x *Index) damaged(a mail.AccountID, err error) {
	x.Log.Warn("search index damaged: it will be made again", "account", int64(a), "err", err)
	x.stats.damaged.Add(1)
	x.waiting.Lock()
	defer x.waiting.Unlock()
	x.behind(a, 0).discard = true
}

// Forget removes an account's index, and has other nodes throw theirs away.
func (x *Index) Forget(ctx context.Context, a mail.AccountID) error {
	x.giveUp(a)
	return errors.Join(x.throwAway(a), x.tellRenewed(ctx, a))
}

// throwAway removes what there is of an account's index.
func (x *Index) throwAway(a mail.AccountID) error {
	l := x.lock(a)
	l.Lock()
	defer l.Unlock()
	x.waiting.Lock()
	delete(x.pending, a)
	x.waiting.Unlock()
	return errors.Join(x.discard(a), x.unnote(a))
}
