package backup

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"time"

	"lockstep/internal/blob"
	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/vfs"
)

// DrillOptions say how a drill is made. FS, Dir, Inspect and Rows have to be set.
type DrillOptions struct {
	FS vfs.FS
	// Dir is where the database is brought back to, and nothing else lies. The drill
	// empties it, at its end and at its beginning too.
	Dir string
	// Free is how many bytes can be written there; known is false where nobody can say.
	// nil: nobody can.
	Free func(dir string) (free int64, known bool, err error)
	// Inspect checks a database that nobody has open, and returns what is in its accounts.
	Inspect func(ctx context.Context, database string) ([]store.Digest, error)
	// Rows is that of RestoreOptions.
	Rows func(ctx context.Context, database, prefix string, fn func(mail.Blob) error) error
	// Bytes is how much of the packs is read at most, chosen by chance, but at least one
	// extent; 0 is all of it.
	Bytes    int64
	Rand     *rand.Rand // nil: chance
	Progress func(DrillProgress)
}

// DrillProgress is how far a drill is.
type DrillProgress struct {
	Stage       string // "database", "accounts" or "mail"
	Done, Total int64  // bytes; of the accounts nothing is known before the end
}

// Drilled says what a drill found. The backup is good when nothing is wrong.
type Drilled struct {
	Point    Point
	Accounts int
	Changed  int   // of those, the ones that were compared by the hashes of their pages alone
	Messages int64 // in all mailboxes
	Stored   int   // messages and parts that the database names, each once
	Opened   int   // of those, the ones whose bytes were read and compared
	Bytes    int64 // read of packs
	Of       int64 // that the point has of them
	Took     time.Duration
	Wrong    []string // what would not come back, maxLost of it
	WrongAll int      // how much that is
}

// scratchName is what the database is called while a drill looks at it.
const scratchName = "drill.db"

// drillRoom is what a drill leaves free.
const drillRoom = 64 << 20

// Drill restores the newest point as far as shows that it would come back: the whole
// database, page by page, into a scratch directory, where it is checked and each account
// compared with what was recorded when the point was made; of the packs, that all are
// there; and the bytes of some of them, which are read as they lie in the target, with
// every message in them opened. It changes nothing in the target, and takes the disk
// space of the database and one extent. What is wrong with the backup is told, and is no
// error; an error says that the drill could not be made.
func (r *Repo) Drill(ctx context.Context, o DrillOptions) (d Drilled, err error) {
	began := time.Now()
	defer func() { d.Took = time.Since(began) }()
	t := &drill{r: r, o: o, tell: o.Progress}
	if t.tell == nil {
		t.tell = func(DrillProgress) {}
	}
	if err := t.scratch(); err != nil {
		return Drilled{}, err
	}
	defer func() { err = errors.Join(err, t.empty()) }()
	err = t.run(ctx)
	if isGone(err) {
		t.wrong("%v", err)
		err = nil
	}
	return t.done, err
}

// isGone says that something of the backup can't be read, now or ever.
func isGone(err error) bool {
	k := mail.KindOf(err)
	return err != nil && (k == mail.Corrupt || k == mail.NotFound || errors.Is(err, fs.ErrNotExist))
}

// drill is one drill under way.
type drill struct {
	r    *Repo
	o    DrillOptions
	m    *Manifest
	keys *blob.Keyring
	tell func(DrillProgress)
	done Drilled
}

func (t *drill) wrong(format string, args ...any) {
	t.done.WrongAll++
	if len(t.done.Wrong) < maxLost {
		t.done.Wrong = append(t.done.Wrong, fmt.Sprintf(format, args...))
	}
}

// scratch makes the directory, empty.
func (t *drill) scratch() error {
	if err := t.o.FS.MkdirAll(t.o.Dir); err != nil {
		return err
	}
	return t.empty()
}

// EmptyScratch removes what a drill that was killed left.
func EmptyScratch(fsys vfs.FS, dir string) error {
	files, err := fsys.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, f := range files {
		err = errors.Join(err, fsys.Remove(filepath.Join(dir, f.Name)))
	}
	return err
}

func (t *drill) empty() error { return EmptyScratch(t.o.FS, t.o.Dir) }

func (t *drill) run(ctx context.Context) (err error) {
	if t.done.Point, err = t.r.Newest(ctx, time.Time{}); err != nil {
		return err
	}
	if t.m, err = t.r.Manifest(ctx, t.done.Point); err != nil {
		return err
	}
	if t.keys, err = blob.ParseKeyring([]byte(t.m.KeyFile)); err != nil {
		t.wrong("the key file that the point carries can't be read: %v", err)
	}
	if err := t.room(); err != nil {
		return err
	}
	have, err := extents(ctx, t.r.Target, packsPrefix)
	if err != nil {
		return err
	}
	database, err := t.database(ctx)
	if isGone(err) { // the packs are looked at all the same
		t.wrong("the database: %v", err)
		database = ""
	} else if err != nil {
		return err
	}
	return t.packs(ctx, database, have)
}

// room sees that the disk has room for the database.
func (t *drill) room() error {
	if t.o.Free == nil {
		return nil
	}
	free, known, err := t.o.Free(t.o.Dir)
	if need := int64(t.m.Pages)*int64(t.m.PageSize) + extentBytes + drillRoom; err == nil && known && free < need {
		return mail.Errorf(mail.Unavailable, "a drill needs %d MiB in %s, where %d MiB are free: make room, or name another directory with backup.scratch", need>>20, t.o.Dir, free>>20)
	}
	return err
}

// database brings the database back and compares it, and returns where it lies.
func (t *drill) database(ctx context.Context) (string, error) {
	back := &restoring{r: t.r, p: t.done.Point, m: t.m, dir: t.o.Dir, o: RestoreOptions{
		FS: t.o.FS, Layout: Layout{Database: scratchName},
		Progress: func(p RestoreProgress) { t.tell(DrillProgress{"database", p.Done, p.Total}) },
	}}
	if err := back.database(ctx); err != nil {
		return "", err
	}
	database := part(back.path(scratchName))
	t.tell(DrillProgress{Stage: "accounts"})
	got, err := t.o.Inspect(ctx, database)
	if err != nil {
		return "", err
	}
	of, want, err := t.recorded(ctx)
	if err != nil {
		return database, err
	}
	t.compare(got, want, of == t.done.Point)
	return database, nil
}

// maxLookBack bounds the points that are asked for what was in the accounts: who follows
// a server records that every ten minutes, and has some point each second between.
const maxLookBack = 1000

// recorded returns what the newest point that says so had in each account.
func (t *drill) recorded(ctx context.Context) (of Point, want []store.Digest, err error) {
	points, err := t.r.Points(ctx)
	if err != nil {
		return Point{}, nil, err
	}
	if len(points) > maxLookBack {
		points = points[len(points)-maxLookBack:]
	}
	for _, p := range slices.Backward(points) {
		if want, err = t.r.Digests(ctx, p); err != nil || len(want) > 0 {
			return p, want, err
		}
	}
	return Point{}, nil, nil
}

// compare holds the accounts that came back against those that were recorded. What an
// earlier point recorded is compared where nothing changed since; that the rest is what
// was copied is known by the hashes of all pages.
func (t *drill) compare(got, want []store.Digest, same bool) {
	recorded := map[mail.AccountID]store.Digest{}
	for _, d := range want {
		recorded[d.Account] = d
	}
	t.done.Accounts = len(got)
	for _, d := range got {
		t.done.Messages += d.Placements
		was, known := recorded[d.Account]
		delete(recorded, d.Account)
		switch {
		case !same && (!known || d.Head != was.Head || d.Epoch != was.Epoch):
			t.done.Changed++
		case !known && len(want) > 0:
			t.wrong("account %d came back, and was not there when the backup was made", d.Account)
		case known && d != was:
			t.wrong("account %d is another than it was: %s came back, and it had %s", d.Account, digestText(d), digestText(was))
		}
	}
	for _, was := range want {
		if _, missing := recorded[was.Account]; missing && same {
			t.wrong("account %d, which had %s, did not come back", was.Account, digestText(was))
		}
	}
	if len(want) == 0 && len(got) > 0 {
		t.wrong("no point records what was in the accounts, so that they can't be compared: make one with lockstep backup")
	}
}

func digestText(d store.Digest) string {
	return fmt.Sprintf("%d messages of %d bytes in %d mailboxes, as of change %d (%s)", d.Placements, d.Size, d.Mailboxes, d.Head, hex.EncodeToString(d.Sum[:4]))
}

// packs looks whether everything that the database names is there, and opens some of it.
func (t *drill) packs(ctx context.Context, database string, have map[string][]extent) error {
	there := map[string]int64{} // up to where packs are
	var all []extent
	for _, k := range t.m.Packs {
		t.done.Of += k.Size
		tiles, end := tile(have[k.Pack])
		there[k.Pack] = min(end, k.Size)
		if end < k.Size {
			t.wrong("%v", missing(fmt.Sprintf("%s%s from byte %d on", packsPrefix, k.Pack, end)))
		}
		for _, e := range tiles {
			if e.offset < k.Size {
				all = append(all, e)
			}
		}
	}
	if database != "" {
		if err := t.rows(ctx, database, there); err != nil {
			return err
		}
	}
	chosen, total := t.choose(all)
	for _, e := range chosen {
		t.tell(DrillProgress{"mail", t.done.Bytes, total})
		if err := t.extent(ctx, database, e); err != nil {
			return err
		}
		t.done.Bytes += e.length
	}
	return nil
}

// rows looks whether the packs that came with the point have all that rows name.
func (t *drill) rows(ctx context.Context, database string, there map[string]int64) error {
	lost, first := 0, ""
	err := t.o.Rows(ctx, database, "", func(row mail.Blob) error {
		t.done.Stored++
		pack, offset, length, err := blob.PackOf(row.Place)
		if end, known := there[pack]; err != nil || !known || offset+length > end {
			if lost++; lost == 1 {
				first = row.Place
			}
		}
		return ctx.Err()
	})
	if lost > 0 {
		t.wrong("%d messages or parts lie where the backup has nothing, the first at %s", lost, first)
	}
	return err
}

// choose chooses what is read.
func (t *drill) choose(all []extent) (chosen []extent, total int64) {
	shuffle := rand.Shuffle
	if t.o.Rand != nil {
		shuffle = t.o.Rand.Shuffle
	}
	shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for _, e := range all {
		if t.o.Bytes == 0 || total == 0 || total+e.length <= t.o.Bytes {
			chosen, total = append(chosen, e), total+e.length
		}
	}
	slices.SortFunc(chosen, func(a, b extent) int { return cmp.Or(cmp.Compare(a.pack, b.pack), a.compare(b)) })
	return chosen, total
}

// extent reads one extent and opens every record that a row names in it.
func (t *drill) extent(ctx context.Context, database string, e extent) error {
	f, err := t.o.FS.Temp(t.o.Dir)
	if err != nil {
		return err
	}
	defer f.Close()
	err = t.r.copyExtent(ctx, e, &boundedWriter{f: f, end: e.length, wrote: func(int) {}})
	if isGone(err) {
		t.wrong("%v", err)
		return ctx.Err()
	}
	if err != nil || database == "" || t.keys == nil {
		return err
	}
	return t.o.Rows(ctx, database, e.pack+"-", func(row mail.Blob) error {
		_, offset, length, err := blob.PackOf(row.Place)
		if err != nil || offset < e.offset || offset+length > e.end() {
			return ctx.Err()
		}
		t.done.Opened++
		err = t.keys.CheckRecord(ctx, row, io.NewSectionReader(f, offset-e.offset, length))
		if err != nil && ctx.Err() == nil {
			t.wrong("the message or part at %s is damaged in the backup, or its key is missing: %v", row.Place, err)
		}
		return ctx.Err()
	})
}
