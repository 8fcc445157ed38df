package upkeep

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/internal/blob"
	"lockstep/internal/blob/blobtest"
	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/vfs"
)

// world is a blob store with a scrub.
type world struct {
	*Scrub
	t     *testing.T
	dir   string
	index *blobtest.Index
	rows  *rows
	data  map[mail.BlobName][]byte
	spare map[string][]byte // what the backup has, by place
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, dir: t.TempDir(), index: blobtest.NewIndex(), rows: &rows{}, data: map[mail.BlobName][]byte{}}
	w.openBlobs()
	return w
}

func (w *world) openBlobs() {
	w.t.Helper()
	packs := filepath.Join(w.dir, "packs")
	keys, _, err := blob.OpenKeyring(vfs.OS{}, filepath.Join(w.dir, "key"), packs)
	if err != nil {
		w.t.Fatal(err)
	}
	blobs, err := blob.Open(packs, keys, w.index, blob.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { blobs.Close() })
	w.Scrub = &Scrub{
		Blobs: blobs, Rows: w.rows, FS: vfs.OS{}, File: filepath.Join(w.dir, "upkeep", "scrub.json"),
		Rate: 1 << 20, Every: 24 * time.Hour, Log: slog.New(slog.DiscardHandler),
		Accounts: func(context.Context) ([]store.Principal, error) {
			return []store.Principal{{Account: 2, Login: "bob@example.test"}, {Account: 1, Login: "alice@example.test"}}, nil
		},
	}
	w.Open()
}

// reopen closes everything and opens it again, as a restart does.
func (w *world) reopen() {
	w.t.Helper()
	spare := w.Spare
	if err := w.Blobs.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.openBlobs()
	w.Spare = spare
}

func (w *world) put(n int) mail.Blob {
	w.t.Helper()
	data := make([]byte, n)
	rng := rand.New(rand.NewPCG(uint64(n), uint64(len(w.data))))
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	b, parts, err := w.Blobs.Put(context.Background(), bytes.NewReader(data), blob.PutOptions{})
	if err == nil {
		err = w.index.Commit(append(parts, b)...)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.index.Name(b.Name)
	w.data[b.Name] = data
	b, _, _ = w.Blobs.Find(context.Background(), b.Name)
	return b
}

func (w *world) where(place string) (file string, offset, length int64) {
	f := strings.Split(place, "-")
	offset, err1 := strconv.ParseInt(f[1], 16, 64)
	length, err2 := strconv.ParseInt(f[2], 16, 64)
	if err := errors.Join(err1, err2); err != nil {
		w.t.Fatal(err)
	}
	return filepath.Join(w.dir, "packs", f[0]+".pack"), offset, length
}

// flip changes a bit in the middle of a blob's record.
func (w *world) flip(b mail.Blob) {
	w.t.Helper()
	file, off, n := w.where(b.Place)
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	defer f.Close()
	var c [1]byte
	if _, err := f.ReadAt(c[:], off+n-n/4); err != nil {
		w.t.Fatal(err)
	}
	c[0] ^= 0x10
	if _, err := f.WriteAt(c[:], off+n-n/4); err != nil {
		w.t.Fatal(err)
	}
}

// backup keeps a copy of all records, without their keys.
func (w *world) backup() {
	w.t.Helper()
	w.spare = map[string][]byte{}
	err := w.Blobs.Each(context.Background(), func(b mail.Blob) error {
		file, off, n := w.where(b.Place)
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer f.Close()
		rec := make([]byte, n)
		_, err = f.ReadAt(rec, off)
		clear(rec[60:136])
		binary.BigEndian.PutUint32(rec[140:], crc32.Checksum(rec[:140], crc32.MakeTable(crc32.Castagnoli)))
		w.spare[b.Place] = rec
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.Spare = func(_ context.Context, place string) (io.ReadCloser, error) {
		rec, ok := w.spare[place]
		if !ok {
			return nil, fs.ErrNotExist
		}
		return io.NopCloser(bytes.NewReader(rec)), nil
	}
}

// served reads a blob as a client would.
func (w *world) served(name mail.BlobName) ([]byte, error) {
	b, found, err := w.Blobs.Find(context.Background(), name)
	if err != nil || !found {
		return nil, fmt.Errorf("found: %v, %v", found, err)
	}
	r, err := w.Blobs.Open(context.Background(), b)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// rows is a database that has what a test plants.
type rows struct {
	mu     sync.Mutex
	wrong  map[mail.AccountID][]string
	firm   bool // what is wrong can't be put right
	busy   int  // so many looks give way
	looked []mail.AccountID
	tables map[string]string // what is wrong with a table
}

func (r *rows) Check(_ context.Context, id mail.AccountID, repair bool) ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	found := slices.Clone(r.wrong[id])
	if repair && !r.firm {
		delete(r.wrong, id)
	}
	return found, nil
}

func (r *rows) Reparsed(context.Context, mail.AccountID, []store.Derived) error { return nil }

func (r *rows) LookOver(ctx context.Context, id mail.AccountID) ([]string, error) {
	r.mu.Lock()
	r.looked = append(r.looked, id)
	if r.busy > 0 {
		r.busy--
		r.mu.Unlock()
		return nil, mail.Errorf(mail.Unavailable, "people were at work")
	}
	r.mu.Unlock()
	return r.Check(ctx, id, false)
}

func (r *rows) Tables(context.Context) ([]string, error) {
	return []string{"sqlite_schema", "message", "journal"}, nil
}

func (r *rows) Integrity(_ context.Context, table string, repair bool) (wrong, left []string, err error) {
	what, ok := r.tables[table]
	if !ok {
		return nil, nil, nil
	}
	if strings.Contains(what, "index") && repair {
		delete(r.tables, table)
		return []string{what}, nil, nil
	}
	return []string{what}, []string{what}, nil
}

func TestOnePassRestoresDamageFromTheBackupByteForByte(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var all []mail.Blob
		for i := range 30 {
			all = append(all, w.put(1000+i*7919))
		}
		w.backup()
		for i := 0; i < len(all); i += 3 {
			w.flip(all[i])
		}
		if err := w.Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, b := range all {
			if got, err := w.served(b.Name); err != nil || !bytes.Equal(got, w.data[b.Name]) {
				t.Errorf("%s: %d bytes, %v", b.Place, len(got), err)
			}
		}
		st := w.Status() // what was mended lies behind all others, and is looked at there too
		if st.Last == nil || st.Last.Restored != 10 || st.Last.Blobs != 40 || st.Damaged != 0 || st.Stats.Damaged != 10 || st.Pass != nil {
			t.Errorf("%+v, last %+v", st, st.Last)
		}
	})
}

func TestDamageWithoutABackupIsIsolatedAndNeverServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		good, bad, worse := w.put(70_000), w.put(80_000), w.put(90_000)
		w.backup()
		delete(w.spare, bad.Place)
		w.spare[worse.Place][5000] ^= 1
		w.flip(bad)
		w.flip(worse)
		for range 2 {
			if err := w.Pass(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.reopen()
		}
		if w.Blobs.Damaged() != 2 || w.Status().Last.Restored != 0 {
			t.Errorf("%d are known to be damaged: %+v", w.Blobs.Damaged(), w.Status().Last)
		}
		if _, err := w.served(good.Name); err != nil {
			t.Error(err)
		}
		for _, b := range []mail.Blob{bad, worse} {
			if got, err := w.served(b.Name); mail.KindOf(err) != mail.Corrupt || len(got) > 0 {
				t.Errorf("%d bytes were served: %v", len(got), err)
			}
		}
	})
}

func TestDamageIsMendedFromAnotherRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		first := w.put(50_000)
		w.index.Lose(first.Name)
		again, _, err := w.Blobs.Put(t.Context(), bytes.NewReader(w.data[first.Name]), blob.PutOptions{})
		if err == nil {
			err = w.index.Commit(again)
		}
		if err != nil {
			t.Fatal(err)
		}
		w.flip(again)
		if err := w.Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
		if st := w.Status(); st.Last.Mended != 1 || st.Damaged != 0 {
			t.Errorf("%+v", st.Last)
		}
		if got, err := w.served(first.Name); err != nil || !bytes.Equal(got, w.data[first.Name]) {
			t.Errorf("%v", err)
		}
	})
}

func TestAPassKeepsItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for range 10 {
			w.put(1 << 20)
		}
		began := time.Now()
		if err := w.Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < 9900*time.Millisecond || took > 12*time.Second {
			t.Errorf("10 MiB at 1 MiB/s took %v", took)
		}
	})
}

// A pass that is cut goes on where it was, over a restart too, and misses nothing.
func TestACutPassGoesOnWhereItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var all []mail.Blob
		for i := range 20 {
			all = append(all, w.put(200_000+i))
		}
		w.backup()
		slices.SortFunc(all, func(a, b mail.Blob) int { return strings.Compare(a.Place, b.Place) })
		w.flip(all[2])
		w.flip(all[18])
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second) // of about 4
		defer cancel()
		if err := w.Pass(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		half := w.Status().Pass
		if half == nil || half.Blobs < 5 || half.Blobs > 15 {
			t.Fatalf("after two seconds: %+v", half)
		}
		w.reopen()
		if p := w.Status().Pass; p == nil || p.After != half.After || p.Blobs != half.Blobs || !p.Began.Equal(half.Began) {
			t.Fatalf("after a restart: %+v, before %+v", p, half)
		}
		if err := w.Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
		last := w.Status().Last
		if last.Blobs != 22 || last.Restored != 2 || last.Accounts != 2 || last.Tables != 3 || w.Blobs.Damaged() != 0 {
			t.Errorf("%+v", last)
		}
	})
}

func TestALostMemoryBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.put(1000)
		for _, text := range []string{"", "{", `{"Pass":{"Stage":"nowhere"}}`, `{"Pass":{"Stage":"rows","After":"x"}}`} {
			if err := os.MkdirAll(filepath.Dir(w.File), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(w.File, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			w.reopen()
			if err := w.Pass(t.Context()); err != nil || w.Status().Last == nil {
				t.Errorf("%q: %v", text, err)
			}
		}
	})
}

func TestRowsArePutRightOrShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.rows.wrong = map[mail.AccountID][]string{1: {"a mailbox counted wrongly: INBOX"}}
		w.rows.tables = map[string]string{"journal": "row 3 missing from index journal_act", "message": "Tree 5 page 7: free space corruption"}
		if err := w.Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
		if last := w.Status().Last; last.PutRight != 2 || len(last.Left) != 1 || !strings.Contains(last.Left[0], "page 7") {
			t.Errorf("%+v", last)
		}
		w.rows.firm, w.rows.wrong = true, map[mail.AccountID][]string{2: {"a placement in no mailbox: UID 7"}}
		if err := w.Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
		if last := w.Status().Last; last.PutRight != 0 || len(last.Left) != 2 || last.Left[0] != "bob@example.test: a placement in no mailbox: UID 7" {
			t.Errorf("%+v", last)
		}
	})
}

func TestWhatGaveWayIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.rows.busy = gentleTries - 1
		w.rows.wrong = map[mail.AccountID][]string{1: {"wrong"}}
		if err := w.Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
		if last := w.Status().Last; last.PutRight != 1 || len(last.Skipped) > 0 {
			t.Errorf("%+v", last)
		}
		w.rows.busy = gentleTries
		if err := w.Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
		if last := w.Status().Last; len(last.Skipped) != 1 || !strings.Contains(last.Skipped[0], "alice@example.test: people were at work") || last.Accounts != 2 {
			t.Errorf("%+v", last)
		}
	})
}

func TestPassesComeEverySoOftenAndAtOnceWhenAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.put(1000)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.Run(ctx) }()
		ended := func() (n int) {
			synctest.Wait()
			w.rows.mu.Lock()
			defer w.rows.mu.Unlock()
			if w.Status().Last == nil {
				return 0
			}
			return len(w.rows.looked) / 2
		}
		time.Sleep(scrubBegins - time.Second)
		if n := ended(); n != 0 {
			t.Errorf("%d passes before the first is due", n)
		}
		time.Sleep(2 * time.Second)
		if n := ended(); n != 1 {
			t.Errorf("%d passes when the first was due", n)
		}
		time.Sleep(23 * time.Hour)
		if n := ended(); n != 1 {
			t.Errorf("%d passes within a day", n)
		}
		time.Sleep(2 * time.Hour)
		if n := ended(); n != 2 {
			t.Errorf("%d passes after a day", n)
		}
		told := 0
		if err := w.Now(ctx, func(Status) error { told++; return nil }); err != nil || told == 0 {
			t.Error(err)
		}
		if n := ended(); n != 3 {
			t.Errorf("%d passes after one more was asked for", n)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestNowWithoutAServerMakesThePassItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.put(3 << 20)
		w.Rate = 1
		if err := w.Now(t.Context(), func(Status) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if st := w.Status(); st.Last == nil || st.Last.Blobs != 1 || st.Share() != 1 {
			t.Errorf("%+v", st)
		}
	})
}

func TestFindingsAreBounded(t *testing.T) {
	var list []string
	for i := range maxLeft + 1 {
		list = appendUpTo(list, fmt.Sprint(i))
	}
	if len(list) != maxLeft {
		t.Errorf("%d findings are remembered, want %d", len(list), maxLeft)
	}
}
