package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"golang.org/x/sync/errgroup"

	"lockstep/internal/vfs"
)

// database makes the database's file, under a name that nobody opens.
func (t *restoring) database(ctx context.Context) error {
	var want table
	if err := want.load(ctx, t.r, t.p.Set, t.m); err != nil {
		return err
	}
	if want.count() != int(t.m.Pages) || !bytes.Equal(want.root(), t.m.Root) {
		return damaged(t.p.Name(), errors.New("its pages are not all there"))
	}
	f, err := t.openPart()
	if err != nil {
		return err
	}
	err = t.fetchPages(ctx, f, &want)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// openPart opens what an earlier run began, or begins.
func (t *restoring) openPart() (vfs.File, error) {
	file := part(t.path(t.o.Layout.Database))
	f, err := t.o.FS.Change(file)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = t.o.FS.Create(file)
	}
	return f, err
}

func (t *restoring) fetchPages(ctx context.Context, f vfs.File, want *table) error {
	t.stage("database", int64(t.m.Pages)*int64(t.m.PageSize))
	seal, err := t.r.set(ctx, t.p.Set)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(uploadsAtOnce)
	err = t.eachLayer(ctx, seal, func(layer int, segment string, pages []segmentPage) error {
		s := &segmentFetch{t: t, seal: seal, f: f, name: pagesOf(t.p.Set) + segment, wanted: map[uint32]pageHash{}}
		if err := s.choose(want, layer, pages); err != nil || len(s.wanted) == 0 {
			return err
		}
		group.Go(func() error { return s.fetch(ctx) })
		return ctx.Err()
	})
	if failed := group.Wait(); failed != nil {
		return failed
	}
	return err
}

// eachLayer goes through the indexes of the point.
func (t *restoring) eachLayer(ctx context.Context, seal *sealer, fn func(layer int, segment string, pages []segmentPage) error) error {
	for layer, l := range t.m.Layers {
		for _, name := range l.Indexes {
			content, err := seal.get(ctx, t.r.Target, name)
			if err != nil {
				return err
			}
			err = eachSegment(content, t.m.PageSize, func(segment string, pages []segmentPage) error {
				return fn(layer, segment, pages)
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// A segmentFetch brings pages of one segment.
type segmentFetch struct {
	t      *restoring
	seal   *sealer
	f      vfs.File
	name   string
	wanted map[uint32]pageHash
}

// choose notes the pages that the segment has to bring: those that no later layer has,
// and that an earlier run did not bring.
func (s *segmentFetch) choose(want *table, layer int, pages []segmentPage) error {
	size := int64(s.t.m.PageSize)
	buf := make([]byte, size)
	for _, p := range pages {
		if p.pgno > s.t.m.Pages || int(want.owner[p.pgno-1]) != layer+1 || want.hashes[p.pgno-1] != p.hash {
			continue
		}
		n, err := s.f.ReadAt(buf, int64(p.pgno-1)*size)
		if err != nil && err != io.EOF {
			return err
		}
		if n == len(buf) && hashPage(buf) == p.hash {
			s.t.reached(0, size)
			continue
		}
		s.wanted[p.pgno] = p.hash
	}
	return nil
}

func (s *segmentFetch) fetch(ctx context.Context) error {
	content, err := s.seal.get(ctx, s.t.r.Target, s.name)
	if err != nil {
		return err
	}
	size := int64(s.t.m.PageSize)
	return wantedPages(s.name, content, s.t.m.PageSize, s.wanted, func(pgno uint32, page []byte) error {
		_, err := s.f.WriteAt(page, int64(pgno-1)*size)
		if err == nil {
			s.t.reached(size, 0)
		}
		return err
	})
}

// wantedPages calls put with those pages of a segment that are wanted, each of which has
// to be there with its hash. What put fails with is of our disk, and comes back as it is.
func wantedPages(name string, content []byte, pageSize int, wanted map[uint32]pageHash, put func(pgno uint32, page []byte) error) error {
	found := 0
	err := eachPage(content, pageSize, func(pgno uint32, page []byte) error {
		h, isWanted := wanted[pgno]
		if !isWanted {
			return nil
		}
		if hashPage(page) != h {
			return fmt.Errorf("page %d is another than it was", pgno)
		}
		if err := put(pgno, page); err != nil {
			return &writeError{err}
		}
		found++
		return nil
	})
	var w *writeError
	switch {
	case errors.As(err, &w):
		return w.err
	case err == nil && found != len(wanted):
		err = errors.New("pages are not in it")
	}
	if err != nil {
		return damaged(name, err)
	}
	return nil
}

// A writeError is of our disk, and not of the backup.
type writeError struct{ err error }

func (w *writeError) Error() string { return w.err.Error() }
