package backup_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep/internal/backup"
	"lockstep/internal/blob"
	"lockstep/internal/blob/blobtest"
	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/vfs/faulty"
)

const testPage = 4096

// began is when the first database was not yet; each commit is a second later.
var began = time.Date(2026, 3, 29, 0, 59, 30, 500, time.UTC)

// A house is a server with a database that is only pages, and real packs, on a file
// system that fails when it is told to.
type house struct {
	t      testing.TB
	fs     *faulty.FS // of the server
	index  *blobtest.Index
	blobs  *blob.Store
	db     *fakeDB
	bytes  map[mail.BlobName][]byte
	code   string // the recovery code, once it was shown
	rng    *rand.Rand
	noise  *rand.ChaCha8
	server backup.Server
}

func newHouse(t testing.TB, pages int) *house {
	h := &house{t: t, fs: faulty.New(1), index: blobtest.NewIndex(), bytes: map[mail.BlobName][]byte{}, rng: rand.New(rand.NewPCG(1, 2)), noise: rand.NewChaCha8([32]byte{})}
	h.db = &fakeDB{h: h, rows: map[uint64][]mail.Blob{}}
	h.grow(pages)
	h.open()
	h.server = backup.Server{
		Pages:   func() (backup.Pages, error) { return h.db.open(), nil },
		KeyFile: func() ([]byte, error) { return h.file("/data/key"), nil },
		Config:  "hostname = \"mail.example.test\"\n",
		Files: func() (map[string][]byte, error) {
			return map[string][]byte{"self-signed.crt": []byte("a certificate")}, nil
		},
		Holder: "host.example.test:/data", Version: "1",
		Clock: backup.Clock{Steady: func() time.Duration { return 0 }}, // of a process that is not known
	}
	h.server.Blobs = h.blobs
	return h
}

func (h *house) open() {
	h.t.Helper()
	keys, _, err := blob.OpenKeyring(h.fs, "/data/key", "/data/packs")
	if err == nil {
		h.blobs, err = blob.Open("/data/packs", keys, h.index, blob.Options{FS: h.fs, PackSize: 1 << 20})
	}
	if err != nil {
		h.t.Fatal(err)
	}
	h.server.Blobs = h.blobs
}

func (h *house) file(name string) []byte {
	h.t.Helper()
	f, err := h.fs.Open(name)
	if err != nil {
		h.t.Fatal(err)
	}
	defer f.Close()
	info, err := h.fs.Stat(name)
	if err != nil {
		h.t.Fatal(err)
	}
	b := make([]byte, info.Size)
	if _, err := f.ReadAt(b, 0); err != nil {
		h.t.Fatal(err)
	}
	return b
}

// put stores a message of n bytes, half of which compress.
func (h *house) put(n int) mail.Blob {
	h.t.Helper()
	data := make([]byte, n)
	_, _ = h.noise.Read(data[:n/2])
	b, parts, err := h.blobs.Put(context.Background(), bytes.NewReader(data), blob.PutOptions{})
	if err == nil {
		err = h.index.Commit(append(parts, b)...)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	h.index.Name(b.Name)
	h.bytes[b.Name] = data
	return b
}

// grow adds pages to the database.
func (h *house) grow(pages int) {
	for range pages {
		h.db.pages = append(h.db.pages, make([]byte, testPage))
		h.change(len(h.db.pages))
	}
}

// change writes pages anew.
func (h *house) change(pages ...int) {
	for _, n := range pages {
		_, _ = h.noise.Read(h.db.pages[n-1][8 : testPage/4])
		h.db.touched(uint32(n))
	}
}

func (h *house) rows() []mail.Blob {
	rows, err := h.index.Rows(context.Background(), "", "", 1<<30)
	if err != nil {
		h.t.Fatal(err)
	}
	return rows
}

// fakeDB is a database that is only pages. Its first says which rows it has.
type fakeDB struct {
	h      *house
	pages  [][]byte
	commit uint64
	rows   map[uint64][]mail.Blob
	copies []*fakeCopy
	// during is called while pages are given, to change them meanwhile.
	during func(pgno uint32)
}

type fakeCopy struct {
	db           *fakeDB
	dirty, given map[uint32]bool
}

func (db *fakeDB) touched(n uint32) {
	for _, c := range db.copies {
		c.dirty[n] = true
	}
}

func (db *fakeDB) open() *fakeCopy {
	c := &fakeCopy{db: db, dirty: map[uint32]bool{}, given: map[uint32]bool{}}
	for n := range db.pages {
		c.dirty[uint32(n+1)] = true
	}
	db.copies = append(db.copies, c)
	return c
}

func (c *fakeCopy) round(each func(uint32, []byte) error) error {
	var pages []uint32
	for n := range c.dirty {
		pages = append(pages, n)
	}
	slices.Sort(pages)
	clear(c.dirty)
	for _, n := range pages {
		if int(n) > len(c.db.pages) {
			continue
		}
		c.given[n] = true
		if c.db.during != nil {
			c.db.during(n)
		}
		if err := each(n, c.db.pages[n-1]); err != nil {
			return err
		}
	}
	return nil
}

// Settle implements backup.Pages, in two rounds.
func (c *fakeCopy) Settle(_ context.Context, digests bool, each func(uint32, []byte) error) (store.Moment, error) {
	for n := range c.given {
		c.dirty[n] = true
	}
	clear(c.given)
	if err := c.round(each); err != nil {
		return store.Moment{}, err
	}
	during := c.db.during
	c.db.during = nil
	defer func() { c.db.during = during }()
	c.db.commit++
	binary.BigEndian.PutUint64(c.db.pages[0], c.db.commit)
	c.dirty[1] = true
	c.db.rows[c.db.commit] = c.db.h.rows()
	if err := c.round(each); err != nil {
		return store.Moment{}, err
	}
	m := store.Moment{Time: began.Add(time.Duration(c.db.commit) * time.Second), Commit: int64(c.db.commit), Pages: uint32(len(c.db.pages)), PageSize: testPage}
	if digests {
		m.Digests = []store.Digest{{Account: 1, Head: mail.ModSeq(c.db.commit)}}
	}
	return m, nil
}

func (c *fakeCopy) Want(pages []uint32) {
	for _, n := range pages {
		c.dirty[n] = true
	}
}

func (c *fakeCopy) Kept() { clear(c.given) }

func (c *fakeCopy) Close() {
	c.db.copies = slices.DeleteFunc(c.db.copies, func(o *fakeCopy) bool { return o == c })
}

// options are those of a run by hand.
func (h *house) options() backup.Options {
	return backup.Options{Digests: true, Doing: "a test", Recovery: func(code string) error { h.code = code; return nil }}
}

// backup makes one point.
func (h *house) backup(t backup.Target) (backup.Result, error) {
	ctx := context.Background()
	run, err := backup.Begin(ctx, t, h.server, h.options())
	if err != nil {
		return backup.Result{}, err
	}
	result, err := run.Point(ctx)
	return result, errors.Join(err, run.Close(ctx))
}

func (h *house) mustBackup(t backup.Target) backup.Result {
	h.t.Helper()
	r, err := h.backup(t)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

// a state is what a point has to bring back.
type state struct {
	pages []byte
	rows  []mail.Blob
}

func (h *house) state() state {
	return state{bytes.Join(h.db.pages, nil), h.db.rows[h.db.commit]}
}

var layout = backup.Layout{Database: "lockstep.db", Packs: "packs", KeyFile: "key", Config: "restored.toml", Lock: "lock"}

// restoreOptions read rows where the fake database's first page says they are.
func (h *house) restoreOptions(fs *faulty.FS) backup.RestoreOptions {
	return backup.RestoreOptions{FS: fs, Layout: layout, Rows: func(_ context.Context, database, prefix string, fn func(mail.Blob) error) error {
		f, err := fs.Open(database)
		if err != nil {
			return err
		}
		defer f.Close()
		var commit [8]byte
		if _, err := f.ReadAt(commit[:], 0); err != nil {
			return err
		}
		for _, row := range h.db.rows[binary.BigEndian.Uint64(commit[:])] {
			if !strings.HasPrefix(row.Place, prefix) {
				continue
			}
			if err := fn(row); err != nil {
				return err
			}
		}
		return nil
	}}
}

// agree compares what was restored with what was backed up: each page, and each byte of
// each message.
func (h *house) agree(fs *faulty.FS, dir string, want state) {
	h.t.Helper()
	restored := &house{t: h.t, fs: fs}
	if got := restored.file(dir + "/lockstep.db"); !bytes.Equal(got, want.pages) {
		h.t.Errorf("the database is another: %d bytes, want %d", len(got), len(want.pages))
	}
	keys, made, err := blob.OpenKeyring(fs, dir+"/key", dir+"/packs")
	if err != nil || made {
		h.t.Fatal(made, err)
	}
	index := blobtest.NewIndex()
	blobs, err := blob.Open(dir+"/packs", keys, index, blob.Options{FS: fs})
	if err != nil {
		h.t.Fatal(err)
	}
	defer blobs.Close()
	for _, row := range want.rows {
		r, err := blobs.Open(context.Background(), row)
		if err != nil {
			h.t.Errorf("%s: %v", row.Place, err)
			continue
		}
		b := make([]byte, row.Size)
		_, err = r.ReadAt(b, 0)
		if err != nil && row.Size > 0 || !bytes.Equal(b, h.bytes[row.Name]) {
			h.t.Errorf("%s: another message came back: %v", row.Place, err)
		}
		r.Close()
	}
}
