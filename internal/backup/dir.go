package backup

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"lockstep/internal/mail"
	"lockstep/internal/vfs"
)

// Dir is a target in a directory: an object is a file, the slashes of its name are
// directories.
type Dir struct {
	fs   vfs.FS
	root string
}

var _ Target = (*Dir)(nil)

// tempDir holds what is being written; nothing in it is an object.
const tempDir = "tmp"

// copyBuffer is how many bytes are written at once.
const copyBuffer = 256 << 10

// NewDir returns the target in a directory, which is made at the first Put.
func NewDir(fsys vfs.FS, root string) *Dir { return &Dir{fsys, filepath.Clean(root)} }

// String implements Target.
func (d *Dir) String() string { return d.root }

// objectName is what names of objects look like. None can lead out of a target.
var objectName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]*(/[a-z0-9][a-z0-9.-]*)*$`)

// maxName bounds a name in bytes.
const maxName = 200

func checkName(name string) error {
	if len(name) > maxName || !objectName.MatchString(name) {
		return mail.Errorf(mail.Invalid, "%q can't name an object of a backup", name)
	}
	return nil
}

func (d *Dir) path(name string) string { return filepath.Join(d.root, filepath.FromSlash(name)) }

// Put implements Target: the bytes go to a temporary name and are synced, then the
// file is given its own name, and the name is made to last.
func (d *Dir) Put(ctx context.Context, name string, r io.ReadSeeker, size int64) error {
	if err := checkName(name); err != nil {
		return err
	}
	temp := filepath.Join(d.root, tempDir, rand.Text())
	if err := d.makeDirs(filepath.Dir(temp)); err != nil {
		return d.explain(err)
	}
	if err := d.write(ctx, temp, r, size); err != nil {
		_ = d.fs.Remove(temp) // Sweep finds it otherwise
		return d.explain(err)
	}
	return d.explain(d.install(temp, d.path(name)))
}

func (d *Dir) write(ctx context.Context, temp string, r io.ReadSeeker, size int64) error {
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return err
	}
	f, err := d.fs.Create(temp)
	if err != nil {
		return err
	}
	n, err := copyAll(ctx, &offsetWriter{f: f}, r)
	if err == nil && n != size {
		err = mail.Errorf(mail.Internal, "%d bytes were to be stored, and there were %d", size, n)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (d *Dir) install(temp, file string) error {
	dir := filepath.Dir(file)
	if err := d.makeDirs(dir); err != nil {
		return err
	}
	if err := d.fs.Rename(temp, file); err != nil {
		return err
	}
	return d.fs.SyncDir(dir)
}

// makeDirs makes a directory in the root, and the names on the way to it last.
func (d *Dir) makeDirs(dir string) error {
	if _, err := d.fs.Stat(dir); err == nil {
		return nil
	}
	if err := d.fs.MkdirAll(dir); err != nil {
		return err
	}
	for at := dir; ; at = filepath.Dir(at) {
		if err := d.fs.SyncDir(filepath.Dir(at)); err != nil {
			return err
		}
		if at == d.root || at == filepath.Dir(at) {
			return nil
		}
	}
}

// explain gives an error of the file system its Kind: whatever hinders it may be
// cured, and the call made again.
func (d *Dir) explain(err error) error {
	var kind *mail.Error
	if err == nil || errors.As(err, &kind) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return &mail.Error{Kind: mail.Unavailable, Detail: "the backup in " + d.root + ": " + err.Error(), Err: err}
}

// Get implements Target.
func (d *Dir) Get(_ context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	f, err := d.fs.Open(d.path(name))
	if err != nil {
		return nil, d.explain(err)
	}
	if length < 0 {
		length = 1<<62 - offset
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(f, offset, length), f}, nil
}

// List implements Target.
func (d *Dir) List(ctx context.Context, prefix string, fn func(Object) error) error {
	return d.list(ctx, "", prefix, fn)
}

// list lists what lies below dir, which is "" or ends in a slash.
func (d *Dir) list(ctx context.Context, dir, prefix string, fn func(Object) error) error {
	entries, err := d.entries(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		name := dir + e.Name
		switch {
		case e.isDir && (strings.HasPrefix(name, prefix) || strings.HasPrefix(prefix, name)):
			err = d.list(ctx, name, prefix, fn)
		case !e.isDir && strings.HasPrefix(name, prefix):
			err = fn(Object{Name: name, Size: e.Size, Modified: e.Modified})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

type entry struct {
	vfs.Info
	isDir bool // then its name ends in a slash
}

// entries lists one directory in the order of the objects' names.
func (d *Dir) entries(dir string) ([]entry, error) {
	path := d.path(dir)
	files, err := d.fs.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, d.explain(err)
	}
	dirs, err := d.fs.Dirs(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, d.explain(err)
	}
	var all []entry
	for _, f := range files {
		if checkName(f.Name) == nil {
			all = append(all, entry{f, false})
		}
	}
	for _, name := range dirs {
		if checkName(name) == nil && dir+name != tempDir {
			all = append(all, entry{vfs.Info{Name: name + "/"}, true})
		}
	}
	slices.SortFunc(all, func(a, b entry) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// Delete implements Target.
func (d *Dir) Delete(_ context.Context, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	err := d.fs.Remove(d.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = d.fs.SyncDir(filepath.Dir(d.path(name)))
	}
	if strings.Count(name, "/") > 1 {
		_ = d.fs.Remove(filepath.Dir(d.path(name))) // if nothing is left in it
	}
	return d.explain(err)
}

// Sweep removes what writers that were killed had begun. Only who holds the lease
// calls it.
func (d *Dir) Sweep(context.Context) error {
	dir := filepath.Join(d.root, tempDir)
	files, err := d.fs.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, f := range files {
		if gone := d.fs.Remove(filepath.Join(dir, f.Name)); !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	return d.explain(err)
}

// An offsetWriter writes to a file from its start on.
type offsetWriter struct {
	f   vfs.File
	off int64
}

// Write implements io.Writer.
func (w *offsetWriter) Write(p []byte) (int, error) {
	n, err := w.f.WriteAt(p, w.off)
	w.off += int64(n)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return n, err
}

// copyAll copies until the end, or until ctx ends.
func copyAll(ctx context.Context, w io.Writer, r io.Reader) (n int64, err error) {
	buf := make([]byte, copyBuffer)
	for {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		m, readErr := io.ReadFull(r, buf)
		if m > 0 {
			if _, err := w.Write(buf[:m]); err != nil {
				return n, err
			}
			n += int64(m)
		}
		switch readErr {
		case nil:
		case io.EOF, io.ErrUnexpectedEOF:
			return n, nil
		default:
			return n, readErr
		}
	}
}
