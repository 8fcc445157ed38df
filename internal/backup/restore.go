package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/vfs"
)

// A Layout names what lies in a data directory.
type Layout struct {
	Database string // the database's file
	Packs    string // the directory of the packs
	KeyFile  string
	Config   string // where the configuration that was in force is written
	Lock     string // who uses the directory holds its lock
}

// RestoreMark is the file in a data directory that a restore is bringing back: nobody
// serves it.
const RestoreMark = "restoring"

// RestoreOptions say how everything is brought back.
type RestoreOptions struct {
	FS     vfs.FS // nil: the machine's
	Layout Layout
	// Rows calls fn with the row of each blob whose place begins with prefix, in the
	// order of their places, in a database that nobody has open.
	Rows func(ctx context.Context, database, prefix string, fn func(mail.Blob) error) error
	// Free is how many bytes can be written in a directory, where that is known; nil: it
	// is not.
	Free func(dir string) (free int64, known bool, err error)
	// AcceptDamage goes on where a part of a pack is damaged or missing: the messages in
	// it are lost.
	AcceptDamage bool
	// Also are small files of the directory beside those of the point.
	Also     map[string][]byte
	Progress func(RestoreProgress)
}

// RestoreProgress is how far a restore is.
type RestoreProgress struct {
	Stage       string // "database" or "mail"
	Done, Total int64  // bytes
}

// Restored says what a restore brought back.
type Restored struct {
	Point    Point
	Manifest *Manifest
	Blobs    int   // stored messages and parts whose keys were filled in
	Bytes    int64 // fetched from the target
	Kept     int64 // that an earlier run had brought
	// Lost are messages and parts that could not be brought back, maxLost of them by
	// place; LostCount is how many.
	Lost      []string
	LostCount int
	Took      time.Duration
}

// maxLost is how many losses are named.
const maxLost = 100

// mark is the content of RestoreMark.
type mark struct {
	Backup string `json:"backup"`
	Point  string `json:"point"`
}

// Restore brings a point back into a directory that is new or empty, or that an earlier
// run of the same restore left. Every byte is compared with what was stored. What it
// leaves is complete and was never opened: whoever opens it runs the rule for databases
// that were copied back. Cut at any time it can be run again.
func (r *Repo) Restore(ctx context.Context, p Point, dir string, o RestoreOptions) (_ Restored, err error) {
	if o.FS == nil {
		o.FS = vfs.OS{}
	}
	began := time.Now()
	m, err := r.Manifest(ctx, p)
	if err != nil {
		return Restored{}, err
	}
	t := &restoring{r: r, p: p, m: m, dir: dir, o: o, done: Restored{Point: p, Manifest: m}}
	unlock, err := t.begin()
	if err != nil {
		return Restored{}, err
	}
	defer func() { err = errors.Join(err, unlock.Close()) }()
	if _, err := o.FS.Stat(t.path(o.Layout.Database)); err == nil { // the last thing but one
		return t.done, t.unmark()
	}
	if err := t.room(); err != nil {
		return t.done, err
	}
	if err := t.database(ctx); err != nil {
		return t.done, err
	}
	if err := t.packs(ctx); err != nil {
		return t.done, err
	}
	t.done.Took = time.Since(began)
	return t.done, t.finish()
}

// restoring is one restore under way.
type restoring struct {
	r   *Repo
	p   Point
	m   *Manifest
	dir string
	o   RestoreOptions

	mu   sync.Mutex // guards what is below
	done Restored
	at   RestoreProgress
}

func (t *restoring) path(name ...string) string {
	return filepath.Join(append([]string{t.dir}, name...)...)
}

// room looks whether everything fits, before anything is fetched. What an earlier run
// brought is there already.
func (t *restoring) room() error {
	if t.o.Free == nil {
		return nil
	}
	free, known, err := t.o.Free(t.dir)
	if err != nil || !known {
		return err
	}
	need := int64(t.m.Pages) * int64(t.m.PageSize)
	for _, k := range t.m.Packs {
		need += k.Size
	}
	for _, dir := range []string{t.dir, t.path(t.o.Layout.Packs)} {
		files, err := t.o.FS.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, f := range files {
			need -= f.Size
		}
	}
	if free < need {
		return mail.Errorf(mail.Unavailable, "%s has room for %d MiB, and %d MiB more are needed: make room, or name a directory on another disk", t.dir, free>>20, (need-free)>>20+1)
	}
	return nil
}

// part is what a file is called that is not complete.
func part(file string) string { return file + ".part" }

// begin takes the directory, if it is free, and marks it.
func (t *restoring) begin() (unlock io.Closer, err error) {
	if err := t.o.FS.MkdirAll(t.dir); err != nil {
		return nil, err
	}
	if err := t.o.FS.SyncDir(filepath.Dir(filepath.Clean(t.dir))); err != nil {
		return nil, err
	}
	if err := t.mayUse(); err != nil { // before anything is made there
		return nil, err
	}
	if unlock, err = t.o.FS.Lock(t.path(t.o.Layout.Lock)); err != nil {
		return nil, fmt.Errorf("%s is in use: %w", t.dir, err)
	}
	if err := t.mark(); err != nil {
		return nil, errors.Join(err, unlock.Close())
	}
	return unlock, nil
}

// mayUse refuses a directory that holds anything but an earlier run of this restore.
func (t *restoring) mayUse() error {
	begun, err := t.readMark()
	switch want := t.wantedMark(); {
	case err != nil:
		return err
	case begun != nil && *begun == want:
		return nil
	case begun != nil && begun.Backup != "":
		return mail.Errorf(mail.Conflict, "%s holds half of another restore (%s of backup %s): finish that one, with the same --from and --at, or empty the directory", t.dir, filepath.Base(begun.Point), begun.Backup)
	}
	files, err := t.o.FS.ReadDir(t.dir)
	if err != nil {
		return err
	}
	dirs, err := t.o.FS.Dirs(t.dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if f.Name == t.o.Layout.Database {
			return mail.Errorf(mail.Conflict, "%s holds a Lockstep already, and nothing there is written over: restore into a new directory, look at it, and then put it in the place of the old one", t.dir)
		}
		dirs = append(dirs, f.Name)
	}
	ours := []string{t.o.Layout.Lock, RestoreMark, part(RestoreMark)}
	for _, name := range dirs {
		if !slices.Contains(ours, name) {
			return mail.Errorf(mail.Conflict, "%s is not empty (it holds %s): restore into a new directory", t.dir, name)
		}
	}
	return nil
}

func (t *restoring) wantedMark() mark { return mark{t.r.header.ID, t.p.Name()} }

// readMark returns the mark; nil if there is none, and one that says nothing if it was
// being written when the machine stopped.
func (t *restoring) readMark() (*mark, error) {
	b, err := readFile(t.o.FS, t.path(RestoreMark))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var m mark
	if json.Unmarshal(b, &m) != nil {
		m = mark{}
	}
	return &m, nil
}

func (t *restoring) mark() error {
	b, err := json.Marshal(t.wantedMark())
	if err != nil {
		return err
	}
	return t.write(RestoreMark, append(b, '\n'))
}

// maxSmallFile bounds a file that is read whole.
const maxSmallFile = 1 << 20

func readFile(fsys vfs.FS, file string) ([]byte, error) {
	f, err := fsys.Open(file)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.NewSectionReader(f, 0, maxSmallFile))
	return b, errors.Join(err, f.Close())
}

// write makes a small file in the directory.
func (t *restoring) write(name string, content []byte) error {
	return writeWhole(t.o.FS, t.path(name), content)
}

func (t *restoring) create(file string) (vfs.File, error) { return createAnew(t.o.FS, file) }
func (t *restoring) install(temp, file string) error      { return install(t.o.FS, temp, file) }

// writeWhole makes a small file, or puts it in the place of another, whole and lasting.
func writeWhole(fsys vfs.FS, file string, content []byte) error {
	f, err := createAnew(fsys, part(file))
	if err != nil {
		return err
	}
	_, err = f.WriteAt(content, 0)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return install(fsys, part(file), file)
}

// createAnew makes a file, in place of what an earlier run left.
func createAnew(fsys vfs.FS, file string) (vfs.File, error) {
	if err := fsys.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return fsys.Create(file)
}

// install gives a file its name, for good.
func install(fsys vfs.FS, temp, file string) error {
	if err := fsys.Rename(temp, file); err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(file))
}

// finish puts the small files and then the database in place, and takes the mark away.
func (t *restoring) finish() error {
	for name, content := range t.m.Files {
		if err := t.write(name, content); err != nil {
			return err
		}
	}
	for name, content := range t.o.Also {
		if err := t.write(name, content); err != nil {
			return err
		}
	}
	if t.m.Config != "" {
		if err := t.write(t.o.Layout.Config, []byte(t.m.Config)); err != nil {
			return err
		}
	}
	if err := t.write(t.o.Layout.KeyFile, t.keyFile()); err != nil {
		return err
	}
	if err := t.install(part(t.path(t.o.Layout.Database)), t.path(t.o.Layout.Database)); err != nil {
		return err
	}
	return t.unmark()
}

// unmark says that the directory is complete. Where that may not last it is marked again,
// so that the restore can be run again.
func (t *restoring) unmark() error {
	if err := t.o.FS.Remove(t.path(RestoreMark)); err != nil {
		return err
	}
	if err := t.o.FS.SyncDir(t.dir); err != nil {
		return errors.Join(err, t.mark())
	}
	return nil
}

// keyFile is that of the point, or the one that opened the backup if that has all the
// keys of the point's and further ones.
func (t *restoring) keyFile() []byte {
	if have := keyLines(t.r.keyFile); len(have) > 0 {
		if want := keyLines([]byte(t.m.KeyFile)); len(have) >= len(want) && slices.Equal(have[:len(want)], want) {
			return t.r.keyFile
		}
	}
	return []byte(t.m.KeyFile)
}

func keyLines(text []byte) (lines []string) {
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			lines = append(lines, line)
		}
	}
	return lines
}

// reached says how far it is; fetched is what came from the target, kept what was there.
func (t *restoring) reached(fetched, kept int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done.Bytes += fetched
	t.done.Kept += kept
	t.at.Done += fetched + kept
	if t.o.Progress != nil {
		t.o.Progress(t.at)
	}
}

func (t *restoring) stage(name string, total int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.at = RestoreProgress{Stage: name, Total: total}
	if t.o.Progress != nil {
		t.o.Progress(t.at)
	}
}

func (t *restoring) lose(place string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done.LostCount++
	if len(t.done.Lost) < maxLost {
		t.done.Lost = append(t.done.Lost, place)
	}
}
