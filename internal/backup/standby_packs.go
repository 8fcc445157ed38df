package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"golang.org/x/sync/errgroup"

	"lockstep/internal/blob"
	"lockstep/internal/mail"
	"lockstep/internal/vfs"
)

// packs brings the packs to where the next point has them. What lies beyond that of the
// point before counts for nothing: an earlier run may have been cut there.
func (st *standbyStep) packs(ctx context.Context) error {
	had := map[string]int64{}
	for _, k := range st.state.Manifest.Packs {
		had[k.Pack] = k.Size
	}
	var mu sync.Mutex // guards what is counted
	group, each := errgroup.WithContext(ctx)
	group.SetLimit(uploadsAtOnce)
	for _, k := range st.next.Manifest.Packs {
		if had[k.Pack] >= k.Size {
			continue
		}
		group.Go(func() error {
			fetched, lost, err := st.extend(each, k, had[k.Pack])
			mu.Lock()
			defer mu.Unlock()
			st.bytes += fetched
			st.lost += lost
			if err != nil {
				return fmt.Errorf("pack %s: %w", k.Pack, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// extend brings a pack from one size to that of the point.
func (st *standbyStep) extend(ctx context.Context, k Pack, from int64) (fetched int64, lost int, err error) {
	f, err := st.openPack(k, &from)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	have, err := extents(ctx, st.repo.Target, packsPrefix+k.Pack+"/")
	if err != nil {
		return 0, 0, err
	}
	tiles, _ := tile(have[k.Pack])
	for _, e := range tiles {
		if e.end() <= from || e.offset >= k.Size {
			continue
		}
		if err := st.copyTail(ctx, e, f, from, k.Size); err != nil {
			return fetched, 0, err
		}
		fetched += e.length
		from = e.end()
	}
	if from < k.Size {
		err := missing(fmt.Sprintf("%s%s from byte %d on", packsPrefix, k.Pack, from))
		if !st.o.AcceptDamage {
			return fetched, 0, acceptHint(err)
		}
		st.o.Log.ErrorContext(ctx, "standby: mail is missing in the backup", "err", err)
		if _, err := f.WriteAt([]byte{0}, k.Size-1); err != nil {
			return fetched, 1, err
		}
		lost = 1
	}
	return fetched, lost, f.Sync()
}

// openPack opens a pack, or begins it; then from is 0.
func (st *standbyStep) openPack(k Pack, from *int64) (vfs.File, error) {
	file := st.path(st.o.Layout.Packs, k.Pack+blob.PackSuffix)
	f, err := st.o.FS.Change(file)
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	*from = 0
	if f, err = st.o.FS.Create(file); err != nil {
		return nil, err
	}
	return f, st.o.FS.SyncDir(st.path(st.o.Layout.Packs))
}

// copyTail copies an extent to the pack, what is there already left out. It is compared
// before it is used.
func (st *standbyStep) copyTail(ctx context.Context, e extent, f vfs.File, from, end int64) error {
	temp, err := st.o.FS.Temp(st.dir)
	if err != nil {
		return err
	}
	defer temp.Close()
	if err := st.repo.copyExtent(ctx, e, &offsetWriter{f: temp}); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return missing(e.name())
		}
		return err
	}
	from, end = max(from, e.offset), min(end, e.end())
	to := &offsetWriter{f: f, off: from}
	_, err = copyAll(ctx, to, io.NewSectionReader(temp, from-e.offset, end-from))
	return err
}

// refill puts the keys into all packs, from the rows of the database, and returns how many
// records are not those of their rows. Until then there are none, as in the backup: what is
// erased on the server goes with its row.
func (s *Standby) refill(ctx context.Context) (lost int, err error) {
	var mu sync.Mutex // guards lost
	group, each := errgroup.WithContext(ctx)
	group.SetLimit(uploadsAtOnce)
	for _, k := range s.state.Manifest.Packs {
		group.Go(func() error {
			n, err := s.refillPack(each, k)
			mu.Lock()
			defer mu.Unlock()
			lost += n
			return err
		})
	}
	return lost, group.Wait()
}

func (s *Standby) refillPack(ctx context.Context, k Pack) (lost int, err error) {
	f, err := s.o.FS.Change(s.path(s.o.Layout.Packs, k.Pack+blob.PackSuffix))
	if err != nil {
		return 0, err
	}
	w := &sparing{File: f}
	err = s.rows(ctx, s.path(standbyDatabase), k.Pack+"-", func(row mail.Blob) error {
		err := blob.Refill(w, row)
		if mail.KindOf(err) == mail.Corrupt {
			lost++
			err = nil
		}
		return errors.Join(err, ctx.Err())
	})
	if err == nil && w.wrote {
		err = f.Sync()
	}
	return lost, errors.Join(err, f.Close())
}

// sparing is a file that writes only what is not there already.
type sparing struct {
	vfs.File
	buf   []byte
	wrote bool
}

// WriteAt implements io.WriterAt.
func (s *sparing) WriteAt(b []byte, off int64) (int, error) {
	s.buf = append(s.buf[:0], b...)
	if n, err := s.File.ReadAt(s.buf, off); n == len(b) && (err == nil || err == io.EOF) && bytes.Equal(s.buf, b) {
		return n, nil
	}
	s.wrote = true
	return s.File.WriteAt(b, off)
}
