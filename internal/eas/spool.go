package eas

import (
	"bytes"
	"io"

	"lockstep/internal/vfs"
)

// A spool holds what is too large to hold: so much in memory, and when it is more,
// all of it in a file without a name. Close it.
type spool struct {
	dir    string
	memory int64
	b      bytes.Buffer
	file   vfs.File
	size   int64
}

func newSpool(dir string, memory int64) *spool { return &spool{dir: dir, memory: memory} }

// Write implements io.Writer.
func (s *spool) Write(p []byte) (int, error) {
	if s.file == nil && s.size+int64(len(p)) > s.memory {
		if err := s.spill(); err != nil {
			return 0, err
		}
	}
	if s.file == nil {
		s.size += int64(len(p))
		return s.b.Write(p)
	}
	n, err := s.file.WriteAt(p, s.size)
	s.size += int64(n)
	return n, err
}

func (s *spool) spill() (err error) {
	if s.file, err = (vfs.OS{}).Temp(s.dir); err != nil {
		return err
	}
	_, err = s.file.WriteAt(s.b.Bytes(), 0)
	s.b = bytes.Buffer{}
	return err
}

// ReadAt implements io.ReaderAt.
func (s *spool) ReadAt(p []byte, off int64) (int, error) {
	if s.file != nil {
		return s.file.ReadAt(p, off)
	}
	return bytes.NewReader(s.b.Bytes()).ReadAt(p, off)
}

// reader reads the whole from its beginning.
func (s *spool) reader() io.Reader { return io.NewSectionReader(s, 0, s.size) }

// Close gives back what it holds.
func (s *spool) Close() error {
	s.b = bytes.Buffer{}
	if s.file == nil {
		return nil
	}
	f := s.file
	s.file = nil
	return f.Close()
}
