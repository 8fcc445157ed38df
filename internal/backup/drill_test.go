package backup_test

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"lockstep/internal/backup"
	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/vfs/faulty"
)

// drillOptions read the fake database as restoreOptions do.
func (h *house) drillOptions(fs *faulty.FS) backup.DrillOptions {
	return backup.DrillOptions{
		FS: fs, Dir: "/data/drill", Rows: h.restoreOptions(fs).Rows,
		Inspect: func(_ context.Context, database string) ([]store.Digest, error) {
			f, err := fs.Open(database)
			if err != nil {
				return nil, err
			}
			defer f.Close()
			var commit [8]byte
			_, err = f.ReadAt(commit[:], 0)
			return []store.Digest{{Account: 1, Head: mail.ModSeq(binary.BigEndian.Uint64(commit[:]))}}, err
		},
	}
}

// drilled is a house with a backup of several points.
func drilled(t *testing.T) (*house, *faulty.FS, backup.Target) {
	h := newHouse(t, 3000)
	fs := faulty.New(2)
	target := backup.NewDir(fs, "/target")
	for range 3 {
		for range 20 {
			h.put(1 + h.rng.IntN(200_000))
		}
		for range 30 {
			h.change(1 + h.rng.IntN(len(h.db.pages)))
		}
		h.mustBackup(target)
	}
	return h, fs, target
}

// objects lists the target.
func objects(t *testing.T, target backup.Target, prefix, contains string) (names []string) {
	t.Helper()
	err := target.List(t.Context(), prefix, func(o backup.Object) error {
		if strings.Contains(o.Name, contains) {
			names = append(names, o.Name)
		}
		return nil
	})
	if err != nil || len(names) == 0 {
		t.Fatalf("nothing like %s…%s in the target: %v", prefix, contains, err)
	}
	return names
}

// largest is the name of the largest object of its kind in a set. Others may be such
// that a later point does without.
func largest(t *testing.T, target backup.Target, contains string) (name string) {
	t.Helper()
	size := int64(0)
	err := target.List(t.Context(), "sets/", func(o backup.Object) error {
		if strings.Contains(o.Name, contains) && o.Size > size {
			name, size = o.Name, o.Size
		}
		return nil
	})
	if err != nil || name == "" {
		t.Fatalf("nothing like %s: %v", contains, err)
	}
	return name
}

// flipObject changes a bit in the middle of an object.
func flipObject(t *testing.T, fs *faulty.FS, name string) {
	t.Helper()
	f, err := fs.Change("/target/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := fs.Stat("/target/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var b [1]byte
	if _, err := f.ReadAt(b[:], info.Size/2); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 8
	if _, err := f.WriteAt(b[:], info.Size/2); err != nil {
		t.Fatal(err)
	}
}

func TestADrillOfAGoodBackupFindsNothingAndLeavesNothing(t *testing.T) {
	h, _, target := drilled(t)
	d, err := h.unlock(target).Drill(t.Context(), h.drillOptions(h.fs))
	if err != nil || len(d.Wrong) > 0 {
		t.Fatalf("%v, %v", d.Wrong, err)
	}
	if d.Accounts != 1 || d.Stored != 60 || d.Opened != 60 || d.Bytes == 0 || d.Bytes != d.Of || d.Point.Number != 3 {
		t.Errorf("%+v", d)
	}
	if files, err := h.fs.ReadDir("/data/drill"); err != nil || len(files) > 0 {
		t.Errorf("%v is left, %v", files, err)
	}
}

func TestADrillReadsSomeOrAll(t *testing.T) {
	h, _, target := drilled(t)
	o := h.drillOptions(h.fs)
	o.Bytes = 1 << 20
	d, err := h.unlock(target).Drill(t.Context(), o)
	if err != nil || len(d.Wrong) > 0 || d.Bytes > 2<<20 || d.Opened == 0 || d.Opened == d.Stored || d.Stored != 60 {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestADrillFindsPlantedFaults(t *testing.T) {
	for _, c := range []struct {
		fault string
		plant func(t *testing.T, h *house, fs *faulty.FS, target backup.Target)
		words string
	}{
		{"a page segment is dropped", func(t *testing.T, _ *house, fs *faulty.FS, target backup.Target) {
			if err := target.Delete(t.Context(), largest(t, target, "/pages/")); err != nil {
				t.Fatal(err)
			}
		}, "the database: "},
		{"a page segment is damaged", func(t *testing.T, _ *house, fs *faulty.FS, target backup.Target) {
			flipObject(t, fs, largest(t, target, "/pages/"))
		}, "the database: "},
		{"an index is damaged", func(t *testing.T, _ *house, fs *faulty.FS, target backup.Target) {
			flipObject(t, fs, objects(t, target, "sets/", "/indexes/")[0])
		}, "the database: "},
		{"an extent is damaged", func(t *testing.T, _ *house, fs *faulty.FS, target backup.Target) {
			flipObject(t, fs, objects(t, target, "packs/", "")[1])
		}, "its bytes changed"},
		{"an extent is dropped", func(t *testing.T, _ *house, fs *faulty.FS, target backup.Target) {
			if err := target.Delete(t.Context(), objects(t, target, "packs/", "")[0]); err != nil {
				t.Fatal(err)
			}
		}, "messages or parts lie where the backup has nothing"},
		{"the key of the set is missing", func(t *testing.T, _ *house, fs *faulty.FS, target backup.Target) {
			if err := target.Delete(t.Context(), objects(t, target, "sets/", "/key")[0]); err != nil {
				t.Fatal(err)
			}
		}, "the key of set"},
		{"no point", func(t *testing.T, _ *house, fs *faulty.FS, target backup.Target) {
			for _, name := range objects(t, target, "sets/", "/points/") {
				if err := target.Delete(t.Context(), name); err != nil {
					t.Fatal(err)
				}
			}
		}, "has no point"},
		{"the digests are missing", func(t *testing.T, _ *house, fs *faulty.FS, target backup.Target) {
			for _, name := range objects(t, target, "sets/", "/digests/") {
				if err := target.Delete(t.Context(), name); err != nil {
					t.Fatal(err)
				}
			}
		}, "the database: "},
	} {
		t.Run(c.fault, func(t *testing.T) {
			t.Parallel()
			h, fs, target := drilled(t)
			r := h.unlock(target)
			c.plant(t, h, fs, target)
			d, err := r.Drill(t.Context(), h.drillOptions(h.fs))
			if err != nil || !strings.Contains(strings.Join(d.Wrong, "\n"), c.words) || d.WrongAll == 0 {
				t.Errorf("%q, %v", d.Wrong, err)
			}
			if files, err := h.fs.ReadDir("/data/drill"); err != nil || len(files) > 0 {
				t.Errorf("%v is left, %v", files, err)
			}
		})
	}
}

func TestADrillFindsAccountsThatDiffer(t *testing.T) {
	h, _, target := drilled(t)
	good := h.drillOptions(h.fs).Inspect
	for _, c := range []struct {
		words string
		alter func([]store.Digest) []store.Digest
	}{
		{"is another than it was", func(d []store.Digest) []store.Digest { d[0].Sum[3]++; return d }},
		{"did not come back", func(d []store.Digest) []store.Digest { return nil }},
		{"was not there when the backup was made", func(d []store.Digest) []store.Digest { return append(d, store.Digest{Account: 9}) }},
	} {
		o := h.drillOptions(h.fs)
		o.Inspect = func(ctx context.Context, database string) ([]store.Digest, error) {
			d, err := good(ctx, database)
			return c.alter(d), err
		}
		d, err := h.unlock(target).Drill(t.Context(), o)
		if err != nil || len(d.Wrong) != 1 || !strings.Contains(d.Wrong[0], c.words) {
			t.Errorf("%q, %v; want %q", d.Wrong, err, c.words)
		}
	}
	o := h.drillOptions(h.fs)
	o.Inspect = func(context.Context, string) ([]store.Digest, error) {
		return nil, mail.Errorf(mail.Corrupt, "the database is damaged: Tree 5")
	}
	if d, err := h.unlock(target).Drill(t.Context(), o); err != nil || !strings.Contains(strings.Join(d.Wrong, ""), "Tree 5") {
		t.Errorf("%q, %v", d.Wrong, err)
	}
}

// Who follows a server records only now and then what is in the accounts: a drill
// compares then those that nothing changed since.
func TestADrillComparesWithWhatAnEarlierPointRecorded(t *testing.T) {
	h, _, target := drilled(t)
	run, err := backup.Begin(t.Context(), target, h.server, backup.Options{Doing: "a test"})
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close(t.Context())
	recorded := mail.ModSeq(h.db.commit)
	if _, err := run.Point(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		got            store.Digest
		changed, wrong int
	}{
		{got: store.Digest{Account: 1, Head: recorded}},
		{got: store.Digest{Account: 1, Head: recorded, Size: 1}, wrong: 1},
		{got: store.Digest{Account: 1, Head: recorded + 1}, changed: 1},
		{got: store.Digest{Account: 2, Head: 1}, changed: 1},
	} {
		o := h.drillOptions(h.fs)
		o.Inspect = func(context.Context, string) ([]store.Digest, error) { return []store.Digest{c.got}, nil }
		d, err := h.unlock(target).Drill(t.Context(), o)
		if err != nil || d.Changed != c.changed || len(d.Wrong) != c.wrong {
			t.Errorf("%+v came back: %d changed, wrong %q, %v", c.got, d.Changed, d.Wrong, err)
		}
	}
}

func TestADrillFindsAMessageWithoutItsKey(t *testing.T) {
	h, _, target := drilled(t)
	o := h.drillOptions(h.fs)
	rows := o.Rows
	o.Rows = func(ctx context.Context, database, prefix string, fn func(mail.Blob) error) error {
		n := 0
		return rows(ctx, database, prefix, func(b mail.Blob) error {
			if n++; n == 3 && prefix != "" {
				b.Key = make([]byte, len(b.Key))
			}
			return fn(b)
		})
	}
	d, err := h.unlock(target).Drill(t.Context(), o)
	if err != nil || len(d.Wrong) == 0 || !strings.Contains(d.Wrong[0], "or its key is missing") {
		t.Errorf("%q, %v", d.Wrong, err)
	}
}

func TestADrillLooksForRoomFirst(t *testing.T) {
	h, _, target := drilled(t)
	o := h.drillOptions(h.fs)
	o.Free = func(string) (int64, bool, error) { return 1 << 20, true, nil }
	_, err := h.unlock(target).Drill(t.Context(), o)
	if mail.KindOf(err) != mail.Unavailable || !strings.Contains(err.Error(), "backup.scratch") {
		t.Errorf("%v", err)
	}
	o.Free = func(string) (int64, bool, error) { return 0, false, nil }
	if _, err := h.unlock(target).Drill(t.Context(), o); err != nil {
		t.Errorf("where nobody knows: %v", err)
	}
}

func TestADrillThatIsStoppedLeavesNothing(t *testing.T) {
	h, _, target := drilled(t)
	for _, stage := range []string{"database", "accounts", "mail"} {
		ctx, cancel := context.WithCancel(t.Context())
		o := h.drillOptions(h.fs)
		o.Progress = func(p backup.DrillProgress) {
			if p.Stage == stage {
				cancel()
			}
		}
		if _, err := h.unlock(target).Drill(ctx, o); !errors.Is(err, context.Canceled) {
			t.Errorf("stopped in %s: %v", stage, err)
		}
		if files, err := h.fs.ReadDir("/data/drill"); err != nil || len(files) > 0 {
			t.Errorf("%v is left, %v", files, err)
		}
	}
}

func TestWhatAKilledDrillLeftIsRemoved(t *testing.T) {
	h, _, target := drilled(t)
	if err := h.fs.MkdirAll("/data/drill"); err != nil {
		t.Fatal(err)
	}
	f, err := h.fs.Create("/data/drill/drill.db.part")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("half a database"), 0); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if d, err := h.unlock(target).Drill(t.Context(), h.drillOptions(h.fs)); err != nil || len(d.Wrong) > 0 {
		t.Errorf("%q, %v", d.Wrong, err)
	}
	if err := backup.EmptyScratch(h.fs, "/data/nowhere"); err != nil {
		t.Error(err)
	}
}
