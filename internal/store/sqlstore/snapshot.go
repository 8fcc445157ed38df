package sqlstore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/vfs"
)

// Before a database is brought to a newer schema, it is copied as it is, page by
// page, to a file beside it: that is what a version before can go back to.

// SnapshotDir lies beside the database.
const SnapshotDir = "snapshots"

// Bounds on snapshots: how many are kept from before upgrades, and how many that were
// put aside, and for how long. While one is kept, no
// pack that it names may go (SnapshotsOf).
const (
	MaxSnapshots = 2
	SnapshotLife = 14 * 24 * time.Hour
)

const (
	snapshotPrefix = "lockstep-schema-"
	snapshotSuffix = ".db"
	leftSuffix     = "-left.db" // what PutBack put aside
	unfinished     = ".new"
	copyPiece      = 16 << 20
	spareBytes     = 16 << 20 // what an upgrade leaves free in any case
)

// A Snapshot is a database as it was before an upgrade, or before it was put back.
type Snapshot struct {
	Path   string
	Schema int
	Left   bool // it was put aside when an older one was put back
	Size   int64
	Made   time.Time
}

// An Upgrade tells how far one is: the copying of the database in bytes, or the
// steps that are done.
type Upgrade struct {
	Snapshot string // the file that is being written; "" when that is done
	Step     string // the step that has begun
	Done, Of int64
}

func snapshotsBeside(path string) string { return filepath.Join(filepath.Dir(path), SnapshotDir) }

func snapshotPath(path string, schema int) string {
	return filepath.Join(snapshotsBeside(path), fmt.Sprintf("%s%02d%s", snapshotPrefix, schema, snapshotSuffix))
}

// SnapshotsOf returns the snapshots kept beside the database at path, the newest
// first.
func SnapshotsOf(path string) ([]Snapshot, error) {
	entries, err := os.ReadDir(snapshotsBeside(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []Snapshot
	for _, e := range entries {
		s, ok := parseSnapshot(e.Name())
		if !ok {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) { // removed while we looked
			continue
		}
		if err != nil {
			return nil, err
		}
		s.Path, s.Size, s.Made = filepath.Join(snapshotsBeside(path), e.Name()), info.Size(), info.ModTime()
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b Snapshot) int { return b.Made.Compare(a.Made) })
	return all, nil
}

func parseSnapshot(name string) (s Snapshot, ok bool) {
	number, ok := strings.CutPrefix(name, snapshotPrefix)
	if !ok {
		return s, false
	}
	if number, s.Left = strings.CutSuffix(number, leftSuffix); !s.Left {
		if number, ok = strings.CutSuffix(number, snapshotSuffix); !ok {
			return s, false
		}
	}
	_, err := fmt.Sscanf(number, "%d", &s.Schema)
	return s, err == nil
}

// BackTo returns the snapshot that the database at path can go back to with this
// program: the newest from before an upgrade, of an older schema than it has and none
// that the program does not know. None is the zero Snapshot.
func BackTo(path string) (Snapshot, error) {
	steps, err := readSteps(migrations, sqliteSteps)
	if err != nil {
		return Snapshot{}, err
	}
	now, err := takenBy(path)
	if err != nil {
		return Snapshot{}, err
	}
	return backTo(path, now.Version(), lastOf(steps))
}

func backTo(path string, schema, known int) (Snapshot, error) {
	all, err := SnapshotsOf(path)
	for _, s := range all {
		if !s.Left && s.Schema < schema && s.Schema <= known {
			return s, err
		}
	}
	return Snapshot{}, err
}

// PruneSnapshots removes what is too old or too many, and what a crash left half
// made; with all it leaves none. It returns how many are left.
func PruneSnapshots(path string, now time.Time, all bool) (left int, err error) {
	torn, err := filepath.Glob(filepath.Join(snapshotsBeside(path), "*"+unfinished))
	for _, name := range torn {
		err = errors.Join(err, os.Remove(name))
	}
	kept, lookErr := SnapshotsOf(path)
	err = errors.Join(err, lookErr)
	seen := map[bool]int{} // of each kind
	for _, s := range kept {
		if seen[s.Left]++; seen[s.Left] <= MaxSnapshots && now.Sub(s.Made) < SnapshotLife && !all {
			left++
			continue
		}
		err = errors.Join(err, os.Remove(s.Path))
	}
	return left, err
}

// takeSnapshot copies the database, which nobody has open and whose log is empty. A
// crash leaves no snapshot of this name, the one before, or a whole one.
func takeSnapshot(path string, schema int, tell func(Upgrade)) (name string, err error) {
	name = snapshotPath(path, schema)
	if err := os.MkdirAll(snapshotsBeside(path), 0o700); err != nil {
		return "", err
	}
	if err := hasRoom(path); err != nil {
		return "", err
	}
	if err := copyDatabase(path, name, func(done, of int64) { tell(Upgrade{Snapshot: name, Done: done, Of: of}) }); err != nil {
		return "", fmt.Errorf("snapshot %s: %w", name, writable(err))
	}
	return name, syncDir(filepath.Dir(path)) // the directory may be new
}

// hasRoom is Unavailable unless a copy of the database fits, and beside it a log of
// steps that write all of it anew.
func hasRoom(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	free, known, err := vfs.Free(filepath.Dir(path))
	needs := 2*info.Size() + spareBytes
	if err != nil || !known || free >= needs {
		return err
	}
	return mail.Errorf(mail.Unavailable, "the upgrade needs %d MiB of free disk for a snapshot of the database and for its own work, and %d MiB are free in %s; nothing was changed: make room, or go on with the version before",
		needs>>20, free>>20, filepath.Dir(path))
}

// copyDatabase writes a whole copy under another name, or nothing.
func copyDatabase(from, to string, tell func(done, of int64)) (err error) {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	info, err := src.Stat()
	if err != nil {
		return err
	}
	dst, err := os.OpenFile(to+unfinished, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if dst.Close(); err != nil {
			os.Remove(to + unfinished)
		}
	}()
	for done := int64(0); done < info.Size(); {
		tell(done, info.Size())
		n, err := io.CopyN(dst, src, min(copyPiece, info.Size()-done)) // the file system may share the bytes
		if done += n; err != nil {
			return err
		}
	}
	if err := dst.Sync(); err != nil {
		return err
	}
	if err := os.Rename(to+unfinished, to); err != nil {
		return err
	}
	return syncDir(filepath.Dir(to))
}

// foldLog writes the log back and closes the connection, after which the file at
// path is all of the database.
func foldLog(c *sqliteConn, path string) error {
	busy := false
	_, err := one(c, "PRAGMA wal_checkpoint(TRUNCATE)", func(r row) { busy = r.num(0) != 0 })
	if err := errors.Join(err, c.close()); err != nil {
		return err
	}
	info, err := os.Stat(path + "-wal")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case busy || info.Size() > 0:
		return mail.Errorf(mail.Unavailable, "the database is in use by another program")
	}
	return nil
}

// PutBack makes the database at path what the snapshot is, and keeps the present one
// beside it as another snapshot. Nobody may have the database open. Whoever opens it
// next finds a database that was copied, and treats it so. Killed at any moment, it
// leaves the one or the other.
func PutBack(path string, s Snapshot, tell func(Upgrade)) (left Snapshot, err error) {
	schema, err := takenBy(path)
	if err != nil {
		return left, err
	}
	if err := isWhole(s.Path); err != nil {
		return left, err
	}
	c, err := openSQLite(path, readerCacheBytes)
	if err != nil {
		return left, err
	}
	if err := foldLog(c, path); err != nil {
		return left, err
	}
	fresh := filepath.Join(snapshotsBeside(path), "back"+unfinished)
	if err := copyDatabase(s.Path, fresh, func(done, of int64) { tell(Upgrade{Snapshot: fresh, Done: done, Of: of}) }); err != nil {
		return left, writable(err)
	}
	if left, err = setAside(path, schema.Version()); err != nil {
		return left, err
	}
	if err := os.Remove(path + "-shm"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return left, err
	}
	if err := errors.Join(syncDir(filepath.Dir(left.Path)), os.Rename(fresh, path)); err != nil {
		return left, err
	}
	return left, errors.Join(os.Chtimes(left.Path, left.Made, left.Made), syncDir(filepath.Dir(path)))
}

// setAside gives the database another name, which is kept from now on for as long as
// others: nothing that is kept loses its own.
func setAside(path string, schema int) (Snapshot, error) {
	left := Snapshot{Schema: schema, Left: true, Made: time.Now()}
	base := strings.TrimSuffix(snapshotPath(path, schema), snapshotSuffix)
	for n := 1; ; n++ {
		left.Path = fmt.Sprintf("%s-%d%s", base, n, leftSuffix)
		if err := os.Link(path, left.Path); !errors.Is(err, fs.ErrExist) {
			return left, err
		}
	}
}

// writable says of an error what people can do about it.
func writable(err error) error {
	if vfs.IsFull(err) {
		return &mail.Error{Kind: mail.Unavailable, Detail: "the server's disk is full", Err: err}
	}
	return err
}

// A Schema is what a database says of itself, and what this program makes of it.
type Schema struct {
	Taken   []Taken
	Knows   int   // the newest step that this program knows
	Pending int   // steps that it would take
	Refused error // why it can't work on the database; nil if it can
}

// Version is the last step taken; 0 is none.
func (s Schema) Version() int {
	if len(s.Taken) == 0 {
		return 0
	}
	return s.Taken[len(s.Taken)-1].Step
}

// ReadSchema looks at a database, also one that is in use, and changes nothing.
func ReadSchema(path string) (Schema, error) { return readSchema(path, migrations) }

func readSchema(path string, files fs.FS) (s Schema, err error) {
	c, err := openToLook(path)
	if err != nil {
		return s, err
	}
	defer c.close()
	m, err := planMigration(c, path, Options{steps: files})
	if m == nil {
		return s, err
	}
	return Schema{Taken: m.taken, Knows: lastOf(m.steps), Pending: len(m.pending), Refused: err}, nil
}

// isWhole refuses a file that was cut short, or is no database.
func isWhole(path string) error {
	c, err := openToLook(path)
	if err != nil {
		return err
	}
	defer c.close()
	var bytes int64
	_, err = one(c, "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()", func(r row) { bytes = r.num(0) })
	if err != nil {
		return err
	}
	if info, err := os.Stat(path); err != nil || info.Size() < bytes {
		return errors.Join(err, mail.Errorf(mail.Corrupt, "%s is shorter than it says of itself: use another", path))
	}
	_, err = takenSteps(c)
	return err
}

// ChangesSince counts what the journals of a database have that is newer than all that
// those of another, older copy have. It reads them all.
func ChangesSince(path, older string) (n int64, err error) {
	newest, err := numberIn(older, "SELECT ifnull(max(at), 0) FROM journal")
	if err != nil {
		return 0, err
	}
	return numberIn(path, "SELECT count(*) FROM journal WHERE at > ?1", newest)
}

func numberIn(path, sql string, args ...any) (n int64, err error) {
	c, err := openToLook(path)
	if err != nil {
		return 0, err
	}
	defer c.close()
	_, err = one(c, sql, func(r row) { n = r.num(0) }, args...)
	return n, err
}

// takenBy is what a database says of itself alone.
func takenBy(path string) (s Schema, err error) {
	c, err := openToLook(path)
	if err != nil {
		return s, err
	}
	defer c.close()
	s.Taken, err = takenSteps(c)
	return s, err
}
