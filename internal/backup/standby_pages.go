package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"lockstep/internal/vfs"
)

// The redo file holds what a point changes of the database's pages:
//
//	offset  bytes
//	     0      4  "LSrd"
//	     4      4  page size
//	     8      4  length of what follows
//	    12         the standby's state when it is done, JSON
//	               the pages, each: its number (4 bytes), its bytes
//	               count of pages (4 bytes)
//	               SHA-256 of all before
//
// It has its name once it is whole and lasts, and until it was done. Doing it twice is
// the same as once.
const (
	redoMagic = "LSrd"
	redoHead  = 12
	redoTail  = 4 + sha256.Size
)

var errRedo = errors.New("it is no list of pages that is whole")

// A redoWriter writes a redo file. It is safe for concurrent use.
type redoWriter struct {
	f    vfs.File
	mu   sync.Mutex // guards what is below
	sum  hash.Hash
	off  int64
	n    uint32
	head [4]byte
}

func newRedo(f vfs.File, state *standbyState) (*redoWriter, error) {
	text, err := json.Marshal(state)
	if err != nil {
		return nil, err
	}
	w := &redoWriter{f: f, sum: sha256.New()}
	b := binary.BigEndian.AppendUint32([]byte(redoMagic), uint32(state.Manifest.PageSize))
	b = binary.BigEndian.AppendUint32(b, uint32(len(text)))
	return w, w.write(append(b, text...))
}

// write adds bytes; mu is held.
func (w *redoWriter) write(b []byte) error {
	w.sum.Write(b)
	n, err := w.f.WriteAt(b, w.off)
	w.off += int64(n)
	return err
}

func (w *redoWriter) add(pgno uint32, page []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	binary.BigEndian.PutUint32(w.head[:], pgno)
	w.n++
	return errors.Join(w.write(w.head[:]), w.write(page))
}

// end makes it whole, and last.
func (w *redoWriter) end() error {
	if err := w.write(binary.BigEndian.AppendUint32(nil, w.n)); err != nil {
		return err
	}
	if _, err := w.f.WriteAt(w.sum.Sum(nil), w.off); err != nil {
		return err
	}
	return w.f.Sync()
}

// readRedo reads a redo file: the state it leads to, and each page.
func readRedo(r io.ReaderAt, size int64, each func(pgno uint32, page []byte) error) (*standbyState, error) {
	var head [redoHead]byte
	if _, err := r.ReadAt(head[:], 0); err != nil || string(head[:4]) != redoMagic {
		return nil, errRedo
	}
	pageSize, length := int64(binary.BigEndian.Uint32(head[4:])), int64(binary.BigEndian.Uint32(head[8:]))
	if length > maxStandbyMark || redoHead+length+redoTail > size {
		return nil, errRedo
	}
	text := make([]byte, length)
	if _, err := r.ReadAt(text, redoHead); err != nil {
		return nil, errRedo
	}
	state, err := parseStandby(text)
	if err != nil || state.Manifest == nil || int64(state.Manifest.PageSize) != pageSize {
		return nil, errRedo
	}
	var count [4]byte
	if _, err := r.ReadAt(count[:], size-redoTail); err != nil {
		return nil, err
	}
	if size-redoHead-length-redoTail != int64(binary.BigEndian.Uint32(count[:]))*(4+pageSize) {
		return nil, errRedo
	}
	entry := make([]byte, 4+pageSize)
	for off := redoHead + length; off < size-redoTail; off += int64(len(entry)) {
		if _, err := r.ReadAt(entry, off); err != nil {
			return nil, err
		}
		pgno := binary.BigEndian.Uint32(entry)
		if pgno == 0 || pgno > state.Manifest.Pages {
			return nil, errRedo
		}
		if err := each(pgno, entry[4:]); err != nil {
			return nil, err
		}
	}
	return &state, nil
}

// checkRedo compares the sum at the end.
func checkRedo(r io.ReaderAt, size int64) error {
	if size < redoHead+redoTail {
		return errRedo
	}
	sum := sha256.New()
	if _, err := io.CopyBuffer(sum, io.NewSectionReader(r, 0, size-sha256.Size), make([]byte, copyBuffer)); err != nil {
		return err
	}
	want := make([]byte, sha256.Size)
	if _, err := r.ReadAt(want, size-sha256.Size); err != nil && err != io.EOF {
		return err
	}
	if !bytes.Equal(sum.Sum(nil), want) {
		return errRedo
	}
	return nil
}

// redo does what is written down, if anything is.
func (s *Standby) redo() (next *standbyState, found bool, err error) {
	info, err := s.o.FS.Stat(s.path(redoFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	f, err := s.o.FS.Open(s.path(redoFile))
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	if err = checkRedo(f, info.Size); err == nil {
		next, err = readRedo(f, info.Size, func(pgno uint32, page []byte) error {
			_, err := s.file.WriteAt(page, int64(pgno-1)*int64(len(page)))
			return err
		})
	}
	if err == nil {
		err = s.file.Sync()
	}
	if err != nil {
		return nil, false, fmt.Errorf("%s: %w", s.path(redoFile), err)
	}
	return next, true, nil
}

func (s *Standby) forgetRedo() error {
	if err := s.o.FS.Remove(s.path(redoFile)); err != nil {
		return err
	}
	return s.o.FS.SyncDir(s.dir)
}

// database brings the database from its point to the next.
func (st *standbyStep) database(ctx context.Context) error {
	want, err := st.want(ctx)
	if err != nil {
		return err
	}
	t := st.restoring(st.repo, st.point)
	if err := st.writeRedo(ctx, t, want); err != nil {
		return err
	}
	st.bytes += t.done.Bytes
	if err := t.install(part(t.path(redoFile)), t.path(redoFile)); err != nil {
		return err
	}
	if _, _, err := st.redo(); err != nil {
		return err
	}
	st.pages, st.state = want.pages, *st.next
	if err := st.writeState(); err != nil {
		return err
	}
	return st.forgetRedo()
}

// wanted is what the database has to become.
type wanted struct {
	pages  table
	layers []wantedLayer // those that are new
}

type wantedLayer struct {
	indexes [][]byte
}

// want reads the indexes of the layers that are new. Where what comes of them is not what
// the point has, those of all.
func (st *standbyStep) want(ctx context.Context) (*wanted, error) {
	old, m := st.state.Manifest.Layers, st.next.Manifest
	same := 0
	for same < min(len(old), len(m.Layers)) && slices.Equal(old[same].Indexes, m.Layers[same].Indexes) {
		same++
	}
	for _, from := range []int{same, 0} {
		w := &wanted{pages: st.pages.clone()}
		w.pages.truncate(m.Pages)
		if err := st.layers(ctx, w, m.Layers[from:]); err != nil {
			return nil, err
		}
		if w.pages.count() == int(m.Pages) && bytes.Equal(w.pages.root(), m.Root) {
			return w, nil
		}
	}
	return nil, damaged(st.point.Name(), errors.New("its pages are not all there"))
}

func (t *table) clone() table {
	return table{hashes: slices.Clone(t.hashes), owner: slices.Clone(t.owner)}
}

func (st *standbyStep) layers(ctx context.Context, w *wanted, layers []Layer) error {
	seal, err := st.repo.set(ctx, st.point.Set)
	if err != nil {
		return err
	}
	for i, l := range layers {
		var layer wantedLayer
		for _, name := range l.Indexes {
			content, err := seal.get(ctx, st.repo.Target, name)
			if err != nil {
				return err
			}
			st.bytes += int64(len(content))
			layer.indexes = append(layer.indexes, content)
			err = eachSegment(content, st.next.Manifest.PageSize, func(_ string, pages []segmentPage) error {
				for _, p := range pages {
					if p.pgno <= st.next.Manifest.Pages {
						w.pages.set(p.pgno, p.hash, i)
					}
				}
				return nil
			})
			if err != nil {
				return damaged(name, err)
			}
		}
		w.layers = append(w.layers, layer)
	}
	return nil
}

// writeRedo fetches the pages that have to change, and writes them down.
func (st *standbyStep) writeRedo(ctx context.Context, t *restoring, want *wanted) error {
	f, err := t.create(part(t.path(redoFile)))
	if err != nil {
		return err
	}
	w, err := newRedo(f, st.next)
	if err == nil {
		err = st.fetchPages(ctx, t, want, w)
	}
	if err == nil {
		st.changed = int(w.n)
		err = w.end()
	}
	return errors.Join(err, f.Close())
}

func (st *standbyStep) fetchPages(ctx context.Context, t *restoring, want *wanted, to *redoWriter) error {
	seal, err := st.repo.set(ctx, st.point.Set)
	if err != nil {
		return err
	}
	m := st.next.Manifest
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(uploadsAtOnce)
	for i, layer := range want.layers {
		for _, content := range layer.indexes {
			err := eachSegment(content, m.PageSize, func(segment string, pages []segmentPage) error {
				s := &redoFetch{t: t, seal: seal, to: to, pageSize: m.PageSize, name: pagesOf(st.point.Set) + segment, wanted: map[uint32]pageHash{}}
				for _, p := range pages {
					if p.pgno <= m.Pages && int(want.pages.owner[p.pgno-1]) == i+1 && !st.pages.has(p.pgno, p.hash) {
						s.wanted[p.pgno] = p.hash
					}
				}
				if len(s.wanted) > 0 {
					group.Go(func() error { return s.fetch(ctx) })
				}
				return ctx.Err()
			})
			if err != nil {
				return errors.Join(group.Wait(), err)
			}
		}
	}
	return group.Wait()
}

// A redoFetch writes down pages of one segment.
type redoFetch struct {
	t        *restoring
	seal     *sealer
	to       *redoWriter
	pageSize int
	name     string
	wanted   map[uint32]pageHash
}

func (s *redoFetch) fetch(ctx context.Context) error {
	content, err := s.seal.get(ctx, s.t.r.Target, s.name)
	if err != nil {
		return err
	}
	s.t.reached(int64(len(content)), 0)
	return wantedPages(s.name, content, s.pageSize, s.wanted, s.to.add)
}
