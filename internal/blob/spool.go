package blob

import (
	"hash/crc32"
	"io"

	"lockstep/internal/vfs"
)

// spoolMemory is how much of a put, its parts included, waits in memory; more
// goes to a file without a name, sealed as it is.
const spoolMemory = 1 << 20

// An overflow is where the spools of one put share memory and a file. Used by
// that put.
type overflow struct {
	fs     vfs.FS
	dir    string
	memory int // bytes of chunks that are out
	file   vfs.File
	size   int64
}

// write adds p to the file.
func (o *overflow) write(p []byte) (off int64, err error) {
	if o.file == nil {
		if o.file, err = o.fs.Temp(o.dir); err != nil {
			return 0, err
		}
	}
	off = o.size
	_, err = o.file.WriteAt(p, off)
	o.size += int64(len(p))
	return off, err
}

func (o *overflow) close() {
	if o.file != nil {
		o.file.Close()
	}
}

// A spool collects the frames of a record until its name is known: first in
// memory, then in the file.
type spool struct {
	over    *overflow
	chunks  [][]byte // pooled; all but the last are full
	extents []extent // of the file
	size    int64
	crc     uint32
}

type extent struct{ off, size int64 }

// Write implements io.Writer.
func (s *spool) Write(p []byte) (int, error) {
	s.size += int64(len(p))
	s.crc = crc32.Update(s.crc, castagnoli, p)
	rest := s.keep(p)
	if len(rest) == 0 {
		return len(p), nil
	}
	off, err := s.over.write(rest)
	if err != nil {
		return 0, unavailable(err)
	}
	s.addExtent(off, int64(len(rest)))
	return len(p), nil
}

// keep takes into memory what there is room for and returns the rest. What
// comes after the first extent goes to the file too, to stay in order.
func (s *spool) keep(p []byte) []byte {
	for len(p) > 0 && len(s.extents) == 0 {
		last := len(s.chunks) - 1
		if last < 0 || len(s.chunks[last]) == cap(s.chunks[last]) {
			if s.over.memory+frameBuffer > spoolMemory {
				return p
			}
			s.over.memory += frameBuffer
			s.chunks = append(s.chunks, frames.get()[:0])
			last++
		}
		c := s.chunks[last]
		n := min(len(p), cap(c)-len(c))
		s.chunks[last] = append(c, p[:n]...)
		p = p[n:]
	}
	return p
}

func (s *spool) addExtent(off, size int64) {
	if last := len(s.extents) - 1; last >= 0 && s.extents[last].off+s.extents[last].size == off {
		s.extents[last].size += size
		return
	}
	s.extents = append(s.extents, extent{off, size})
}

// writeTo writes what was collected; it may be called again.
func (s *spool) writeTo(w io.Writer) error {
	for _, c := range s.chunks {
		if _, err := w.Write(c); err != nil {
			return err
		}
	}
	for _, e := range s.extents {
		if _, err := io.CopyN(w, io.NewSectionReader(s.over.file, e.off, e.size), e.size); err != nil {
			return err
		}
	}
	return nil
}

func (s *spool) close() {
	for _, c := range s.chunks {
		frames.put(c)
	}
	s.over.memory -= len(s.chunks) * frameBuffer
	s.chunks = nil
}
