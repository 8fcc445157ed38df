package jmap

import (
	"bytes"
	"io"
	"os"
)

// heldInMemory is how much of a spool needs no file.
const heldInMemory = 1 << 20

// A spool holds bytes that came in a row, to be read at any place.
type spool struct {
	io.ReaderAt
	size int64
	file *os.File // nil if they are in memory
}

// spoolOf reads r to its end. Large ones go to a file that has no name.
func spoolOf(r io.Reader, dir string) (*spool, error) {
	head, err := io.ReadAll(io.LimitReader(r, heldInMemory))
	if err != nil {
		return nil, err
	}
	if len(head) < heldInMemory {
		return &spool{ReaderAt: bytes.NewReader(head), size: int64(len(head))}, nil
	}
	f, err := os.CreateTemp(dir, "jmap-*")
	if err != nil {
		return nil, err
	}
	s := &spool{ReaderAt: f, file: f}
	if err := os.Remove(f.Name()); err != nil {
		s.Close()
		return nil, err
	}
	if s.size, err = io.Copy(f, io.MultiReader(bytes.NewReader(head), r)); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Close implements io.Closer.
func (s *spool) Close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}
