package imap

import (
	"bufio"
	"bytes"
	"io"
	"sync"
)

// source is a buffered reader that has its buffer only while there is something
// in it. It implements wire.Source, and io.ByteReader for decompression.
type source struct {
	r        io.Reader
	held     *[]byte
	pos, end int
	filled   bool // the last read filled the buffer: there may be more above the socket

	// before hears before a read that may wait; it may be nil.
	before interface{ beforeRead() }
}

// sourceBytes is at least what a TLS record holds, so that one read empties it.
const sourceBytes = 16<<10 + 256

var sourceBuffers = sync.Pool{New: func() any { b := make([]byte, sourceBytes); return &b }}

// pending reports whether reading may go on without waiting for the socket.
func (s *source) pending() bool { return s.pos < s.end || s.filled }

// release gives an empty buffer back.
func (s *source) release() {
	if s.held != nil && s.pos == s.end {
		sourceBuffers.Put(s.held)
		s.held, s.pos, s.end = nil, 0, 0
	}
}

func (s *source) wait() {
	if s.before != nil {
		s.before.beforeRead()
	}
}

// fill reads more behind what is there.
func (s *source) fill() error {
	if s.held == nil {
		s.held = sourceBuffers.Get().(*[]byte)
		s.pos, s.end = 0, 0
	}
	buf := *s.held
	if s.pos > 0 {
		s.end = copy(buf, buf[s.pos:s.end])
		s.pos = 0
	}
	s.wait()
	n, err := s.r.Read(buf[s.end:])
	s.filled = n == len(buf)-s.end
	s.end += n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// Read implements io.Reader.
func (s *source) Read(b []byte) (int, error) {
	if s.pos == s.end && len(b) >= sourceBytes {
		s.wait()
		n, err := s.r.Read(b)
		s.filled = n == len(b)
		return n, err
	}
	if s.pos == s.end {
		if err := s.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(b, (*s.held)[s.pos:s.end])
	s.pos += n
	return n, nil
}

// ReadByte implements io.ByteReader.
func (s *source) ReadByte() (byte, error) {
	if s.pos == s.end {
		if err := s.fill(); err != nil {
			return 0, err
		}
	}
	c := (*s.held)[s.pos]
	s.pos++
	return c, nil
}

// ReadSlice is as bufio.Reader has it; the slice is valid until the next read.
func (s *source) ReadSlice(delim byte) ([]byte, error) {
	searched := 0
	for {
		if s.pos < s.end {
			there := (*s.held)[s.pos:s.end]
			if i := bytes.IndexByte(there[searched:], delim); i >= 0 {
				s.pos += searched + i + 1
				return there[:searched+i+1], nil
			}
			if len(there) == sourceBytes {
				s.pos = s.end
				return there, bufio.ErrBufferFull
			}
			searched = len(there)
		}
		if err := s.fill(); err != nil {
			rest := []byte(nil)
			if s.held != nil {
				rest = (*s.held)[s.pos:s.end]
			}
			s.pos = s.end
			return rest, err
		}
	}
}
