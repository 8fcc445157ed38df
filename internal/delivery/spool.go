package delivery

import (
	"crypto/sha256"
	"hash"
	"io"
	"os"
	"sync"

	"lockstep/internal/mail"
)

// spoolMemory is how much of a message is held in memory; a larger one goes to
// a file without a name. A thousand clients may stop in the middle of a message.
const spoolMemory = 128 << 10

// spoolStart is what a spool begins with; most mail fits.
const spoolStart = 32 << 10

var spools = sync.Pool{New: func() any {
	b := make([]byte, 0, spoolStart)
	return &b
}}

// A spool holds one message while it is taken in: what came, and before it the
// fields we add. It implements io.Writer for what comes and io.ReaderAt for the
// whole. Used by one delivery.
type spool struct {
	dir    string
	prefix []byte // trace fields
	mem    *[]byte
	file   *os.File // holds everything once it is there
	size   int64    // of what came
	sum    hash.Hash
}

func newSpool(dir string) *spool {
	return &spool{dir: dir, mem: spools.Get().(*[]byte), sum: sha256.New()}
}

// close gives back what the spool holds.
func (s *spool) close() {
	if s.file != nil {
		s.file.Close()
	}
	s.free()
}

// free gives the memory back. What grew is left to the collector: kept, one large
// message after the other would make all of them large.
func (s *spool) free() {
	if s.mem != nil && cap(*s.mem) == spoolStart {
		*s.mem = (*s.mem)[:0]
		spools.Put(s.mem)
	}
	s.mem = nil
}

// Write implements io.Writer.
func (s *spool) Write(p []byte) (int, error) {
	if s.file == nil && s.size+int64(len(p)) > spoolMemory {
		if err := s.spill(); err != nil {
			return 0, noRoom(err)
		}
	}
	if s.file == nil {
		s.grow(len(p))
		*s.mem = append(*s.mem, p...)
	} else if _, err := s.file.Write(p); err != nil {
		return 0, noRoom(err)
	}
	s.size += int64(len(p))
	s.sum.Write(p)
	return len(p), nil
}

// grow makes room for n bytes more, twice as much each time, and no more than the
// bound.
func (s *spool) grow(n int) {
	need := len(*s.mem) + n
	if need <= cap(*s.mem) {
		return
	}
	larger := make([]byte, len(*s.mem), min(max(need, 2*cap(*s.mem)), spoolMemory))
	copy(larger, *s.mem)
	s.mem = &larger
}

// noRoom is what a spool that can't be written means: the sender may try later.
func noRoom(err error) error {
	return &mail.Error{Kind: mail.Unavailable, Detail: "mail cannot be taken in now", Err: err}
}

func (s *spool) spill() error {
	f, err := os.CreateTemp(s.dir, "arriving-*.tmp")
	if err != nil {
		return err
	}
	s.file = f
	if err := os.Remove(f.Name()); err != nil {
		return err
	}
	_, err = f.Write(*s.mem)
	s.free()
	return err
}

// whole is the size with what was added.
func (s *spool) whole() int64 { return int64(len(s.prefix)) + s.size }

// reader reads the whole from the beginning.
func (s *spool) reader() *io.SectionReader { return io.NewSectionReader(s, 0, s.whole()) }

// ReadAt implements io.ReaderAt.
func (s *spool) ReadAt(p []byte, off int64) (n int, err error) {
	if off < int64(len(s.prefix)) {
		n = copy(p, s.prefix[off:])
	}
	m, err := s.readBody(p[n:], off+int64(n)-int64(len(s.prefix)))
	return n + m, err
}

func (s *spool) readBody(p []byte, off int64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if s.file != nil {
		return s.file.ReadAt(p, off)
	}
	if off >= s.size {
		return 0, io.EOF
	}
	n := copy(p, (*s.mem)[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
