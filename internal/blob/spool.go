package blob

import (
	"hash/crc32"
	"io"

	"lockstep/internal/vfs"
)

// spoolMemory is how much of a record waits in memory; more goes to a file
// without a name, sealed as it is.
const spoolMemory = 1 << 20

// A spool collects the frames of a record until its name is known. Used by one
// put.
type spool struct {
	fs     vfs.FS
	dir    string
	chunks [][]byte // pooled; all but the last are full
	file   vfs.File // holds everything once it is there
	size   int64
	crc    uint32
}

// Write implements io.Writer.
func (s *spool) Write(p []byte) (int, error) {
	if s.file == nil && s.size+int64(len(p)) > spoolMemory {
		if err := s.spill(); err != nil {
			return 0, err
		}
	}
	if s.file != nil {
		if _, err := s.file.WriteAt(p, s.size); err != nil {
			return 0, err
		}
	} else {
		s.keep(p)
	}
	s.size += int64(len(p))
	s.crc = crc32.Update(s.crc, castagnoli, p)
	return len(p), nil
}

func (s *spool) keep(p []byte) {
	for len(p) > 0 {
		last := len(s.chunks) - 1
		if last < 0 || len(s.chunks[last]) == cap(s.chunks[last]) {
			s.chunks = append(s.chunks, frames.get()[:0])
			last++
		}
		c := s.chunks[last]
		n := min(len(p), cap(c)-len(c))
		s.chunks[last] = append(c, p[:n]...)
		p = p[n:]
	}
}

func (s *spool) spill() error {
	f, err := s.fs.Temp(s.dir)
	if err != nil {
		return err
	}
	var off int64
	for _, c := range s.chunks {
		if _, err := f.WriteAt(c, off); err != nil {
			f.Close()
			return err
		}
		off += int64(len(c))
	}
	s.freeChunks()
	s.file = f
	return nil
}

// writeTo writes what was collected; it may be called again.
func (s *spool) writeTo(w io.Writer) error {
	if s.file != nil {
		_, err := io.CopyN(w, io.NewSectionReader(s.file, 0, s.size), s.size)
		return err
	}
	for _, c := range s.chunks {
		if _, err := w.Write(c); err != nil {
			return err
		}
	}
	return nil
}

func (s *spool) freeChunks() {
	for _, c := range s.chunks {
		frames.put(c)
	}
	s.chunks = nil
}

func (s *spool) close() {
	s.freeChunks()
	if s.file != nil {
		s.file.Close()
	}
}
