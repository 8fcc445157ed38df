package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"golang.org/x/sync/errgroup"

	"lockstep/internal/blob"
	"lockstep/internal/mail"
	"lockstep/internal/vfs"
)

// packs brings the packs back, and fills in the keys of their records from the rows of
// the database.
func (t *restoring) packs(ctx context.Context) error {
	var total int64
	for _, k := range t.m.Packs {
		total += k.Size
	}
	t.stage("mail", total)
	dir := t.path(t.o.Layout.Packs)
	if err := t.o.FS.MkdirAll(dir); err != nil {
		return err
	}
	if err := t.o.FS.SyncDir(t.dir); err != nil {
		return err
	}
	have, err := extents(ctx, t.r.Target, packsPrefix)
	if err != nil {
		return err
	}
	group, each := errgroup.WithContext(ctx)
	group.SetLimit(uploadsAtOnce)
	for _, k := range t.m.Packs {
		group.Go(func() error {
			if err := t.pack(each, k, have[k.Pack]); err != nil {
				return fmt.Errorf("pack %s: %w", k.Pack, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return t.compareRows(ctx)
}

// pack brings one pack back, unless an earlier run did.
func (t *restoring) pack(ctx context.Context, k Pack, have []extent) error {
	file := t.path(t.o.Layout.Packs, k.Pack+blob.PackSuffix)
	if info, err := t.o.FS.Stat(file); err == nil && info.Size == k.Size {
		t.reached(0, k.Size)
		return nil
	}
	f, err := t.create(part(file))
	if err != nil {
		return err
	}
	err = t.fetchPack(ctx, k, have, f)
	if err == nil {
		err = t.refill(ctx, k, f)
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return t.install(part(file), file)
}

func (t *restoring) fetchPack(ctx context.Context, k Pack, have []extent, f vfs.File) error {
	tiles, _ := tile(have)
	end := int64(0)
	for _, e := range tiles {
		if e.offset >= k.Size {
			break
		}
		if err := t.fetchExtent(ctx, k, e, f); err != nil {
			return err
		}
		end = e.end()
	}
	if end >= k.Size {
		return nil
	}
	err := missing(fmt.Sprintf("%s%s from byte %d on", packsPrefix, k.Pack, end))
	if !t.o.AcceptDamage {
		return acceptHint(err)
	}
	// What comes after the gap may be there.
	for _, e := range have {
		if e.offset > end && e.offset < k.Size {
			if err := t.fetchExtent(ctx, k, e, f); err != nil {
				return err
			}
		}
	}
	return t.fill(f, k.Size)
}

// acceptHint says how to go on without what is lost.
func acceptHint(err error) error {
	return &mail.Error{Kind: mail.Corrupt, Detail: fmt.Sprintf("%v. Another point may not need it (lockstep backup list, and --at); with --accept-damage everything else is brought back", err), Err: err}
}

// fetchExtent brings one extent, up to the pack's end.
func (t *restoring) fetchExtent(ctx context.Context, k Pack, e extent, f vfs.File) error {
	w := &boundedWriter{f: f, off: e.offset, end: k.Size, wrote: func(n int) { t.reached(int64(n), 0) }}
	err := t.r.copyExtent(ctx, e, w)
	if errors.Is(err, fs.ErrNotExist) {
		err = missing(e.name())
	}
	if mail.KindOf(err) == mail.Corrupt {
		if !t.o.AcceptDamage {
			return acceptHint(err)
		}
		return nil // whatever of it is whole is used: each record is sealed by itself
	}
	return err
}

// fill makes a file at least so long.
func (t *restoring) fill(f vfs.File, size int64) error {
	var last [1]byte
	if n, err := f.ReadAt(last[:], size-1); n == 1 {
		return nil
	} else if err != io.EOF {
		return err
	}
	_, err := f.WriteAt(last[:], size-1)
	return err
}

// refill puts the keys into the headers of a pack's records.
func (t *restoring) refill(ctx context.Context, k Pack, f vfs.File) error {
	return t.o.Rows(ctx, part(t.path(t.o.Layout.Database)), k.Pack+"-", func(row mail.Blob) error {
		err := blob.Refill(f, row)
		if mail.KindOf(err) == mail.Corrupt {
			t.lose(row.Place)
			return ctx.Err()
		}
		if err != nil {
			return err
		}
		t.mu.Lock()
		t.done.Blobs++
		t.mu.Unlock()
		return ctx.Err()
	})
}

// compareRows looks for rows that name a pack that the point has not.
func (t *restoring) compareRows(ctx context.Context) error {
	known := map[string]bool{}
	for _, k := range t.m.Packs {
		known[k.Pack] = true
	}
	return t.o.Rows(ctx, part(t.path(t.o.Layout.Database)), "", func(row mail.Blob) error {
		if pack, _, _ := strings.Cut(row.Place, "-"); !known[pack] {
			t.lose(row.Place)
		}
		return ctx.Err()
	})
}

// A boundedWriter writes to a file from an offset on, and drops what is beyond the end.
type boundedWriter struct {
	f        vfs.File
	off, end int64
	wrote    func(int)
}

// Write implements io.Writer.
func (w *boundedWriter) Write(p []byte) (int, error) {
	n := min(int64(len(p)), max(0, w.end-w.off))
	if _, err := w.f.WriteAt(p[:n], w.off); err != nil {
		return 0, err
	}
	w.off += int64(len(p))
	w.wrote(int(n))
	return len(p), nil
}

// Record opens a stored message or part as it is in the backup: its record at the place
// that a row names, without its key. mail.NotFound says that the backup does not have
// that place.
func (r *Repo) Record(ctx context.Context, place string) (io.ReadCloser, error) {
	pack, offset, length, err := blob.PackOf(place)
	if err != nil {
		return nil, err
	}
	have, err := extents(ctx, r.Target, packsPrefix+pack+"/")
	if err != nil {
		return nil, err
	}
	for _, e := range have[pack] {
		if e.offset <= offset && offset+length <= e.end() {
			return r.Target.Get(ctx, e.name(), offset-e.offset, length)
		}
	}
	return nil, mail.Errorf(mail.NotFound, "the backup in %s does not have this message", r.Target)
}
