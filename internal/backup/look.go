package backup

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"lockstep/internal/blob"
	"lockstep/internal/mail"
	"lockstep/internal/vfs"
)

// Around returns the point to look for a moment in: the first that is not before it,
// as its history has what was; else the newest. Zero is now. There being no point is
// mail.NotFound.
func (r *Repo) Around(ctx context.Context, at time.Time) (Point, error) {
	points, err := r.Points(ctx)
	if err != nil {
		return Point{}, err
	}
	if i := slices.IndexFunc(points, func(p Point) bool { return !p.Time.Before(at) }); i >= 0 && !at.IsZero() {
		return points[i], nil
	}
	return r.Newest(ctx, time.Time{})
}

// Looking is a point that is looked into: its database lies in a directory, and
// messages come as they are asked for. Its methods are safe for concurrent use.
type Looking struct {
	Database string // the file, for its first opener to run
	Packs    string // the directory of what came
	Keys     []byte // the text of the key file

	r    *Repo
	fs   vfs.FS
	mu   sync.Mutex // guards what is below
	come map[string]bool
	have map[string][]extent // of packs that were asked about
}

// lookName and lookPacks are what a directory holds that is looked into.
const (
	lookName  = "look.db"
	lookPacks = "packs"
)

// Look brings the database of a point back into a directory that is empty, and nothing
// else. It costs its pages, from the target and on the disk.
func (r *Repo) Look(ctx context.Context, p Point, fsys vfs.FS, dir string, progress func(RestoreProgress)) (*Looking, error) {
	m, err := r.Manifest(ctx, p)
	if err != nil {
		return nil, err
	}
	t := &restoring{r: r, p: p, m: m, dir: dir, o: RestoreOptions{FS: fsys, Layout: Layout{Database: lookName}, Progress: progress}}
	if err := fsys.MkdirAll(t.path(lookPacks)); err != nil {
		return nil, err
	}
	if err := t.database(ctx); err != nil {
		return nil, err
	}
	if err := t.install(part(t.path(lookName)), t.path(lookName)); err != nil {
		return nil, err
	}
	return &Looking{Database: t.path(lookName), Packs: t.path(lookPacks), Keys: t.keyFile(), r: r, fs: fsys, come: map[string]bool{}, have: map[string][]extent{}}, nil
}

// Fetch brings the record of a row to its place among the packs, once. NotFound says
// that the backup does not have it.
func (l *Looking) Fetch(ctx context.Context, row mail.Blob) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.come[row.Place] {
		return nil
	}
	pack, offset, length, err := blob.PackOf(row.Place)
	if err != nil {
		return err
	}
	e, err := l.extentOf(ctx, pack, offset, length)
	if err != nil {
		return err
	}
	record, err := l.r.Target.Get(ctx, e.name(), offset-e.offset, length)
	if err != nil {
		return err
	}
	defer record.Close()
	file := filepath.Join(l.Packs, pack+blob.PackSuffix)
	f, err := l.fs.Change(file)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = l.fs.Create(file)
	}
	if err != nil {
		return err
	}
	_, err = io.CopyN(&boundedWriter{f: f, off: offset, end: offset + length, wrote: func(int) {}}, record, length)
	if err = errors.Join(err, f.Close()); err == nil {
		l.come[row.Place] = true
	}
	return err
}

func (l *Looking) extentOf(ctx context.Context, pack string, offset, length int64) (extent, error) {
	if l.have[pack] == nil {
		all, err := extents(ctx, l.r.Target, packsPrefix+pack+"/")
		if err != nil {
			return extent{}, err
		}
		l.have[pack] = all[pack]
	}
	for _, e := range l.have[pack] {
		if e.offset <= offset && offset+length <= e.end() {
			return e, nil
		}
	}
	return extent{}, mail.Errorf(mail.NotFound, "the backup in %s does not have this message", l.r.Target)
}
